"""What a run is, and how it is carried out.

`Settings` is the identity: two runs of equal settings ask the same and give the same results, so a journal goes on only
under its own. `Limits` is the rest: how fast, how dear, how patient. They may differ between a run and its resume.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from evaluation.errors import RunError
from vlm_inspect.config import InspectorConfig
from vlm_inspect.version import VERSION


class Settings(BaseModel):
    """All that the results rest on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    format: str
    categories: tuple[str, ...]
    shots: int
    seed: int
    limit: int | None
    """Most test items a class; None: all."""
    model: str
    server: str | None = None
    """URL of an `openai:` model, without secrets."""
    samples: int = 1
    look_again: bool = False
    """Whether the model is asked twice, then with enlargements."""
    template: str = "inspect"
    detail: str = "high"
    """How closely an `openai:` model looks at a picture."""
    dtype: str = "auto"
    """Number type of an `hf:` model's weights."""
    quantize: str | None = None
    """Bits a weight of an `hf:` model."""
    localizer: str
    backbone: str = ""
    clip: str | None = None
    aupro_200: bool = False
    """Whether AUPRO by 200 thresholds is computed, too."""
    checkpoint_sha256: str | None = None
    rules_sha256: dict[str, str] = {}
    """By class; classes without a rule book are absent."""
    calibration_sha256: dict[str, str] = {}
    """By class."""
    items_sha256: str
    """Digest of the scored items' ids, labels and defect types, in order."""
    version: str = VERSION
    scoring: str = ""
    """`scoring_version()`; "": a run of before it was told."""
    inspector: InspectorConfig | None = None
    """Every setting of the inspection, that of the localizers among them; None: a run of before 0.2."""

    def check_equal(self, other: "Settings", where: str) -> None:
        """Make sure that a run with these settings may go on under the others.

        Raises:
            RunError: they differ; names the first setting that does, with both values.
        """
        for name, was, now in self._differences(other):
            if name == "items_sha256":
                raise RunError(f"{where} holds a run over other items: the data folder has changed; give another --out")
            raise RunError(
                f"{where} holds a run with {name} {was!r}, not {now!r}; give the same settings, or another --out"
            )

    def _differences(self, other: "Settings") -> Iterator[tuple[str, Any, Any]]:
        for name in type(self).model_fields:
            was, now = getattr(self, name), getattr(other, name)
            if was == now:
                continue
            if isinstance(was, InspectorConfig) or isinstance(now, InspectorConfig):
                yield from _differing_sections(was, now)
                continue
            if isinstance(was, dict):
                key = next(key for key in sorted(was.keys() | now.keys()) if was.get(key) != now.get(key))
                yield f"{name} of {key}", was.get(key), now.get(key)
            else:
                yield name, was, now


def _differing_sections(was: InspectorConfig | None, now: InspectorConfig | None) -> Iterator[tuple[str, Any, Any]]:
    """Yield what moves results and has no setting of its own; files are compared by their digests."""
    if was is None or now is None:
        return
    if (was.refuter is None) != (now.refuter is None):
        first, second = (None if one.refuter is None else one.refuter.name for one in (was, now))
        yield "refuter", first, second
        return
    if was.normal_until != now.normal_until:
        yield "normal_until", was.normal_until, now.normal_until
    for name in ("localizer", "prompt", "views", "windows", "agent", "refuter"):
        one, other = (config.model_dump(exclude={"localizer": {"checkpoint"}})[name] or {} for config in (was, now))
        for key in one:
            if one[key] != other[key]:
                yield f"{name}.{key}", one[key], other[key]


@dataclass(frozen=True)
class Price:
    """What a model's tokens cost, in US dollars per million."""

    prompt_usd: float
    completion_usd: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what these tokens cost in US dollars."""
        return (prompt_tokens * self.prompt_usd + completion_tokens * self.completion_usd) / 1e6


@dataclass(frozen=True)
class Limits:
    """How a run is carried out."""

    concurrency: int = 1
    """Requests in flight; for a model of this machine that takes several at once, the size of a batch."""
    tokens_per_minute: int | None = None
    max_failures: int | None = None
    """Failed items of this session after which it stops."""
    budget_usd: float | None = None
    price: Price | None = None
    """The user's own, else that of the price tables; None: not known."""
    keep_maps: bool = False
    figures: bool = False
    engine: Literal["local", "ray"] = "local"
    """Where items are examined: in this process, or by the workers of a Ray cluster."""

    def as_facts(self) -> dict[str, Any]:
        """Return them for the record."""
        return asdict(self)
