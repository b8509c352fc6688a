"""`BenchOptions`: what a run of `bench` is asked to do."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evaluation.engine.options import AskingOptions
from vlm_inspect.config import InspectorConfig


@dataclass(frozen=True)
class BenchOptions:
    """A run, before anything of it is checked."""

    config: InspectorConfig = field(default_factory=InspectorConfig)
    """How a part is inspected; its rules and references come from the run, and `calibration` may be a folder."""
    asking: AskingOptions = field(default_factory=AskingOptions)
    out: Path | None = None
    format_name: str = "auto"
    categories: tuple[str, ...] = ()
    """Empty: all."""
    shots: int = 4
    """References a class."""
    seed: int = 0
    limit: int | None = None
    """Most test items a class."""
    rules_dir: Path | None = None
    """Folder of CLASS.yaml."""
    resume: bool = False
    retry_failed: bool = False
    dry_run: bool = False
    max_failures: int | None = 100
    keep_maps: bool = False
    figures: bool = False
    aupro_200: bool = False
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    rule_test: bool = False
    rule_test_parts: int = 20
    force: bool = False
    """Whether pictures that the checkpoint was trained on are scored, too."""
    quiet: bool = False
    debug: bool = False
