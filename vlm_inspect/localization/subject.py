"""What a part is called, and what may be wrong with it: all that a rule book tells a localizer."""

import math
from dataclasses import dataclass

from converters.view import BoxXyxyn
from vlm_inspect.rules import RuleBook
from vlm_inspect.sensitivity.smallest import SmallestDefect

ANY_CLASS = "part"


@dataclass(frozen=True)
class Subject:
    """What a localizer knows of a class before it sees a sample."""

    class_name: str = ANY_CLASS
    """ "metal nut", as a person says it."""
    defects: tuple[str, ...] = ()
    """The vocabulary of defect types; empty: the localizer uses its own."""
    unit: str = "mm"
    """Unit of the coordinates of a scan."""
    ignore: tuple[BoxXyxyn, ...] = ()
    """Boxes of the whole picture that never count."""
    smallest_defect: SmallestDefect | None = None
    """The smallest that matters; None: sizes as they usually are."""
    deviation_limit: float | None = None
    """Largest deviation of a scan from its reference that a rule allows, in `unit`; infinite where the rule book has
    other checks of scans alone; None without any: the references must say what is normal."""


ANY_SUBJECT = Subject()
"""What is assumed without a rule book."""


def subject_of(rules: RuleBook) -> Subject:
    """Return what a rule book says of its class."""
    return Subject(
        class_name=rules.class_name.replace("_", " ").strip() or ANY_CLASS,
        defects=tuple(rules.defects),
        unit=rules.unit,
        ignore=rules.ignore,
        smallest_defect=rules.smallest_defect,
        deviation_limit=_deviation_limit(rules),
    )


def _deviation_limit(rules: RuleBook) -> float | None:
    from vlm_inspect.measurement.registry import MEASURES

    checks = [rule.check for rule in rules.rules if rule.check is not None and rule.severity != "minor"]
    checks = [check for check in checks if "point_cloud" in MEASURES[check.measure].kinds]
    limits = [check.max for check in checks if check.measure == "max_deviation" and check.max is not None]
    return min(limits, default=math.inf if checks else None)
