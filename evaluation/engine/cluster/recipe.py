"""`Recipe`: what a process anywhere needs to make an examiner, or its part of one.

Objects that hold locks, connections or weights do not travel; each process makes its own.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.engine.examiner import Examiner
from evaluation.engine.one_at_a_time import OneAtATime, for_threads
from evaluation.errors import RunError
from evaluation.runs.settings import Price
from vlm_inspect.config import InspectorConfig
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.rules import RuleBook
from vlm_inspect.version import VERSION

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.inspector import Inspector
    from vlm_inspect.localization.localizer import Localizer


@dataclass(frozen=True)
class Recipe:
    """Plain data, which can be sent."""

    config: InspectorConfig
    """Of the model and the localizer."""
    rules: Mapping[str, RuleBook]
    """By class, for every class."""
    thresholds: Mapping[str, Thresholds]
    """By class."""
    price: Price | None
    model_name: str
    """Name in the record."""
    localizer_name: str
    """Likewise: those of the parts of a sum, joined by +."""
    server: str | None
    """URL of an `openai:` model, without secrets."""
    folder: Path
    """What relative paths start from."""
    figures: bool = False
    """Whether a figure of every item is drawn."""
    version: str = VERSION

    @property
    def localizer_names(self) -> dict[str, str]:
        """Part of `--localizer` -> its name in the record."""
        parts = [part.strip() for part in self.config.localizer.name.split("+")]
        return dict(zip(parts, self.localizer_name.split("+"), strict=True))

    def make_examiner(
        self, model: "Backend | None" = None, localizers: "Mapping[str, Localizer] | None" = None
    ) -> Examiner:
        """Return the examiner; loads what the model and the localizer need.

        Args:
            model: in place of the one that the configuration names.
            localizers: likewise, by the parts of `--localizer`, which may be called by several threads.

        Raises:
            RunError: this machine lacks the folder, or would give other results.
            InspectError: the model or the localizer cannot be used here.
        """
        self.enter()
        inspector = self._inspector("none" if localizers else self.config.localizer.name, model)
        endpoint = getattr(inspector.backend, "endpoint", None)
        if endpoint is not None and endpoint.shown_url != self.server:
            raise RunError(f"a worker would ask {endpoint.shown_url}, not {self.server}; give --base-url")
        if localizers:
            inspector = replace(inspector, localizer=self._sum_with(localizers, inspector.backend))
        else:
            inspector = for_threads(inspector)
        return Examiner(inspector, self.rules, self.thresholds, self.price, self.figures)

    def make_model(self) -> "Backend":
        """Return the model alone; raises what `make_examiner` raises."""
        self.enter()
        return self.config.load_model()

    def make_localizer(self, part: str, model: "Backend | None" = None) -> "Localizer":
        """Return one part of the localizer alone, for one thread; raises what `make_examiner` raises.

        Args:
            part: one of the names in `--localizer`.
            model: in place of the one that the configuration names.
        """
        self.enter()
        made = self._inspector(part, model).used_localizer
        assert made is not None
        return made

    def enter(self) -> None:
        """Make this process one that gives the same results as that which sent the recipe.

        Raises:
            RunError: it cannot.
        """
        if self.version != VERSION:
            raise RunError(f"a worker has vlm-inspect {VERSION}, not {self.version}; install the same")
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise RunError(f"a worker has no folder {self.folder}; mount it at the same place everywhere") from error

    def _inspector(self, localizer: str, model: "Backend | None") -> "Inspector":
        return self.config.with_changes(localizer={"name": localizer}).build(backend=model)

    def _sum_with(self, given: "Mapping[str, Localizer]", model: "Backend") -> "Localizer":
        """Return the localizer, with these in place of their parts."""
        from vlm_inspect.localization.localizer_sum import LocalizerSum

        own: Callable[[str], Localizer] = lambda part: OneAtATime(self.make_localizer(part, model))  # noqa: E731
        members = [given[part] if part in given else own(part) for part in self.localizer_names]
        return members[0] if len(members) == 1 else LocalizerSum(members)
