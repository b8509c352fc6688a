"""The tools over a part whose inspection is in progress: no store, no case yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from converters.sample import Sample
from converters.view import View
from vlm_inspect.evidence import Evidence
from vlm_inspect.examination import Prepared
from vlm_inspect.inspection import RuleOutcome
from vlm_inspect.rules import RuleBook
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.result import ToolError
from vlm_inspect.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from vlm_inspect.store.case import Case
    from vlm_inspect.store.case_store import CaseStore


@dataclass(frozen=True)
class _NotJudged:
    """Stands where a case has its inspection."""

    rules: tuple[RuleOutcome, ...] = ()


@dataclass(frozen=True, eq=False)
class _Unfinished:
    """What the tools read of a case."""

    views: Sequence[View]
    evidence: Evidence
    rules: RuleBook
    references: tuple[tuple[View, ...], ...]
    source: Path
    id: str = ""
    inspection: _NotJudged = _NotJudged()


@dataclass(eq=False)
class PartMaterial(Material):
    """A part in progress, at full resolution."""

    part: Sample | None = None

    @cached_property
    def sample(self) -> Sample:
        """The part as it was read.

        Raises:
            ToolError: it is not at hand.
        """
        if self.part is None:
            raise ToolError("the part is not at hand at full resolution")
        return self.part


def open_toolbox(prepared: Prepared) -> tuple[Toolbox, tuple[str, ...]]:
    """Return the tools over a prepared part, and the names of those that have something to show."""
    request = prepared.request
    part = None if prepared.samples is None else prepared.samples[0].sample
    unfinished = _Unfinished(
        request.views, request.evidence, request.rules, prepared.references, Path() if part is None else part.path
    )
    material = PartMaterial(cast("Case", unfinished), cast("CaseStore", prepared.store), request.rules, part)
    toolbox = Toolbox(material)
    useless = {
        "similar_cases": prepared.store is None,
        "measure_rule": all(rule.check is None for rule in request.rules.rules),
        "compare_with_references": not any(prepared.references),
    }
    return toolbox, tuple(name for name in toolbox.names if not useless.get(name, False))
