"""What is reported of a class before any part: sensitivity, examples, what more references would give."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm_inspect.class_reports.held_up import HeldUp, held_up
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.ignored import blanked
from vlm_inspect.localization.composition import FittedClass
from vlm_inspect.localization.subject import subject_of
from vlm_inspect.qualification.advice import advise, expected_ok
from vlm_inspect.qualification.examples import Example, show_examples
from vlm_inspect.qualification.qualify import Qualification, qualify
from vlm_inspect.references import ReferenceSet, kind_of_references
from vlm_inspect.sensitivity.record import Sensitivity

if TYPE_CHECKING:
    from vlm_inspect.inspector import Inspector

Say = Callable[[str], None]
_NUMBERS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, eq=False)
class ClassReport:
    """What the references of a class can tell."""

    class_name: str
    sensitivity: Sensitivity
    expected_ok: dict[int, float]
    """Number of references -> share of normal parts that would come out OK, if further ones differ as these do."""
    advice: str
    held_up: HeldUp
    """How many of all planted defects were held up, and how sure that is."""
    held_up_by_kind: Mapping[str, HeldUp]
    examples: tuple[Example, ...] = ()

    def trade(self) -> str:
        """Say that defects and normal parts are held up alike."""
        share = self.expected_ok[self.sensitivity.references]
        if not share:
            return "held up is not OK, and no part of this class comes out OK: this says nothing of the defects"
        return (
            f"held up is not OK: about {100 * (1 - share):.0f} % of normal parts are held up, too; fewer references "
            "can hold up more of both, so compare both"
        )

    def model_text(self) -> str:
        """Return the figures as JSON."""
        told = {
            "class_name": self.class_name,
            "sensitivity": self.sensitivity.model_dump(),
            "expected_ok": {str(number): round(share, 3) for number, share in self.expected_ok.items()},
            "advice": self.advice,
            "held_up": {
                kind: {"found": one.found, "planted": one.planted, "ci95": [round(end, 3) for end in one.ci95]}
                for kind, one in {"all": self.held_up, **self.held_up_by_kind}.items()
            },
        }
        return json.dumps(told, ensure_ascii=False, indent=2)


def report_class(inspector: "Inspector", *, with_examples: bool = False, say: Say = lambda step: None) -> ClassReport:
    """Return what the references of an inspector can tell.

    Args:
        inspector: with rule book, references and localizer.
        with_examples: whether planted defects are to be shown.
        say: told what is being done.

    Raises:
        ReferenceSampleError: there are no references, or nothing can be planted on them.
        InspectError: a reference or the localizer cannot be used.
    """
    references, fitted, found = qualify_inspector(inspector, say)
    subject = subject_of(inspector.rules)
    examples: list[Example] = []
    if with_examples:
        say("drawing planted defects")
        seen = references.seen_by(lambda views: blanked(views, subject.ignore))
        examples = show_examples(seen, fitted, found, subject, inspector.budget, inspector.qualification)
    count, (every, by_kind) = len(references), held_up(found)
    return ClassReport(
        class_name=inspector.rules.class_name,
        sensitivity=found.sensitivity,
        expected_ok={number: expected_ok(found, number) for number in sorted({*_NUMBERS, count})},
        advice=advise(found) or "",
        held_up=every,
        held_up_by_kind=by_kind,
        examples=tuple(examples),
    )


def qualify_inspector(
    inspector: "Inspector", say: Say = lambda step: None
) -> tuple[ReferenceSet, FittedClass, Qualification]:
    """Return the references of an inspector, what is fitted to them, and what they can decide.

    Raises:
        ReferenceSampleError: there are no references, or nothing can be planted on them.
    """
    if not inspector.references:
        raise ReferenceSampleError("there are no references; name them in the rule book or with --reference")
    say("reading the references")
    kind = kind_of_references(inspector.references)
    references, fitted = inspector.fit(kind, progress=say)
    subject = subject_of(inspector.rules)
    members = fitted.scored
    seen = references.seen_by(lambda views: blanked(views, subject.ignore))
    found = qualify(seen, members, subject, inspector.budget, inspector.qualification) if members else None
    if found is None:
        raise ReferenceSampleError(
            "nothing can be planted on these references; it takes one photograph, or two scans, clips or curves, and "
            "another --localizer than none"
        )
    return references, fitted, found
