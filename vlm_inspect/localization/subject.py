"""What a part is called, and what may be wrong with it: all that a rule book tells a localizer."""

from dataclasses import dataclass

from vlm_inspect.rules import RuleBook

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


ANY_SUBJECT = Subject()
"""What is assumed without a rule book."""


def subject_of(rules: RuleBook) -> Subject:
    """Return what a rule book says of its class."""
    return Subject(rules.class_name.replace("_", " ").strip() or ANY_CLASS, tuple(rules.defects), rules.unit)
