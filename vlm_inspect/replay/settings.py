"""How the part of a case was inspected, as an `InspectorConfig` again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vlm_inspect.config import InspectorConfig
from vlm_inspect.errors import StoreError
from vlm_inspect.store.case import Case

_OLD_NAMES: Mapping[str, tuple[str, ...]] = {
    "rules_path": ("rules",),
    "references": ("references",),
    "model": ("model", "name"),
    "base_url": ("model", "base_url"),
    "timeout_s": ("model", "timeout_s"),
    "samples": ("model", "samples"),
    "dtype": ("model", "dtype"),
    "quantize": ("model", "quantize"),
    "trust_remote_code": ("model", "trust_remote_code"),
    "detail": ("prompt", "detail"),
    "look_again": ("look_again",),
    "localizer": ("localizer", "name"),
    "backbone": ("localizer", "memory", "backbone"),
    "clip": ("localizer", "clip"),
    "checkpoint": ("localizer", "checkpoint"),
    "device": ("device",),
    "calibration_path": ("calibration",),
}
"""Options as cases of version 0.1 kept them -> their place in the configuration."""


def config_of(case: Case) -> InspectorConfig:
    """Return the settings of a case, its paths made absolute; the defaults where it kept none.

    Raises:
        StoreError: they are damaged, or of a newer version.
    """
    kept = case.settings.get("config")
    told = kept if isinstance(kept, dict) else _from_options(case.settings)
    try:
        config = InspectorConfig.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"case {case.id}: settings.{place}: {first['msg']}; the store is damaged or newer") from error
    return config.relative_to(Path(str(case.settings.get("folder", "."))))


def _from_options(options: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, (*sections, key) in _OLD_NAMES.items():
        if options.get(name) is None:
            continue
        inner = told
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = options[name]
    return told
