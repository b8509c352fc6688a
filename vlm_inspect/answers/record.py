"""`PartRecord`: what is known of a part when a question about it is answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from converters.view import View
from vlm_inspect.answers.part_axis import PartAxis, find_axis
from vlm_inspect.answers.places import NumberedPlace, SeenPlace, join_views
from vlm_inspect.decision.events import record_curve_events
from vlm_inspect.evidence import Evidence, Measurement
from vlm_inspect.inspection import CurveEventRecord, Inspection
from vlm_inspect.rules import Rule, RuleBook
from vlm_inspect.verdict import RuleStatus


@dataclass(frozen=True)
class RuleRow:
    """How the part stands to one rule."""

    rule: Rule
    status: RuleStatus
    reason: str
    measurement: Measurement | None = None


def _measures_nothing(measure: str) -> Measurement:
    return Measurement("", measure, None, "", None, "no rule asked for it")


@dataclass(frozen=True, eq=False)
class PartRecord:
    """One part: what was measured of it, and what came out."""

    book: RuleBook
    views: Sequence[View]
    evidence: Evidence
    rows: Sequence[RuleRow]
    numbered: Sequence[NumberedPlace]
    inspection: Inspection | None = None
    """None while the question is answered with the inspection itself."""
    measure: Callable[[str], Measurement] = field(default=_measures_nothing)
    """Measures what no rule asked for, by the name of a measure."""

    @cached_property
    def places(self) -> list[SeenPlace]:
        """Its places; one that several views show is one."""
        return join_views(self.numbered, self.views)

    @cached_property
    def axis(self) -> PartAxis | None:
        """Its longest axis, of a scan."""
        return find_axis(self.views)

    @property
    def failing(self) -> list[RuleRow]:
        """The rules that fail."""
        return [row for row in self.rows if row.status == "fail"]

    @property
    def is_undecided(self) -> bool:
        """Whether a person has to look at it; before there is an inspection, as far as the measurements alone say."""
        if self.inspection is not None:
            return self.inspection.outcome == "REVIEW"
        standing = self.evidence.standing
        return self.evidence.status == "unknown" if standing is None else standing.outcome == "REVIEW"

    @property
    def curve_events(self) -> tuple[CurveEventRecord, ...]:
        """The events of a sensor curve; a kept case has them in its inspection alone."""
        if self.evidence.sample_curve is not None or self.inspection is None:
            return record_curve_events(self.evidence.sample_curve)
        return self.inspection.curve_events

    @property
    def untold_mismatch(self) -> str:
        """What it shows instead of the part of its references, where the reasons of a REVIEW do not say so."""
        reasons = () if self.inspection is None else self.inspection.review_reasons
        return "" if self.evidence.mismatch in reasons else self.evidence.mismatch

    @property
    def score(self) -> float | None:
        """P(anomalous), or None where it is not known."""
        if self.inspection is not None:
            return self.inspection.score
        return None if self.evidence.status == "unknown" else self.evidence.probability


def rule_rows(
    book: RuleBook, told: Sequence[tuple[str, RuleStatus, str]], measurements: Sequence[Measurement]
) -> list[RuleRow]:
    """Return how a part stands to its rules.

    Args:
        book: its rules.
        told: id, status and reason of each, as they came out.
        measurements: of its checks.
    """
    values = {one.rule_id: one for one in measurements}
    rules = {rule.id: rule for rule in book.rules}
    return [RuleRow(rules[id_], status, reason, values.get(id_)) for id_, status, reason in told if id_ in rules]
