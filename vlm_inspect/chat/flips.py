"""What a change of the rule book would have made of the cases of its class: fused again from their records.

The record holds maps, measurements and replies, so that limits, severities, removed rules and ignored boxes can be
judged again without the parts. What it cannot tell is said: a rule in words that nobody was asked about, a measure that
was not taken. A new reference changes the maps themselves; there the parts are measured again, where their files are
still what they were.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.view import View
from vlm_inspect.chat.corrections import Proposal
from vlm_inspect.config import InspectorConfig
from vlm_inspect.decision.fusion import Record, fuse, is_by_model
from vlm_inspect.decision.spots import lies_in
from vlm_inspect.errors import InspectError, ParseError, StoreError
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, Region
from vlm_inspect.ignored import ignored_boxes, score_shift, without_ignored
from vlm_inspect.inspection import Inspection, Outcome
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization import AUTO
from vlm_inspect.localization.composition import OWN_NAMES
from vlm_inspect.offline.report import judge_evidence
from vlm_inspect.replay import read_opinion
from vlm_inspect.replay.settings import config_of
from vlm_inspect.rules import Rule, RuleBook, resolve_references
from vlm_inspect.significant_digits import probability_words, rounded
from vlm_inspect.store.case import Case
from vlm_inspect.store.case_store import CaseStore
from vlm_inspect.store.listing import Filters
from vlm_inspect.verdict import Verdict

MOST_CASES = 500
"""Most cases that are fused again, the newest first."""
MOST_MEASURED = 12
"""Most cases that are measured again for a new reference, the newest first."""


@dataclass(frozen=True)
class Flip:
    """One case whose outcome the change would have turned."""

    case_id: str
    source: str
    before: Outcome
    now: Outcome
    because: str


@dataclass(frozen=True)
class Flips:
    """All that the change would have turned, and what cannot be told."""

    compared: int
    flips: tuple[Flip, ...]
    own: Outcome | None
    """Outcome of the case that is talked over, under the change; None: its record does not tell."""
    untold: tuple[str, ...]
    """One line for every case that the record does not decide."""


def find_flips(
    store: CaseStore, proposal: Proposal, case_id: str, progress: Callable[[str], None] = lambda step: None
) -> Flips:
    """Fuse the cases of the class again under a proposal.

    Args:
        store: where the cases are.
        proposal: the change.
        case_id: the case that is talked over.
        progress: is told which case is at work.

    Raises:
        StoreError: the store cannot be read.
    """
    lines = store.list(Filters(class_name=proposal.old.class_name, limit=MOST_CASES))
    flips: list[Flip] = []
    untold: list[str] = []
    compared = 0
    own: Outcome | None = None
    measured_again = _Measured(proposal.new) if proposal.kind == "reference" else None
    for position, line in enumerate(lines):
        progress(f"case {position + 1} of {len(lines)}")
        try:
            case = store.load(line.id)
            if measured_again is not None and position >= MOST_MEASURED:
                untold.append(f"{line.id}: not measured again; only the newest {MOST_MEASURED} are")
                continue
            before = _outcome_before(case, proposal.old)
            now = measured_again.fuse(case) if measured_again is not None else fuse_again(case, proposal.new)
        except (InspectError, ConversionError) as error:
            untold.append(f"{line.id}: {' '.join(str(error).split())}")
            continue
        compared += 1
        gaps = [] if proposal.kind == "reference" else list(_untold(case, proposal))
        if gaps:
            untold.append(f"{line.id}: {'; '.join(gaps)}")
            continue
        own = now.outcome if line.id == case_id else own
        if before != now.outcome:
            flips.append(Flip(line.id, Path(line.source).name, before, now.outcome, _because(now)))
    return Flips(compared, tuple(flips), own, tuple(untold))


def fuse_again(case: Case, book: RuleBook) -> Inspection:
    """Return what the record of a case amounts to under another rule book.

    Raises:
        StoreError: the record is gone or damaged.
    """
    evidence = evidence_under(case, book)
    record = replace(case.record, rules=book)
    return fuse(_opinion(case, book, evidence, case.views), evidence, case.thresholds, record)


def evidence_under(case: Case, book: RuleBook) -> Evidence:
    """Return the recorded evidence under another rule book: what it ignores does not count, its limits decide."""
    evidence = case.evidence
    if book.ignore != case.rules.ignore:
        maps = _maps_under(evidence.maps, case.views, book)
        standing = None if evidence.standing is None else evidence.standing.shifted(score_shift(evidence.maps, maps))
        worded = evidence.worded and replace(
            evidence.worded,
            maps=_maps_under(evidence.worded.maps, case.views, book),
            regions=_regions_under(evidence.worded.regions, case.views, book),
        )
        regions = _regions_under(evidence.regions, case.views, book)
        evidence = replace(evidence, maps=maps, regions=regions, standing=standing, worded=worded)
    measurements = tuple(_measured_under(rule, case) for rule in book.rules if rule.check is not None)
    return replace(evidence, measurements=measurements)


def _maps_under(maps: Sequence[AnomalyMap], views: Sequence[View], book: RuleBook) -> tuple[AnomalyMap, ...]:
    return tuple(without_ignored(one, ignored_boxes(one.view, views, book.ignore)) for one in maps)


def _regions_under(regions: Sequence[Region], views: Sequence[View], book: RuleBook) -> tuple[Region, ...]:
    return tuple(one for one in regions if not lies_in(one.box_xyxyn, ignored_boxes(one.view, views, book.ignore)))


def _measured_under(rule: Rule, case: Case) -> Measurement:
    """Hold the recorded value of a measure against a rule's limits."""
    check = rule.check
    if check is None:
        raise ValueError(f"rule {rule.id!r} has no check")
    found = _recorded(rule, case)
    if found is None or found.value is None:
        reason = "its measure was not taken when the part was inspected" if found is None else found.reason
        return Measurement(rule.id, check.measure, None, "", None, reason)
    low = check.min is not None and found.value < check.min
    high = check.max is not None and found.value > check.max
    limits = [f"{name} {bound:g}" for name, bound in (("min", check.min), ("max", check.max)) if bound is not None]
    reason = f"{rounded(found.value, 4)} {found.unit} against {', '.join(limits)}"
    return replace(found, rule_id=rule.id, passed=not (low or high), reason=reason)


