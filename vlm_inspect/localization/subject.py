"""What a part is called, and what may be wrong with it: all that a localizer learns in words."""

from dataclasses import dataclass

from vlm_inspect.rules import RuleBook

ANY_CLASS = "part"


@dataclass(frozen=True)
class Subject:
    """The words that text-driven localizers work with."""

    class_name: str = ANY_CLASS
    """ "metal nut", as a person says it."""
    defects: tuple[str, ...] = ()
    """The vocabulary of defect types; empty: the localizer uses its own."""


ANY_SUBJECT = Subject()
"""What is assumed without a rule book."""


def subject_of(rules: RuleBook) -> Subject:
    """Return the words of a rule book."""
    return Subject(rules.class_name.replace("_", " ").strip() or ANY_CLASS, tuple(rules.defects))
