"""What servers taught, kept on disk by base URL and model, so that no command has to learn it again.

One small file a server and model, private, under the user's cache folder. What is older than `LONGEST_DAYS` is tried
afresh, as servers are updated; a damaged file is as good as none.
"""

import datetime
import hashlib
import os
import tempfile
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlm_inspect.array_cache import cache_folder
from vlm_inspect.backends.box_conventions import BoxConvention, BoxUnit, convention_of_habit, find_convention
from vlm_inspect.backends.capabilities import Capabilities

LONGEST_DAYS = 30
"""Age from which it is found out again."""
_MOST_BYTES = 100_000


class BoxHabit(BaseModel):
    """How a model writes boxes, as `doctor` found it out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: BoxUnit
    rows_first: bool


class Learned(BaseModel):
    """What is known of one model at one server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    server: str = ""
    """Its URL without secrets; "": the model runs here, or is reached by code of the user's own."""
    at: datetime.datetime = Field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    capabilities: Capabilities = Capabilities()
    boxes: BoxHabit | None = None
    """None: not found out."""
    speaks_plainly: bool | None = None
    """Whether its words in a dialogue hold no thinking, so that they can be shown as they come; None: not known."""

    @property
    def age_days(self) -> float:
        """How long ago it was found out, in days."""
        return (datetime.datetime.now(datetime.UTC) - self.at).total_seconds() / 86400


_LOCK = threading.Lock()
_KNOWN: dict[tuple[str, str], Learned] = {}


def recall(base_url: str, model: str) -> Learned:
    """Return what is known of a model at a server; a server not met before is believed to take everything."""
    with _LOCK:
        known = _KNOWN.get((base_url, model))
        if known is None or known.age_days > LONGEST_DAYS:
            known = _read(base_url, model) or Learned(model=model, server=_shown(base_url))
            _KNOWN[base_url, model] = known
        return known


def boxes_of(base_url: str, model: str, *, known_as: str = "") -> BoxConvention:
    """Return how a model is asked for boxes: as it was found to write them, else as its family does.

    Args:
        base_url: of its server; "": the model is reached otherwise.
        model: under which its habits are kept.
        known_as: names that tell its family; "": `model` does.
    """
    family = known_as or model
    habit = recall(base_url, model).boxes
    if habit is None:
        return find_convention(family)
    return convention_of_habit(family, habit.unit, rows_first=habit.rows_first)


def remember(base_url: str, model: str, capabilities: Capabilities) -> None:
    """Keep what a server takes; the age of what was known before stays, for the rest of it is as old as it was."""
    before = recall(base_url, model)
    if before.capabilities != capabilities:
        _keep(base_url, model, before.model_copy(update={"capabilities": capabilities}))


def remember_boxes(base_url: str, model: str, habit: BoxHabit) -> None:
    """Keep how a model writes boxes."""
    _keep(base_url, model, recall(base_url, model).model_copy(update={"boxes": habit}))


def remember_manner(base_url: str, model: str, *, speaks_plainly: bool) -> None:
    """Keep whether a model's words in a dialogue hold no thinking."""
    before = recall(base_url, model)
    if before.speaks_plainly != speaks_plainly:
        _keep(base_url, model, before.model_copy(update={"speaks_plainly": speaks_plainly}))


def _keep(base_url: str, model: str, learned: Learned) -> None:
    with _LOCK:
        _KNOWN[base_url, model] = learned
    path = _path(base_url, model)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")  # readable by the user alone
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(learned.model_dump_json(indent=1))
            Path(name).replace(path)  # another process sees all or nothing
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError:
        return  # the cache is a convenience; it is learnt again


def _read(base_url: str, model: str) -> Learned | None:
    path = _path(base_url, model)
    try:
        if path is None or path.stat().st_size > _MOST_BYTES:
            return None
        found = Learned.model_validate_json(path.read_bytes())
        return found if found.model == model and 0 <= found.age_days <= LONGEST_DAYS else None
    except (OSError, ValidationError, ValueError, TypeError, RecursionError, OverflowError):
        return None


def _path(base_url: str, model: str) -> Path | None:
    folder = cache_folder("servers")
    digest = hashlib.sha256(f"{base_url}\0{model}".encode()).hexdigest()[:32]
    return None if folder is None else folder / f"{digest}.json"


def _shown(base_url: str) -> str:
    address = base_url.partition("?")[0]
    scheme, separator, rest = address.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