def _recorded(rule: Rule, case: Case) -> Measurement | None:
    """Return the recorded measurement of the same measure and channel, of whatever rule."""
    if rule.check is None:
        return None
    wanted = (rule.check.measure, rule.check.channel)
    for one in case.evidence.measurements:
        known = case.rules.rule(one.rule_id)
        if known is not None and known.check is not None and (known.check.measure, known.check.channel) == wanted:
            return one
    return None


def _opinion(case: Case, book: RuleBook, evidence: Evidence, views: Sequence[View]) -> Verdict | ParseError:
    """Return what the kept replies say of the rules of another book; offline, what the evidence does."""
    if not is_by_model(case.opinion):
        return judge_evidence(evidence, book, views, case.question)
    return read_opinion(case, book, evidence, views)


def _outcome_before(case: Case, old: RuleBook) -> Outcome:
    """Return the outcome under the rules of now; the recorded one where the case was inspected by them."""
    same = case.rules.model_dump() == old.model_dump()
    return case.inspection.outcome if same else fuse_again(case, old).outcome


def _untold(case: Case, proposal: Proposal) -> Iterator[str]:
    """Yield what the record cannot tell of a change."""
    for rule in proposal.new.rules:
        if proposal.old.rule(rule.id) == rule:
            continue
        if rule.check is not None:
            if _recorded(rule, case) is None:
                yield f"{rule.check.measure} was not measured when it was inspected"
        elif is_by_model(case.opinion):
            asked = case.rules.rule(rule.id)
            if asked is None or asked.text != rule.text:
                yield f"{case.inspection.model} was not asked about rule {rule.id} in these words"


def _because(inspection: Inspection) -> str:
    failed = [f"{row.id}: {row.reason}" for row in inspection.rules if row.status == "fail"]
    told = failed or list(inspection.review_reasons) or [f"P(anomalous) {probability_words(inspection.score)}"]
    return told[0]


@contextmanager
def _part_of(case: Case) -> Iterator[Path]:
    """Give the part of a case: where it was, or else as it was kept."""
    if case.source.exists() and sha256_of(case.source) == case.inspection.provenance.input_sha256:
        yield case.source
        return
    if not case.input_names:
        raise StoreError(f"{case.source.name} is gone or has changed since, so that it cannot be measured again")
    with tempfile.TemporaryDirectory() as folder:
        yield case.write_input(Path(folder))


class _Measured:
    """Measures parts again with the references of another rule book."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._inspectors: dict[str, Inspector] = {}

    def fuse(self, case: Case) -> Inspection:
        """Return what a case amounts to when its part is measured against the references.

        Raises:
            InspectError, ConversionError: its file is gone or another one, or it cannot be measured.
        """
        inspector = self._inspector(case)
        with _part_of(case) as part:
            prepared = inspector.prepare(part, case.question)
        opinion = _opinion(case, self._book, prepared.evidence, prepared.views)
        told = case.inspection
        record = Record(
            self._book,
            prepared.views,
            told.model,
            told.localizer,
            told.usage,
            prepared.provenance,
            case.question,
            told.source,
        )
        return fuse(opinion, prepared.evidence, case.thresholds, record)

    def _inspector(self, case: Case) -> Inspector:
        told = config_of(case)
        name = told.localizer.name
        if name == AUTO:
            name = "none" if case.inspection.localizer in ("none", *OWN_NAMES) else "memory"
        config = InspectorConfig(localizer=told.localizer.model_copy(update={"name": name}), views=told.views)
        key = config.model_dump_json()
        if key not in self._inspectors:
            made = config.build()
            references = tuple(resolve_references(self._book))
            self._inspectors[key] = replace(made, rules=self._book, references=references)
        return self._inspectors[key]
