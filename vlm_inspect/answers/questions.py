"""What a question asks for: its language, its topics, and the rules, measures and places that it names."""

from collections.abc import Sequence
from dataclasses import dataclass

from vlm_inspect.answers.language import DEFAULT, Language, Topic, fold, load_languages
from vlm_inspect.rules import Rule, RuleBook
from vlm_inspect.vocabulary import content_words

_OF_A_RULE = frozenset({"verdict", "why", "what", "measure", "rule", "sure"})
"""Topics beside which a part of a rule's name means the rule: "is the thread OK?", but not "how far from the head?"."""
_LEAST_LETTERS = 4
"""Of a part of a rule's name that stands for the rule."""


@dataclass(frozen=True)
class Question:
    """A question, read."""

    language: Language
    """That it is asked in; where nothing tells, that of the dialogue so far."""
    topics: tuple[Topic, ...] = ()
    rules: tuple[Rule, ...] = ()
    measures: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    """Numbers of places."""
    defects: tuple[str, ...] = ()
    """Words of the book's vocabulary."""
    is_of_part: bool = False
    """Whether it speaks of the part as a whole."""
    is_understood: bool = True
    """Whether anything in it was understood."""
    folded: str = ""
    """Its words, as `fold` writes them."""

    def speaks_of(self, name: str) -> bool:
        """Return whether it holds a name, whole, in any case."""
        return _names(fold(name), self.folded)


def read_question(text: str, book: RuleBook, *, usual: Language | None = None) -> Question:
    """Return what a question asks for.

    Args:
        text: in any of the languages there are words for.
        book: whose rules and defects it may name.
        usual: the language where the question does not tell it; None: English.
    """
    folded = fold(text)
    language = tell_language(folded, usual) or load_languages()[DEFAULT]
    topics = language.topics(folded)
    numbers = language.numbers(folded)
    defects = tuple(word for word in book.defects if _names(fold(word), folded))
    measures = tuple(name for name, words in _measure_words(language).items() if language.finds(words, folded))
    rules = _named_rules(folded, topics, book)
    is_of_part = language.finds((*language.part, book.class_name), folded)
    chosen = _topics(
        topics, named=bool(rules), measured=bool(measures), placed=bool(numbers or defects) and not is_of_part
    )
    if measures and is_of_part:
        chosen = [topic for topic in chosen if topic not in ("size", "depth")]
    if not chosen and (numbers or defects):
        chosen = ["where"]
    if not chosen and not rules:
        rules = _rules_by_words(text, book, language)
        chosen = ["rule"] if rules else []
    return Question(
        language,
        tuple(chosen),
        rules,
        measures,
        tuple(numbers),
        defects,
        is_of_part,
        is_understood=bool(chosen),
        folded=folded,
    )


def tell_language(folded: str, usual: Language | None = None) -> Language | None:
    """Return the language of a folded question; None where nothing tells it.

    Args:
        folded: the question.
        usual: which is meant where several fit equally, or where the question only is in its script.
    """
    weights = [(language.weight(folded), language) for language in load_languages().values()]
    heaviest = max(weight for weight, _ in weights)
    if not heaviest:
        return usual if usual is not None and usual.may_write(folded) else None
    fitting = [language for weight, language in weights if weight == heaviest]
    return usual if usual is not None and usual in fitting else fitting[0]


def _topics(found: Sequence[Topic], *, named: bool, measured: bool, placed: bool) -> list[Topic]:
    """Return the topics that are answered: none twice, and none that another one answers."""
    topics = list(found)
    if named:
        topics = [topic for topic in topics if topic not in ("verdict", "why", "what", "measure")]
        topics += [] if "rule" in topics else ["rule"]
    if measured and not placed and "measure" not in topics and not named:
        topics.append("measure")
    if measured:  # "how many holes" has a value of its own
        topics = [topic for topic in topics if topic != "count"]
    if "missed" in topics:
        topics = [
            topic for topic in topics if topic not in ("what", "where", "size", "count", "verdict", "measure", "show")
        ]
    if {"ship", "why"} & set(topics):  # both say the outcome
        topics = [topic for topic in topics if topic != "verdict"]
    if {"ship", "verdict", "why", "what", "axis"} & set(topics):
        topics = [topic for topic in topics if topic != "where"]
    if {"ship", "verdict", "why"} & set(topics):  # all three say what was found
        topics = [topic for topic in topics if topic != "what"]
    if len(topics) > 1:
        topics = [topic for topic in topics if topic != "topics"]
    return topics


def _measure_words(language: Language) -> dict[str, tuple[str, ...]]:
    """Return the words for every measure: its own name, and those of the language."""
    from vlm_inspect.measurement.registry import MEASURES

    return {name: (name, *language.measures.get(name, ())) for name in MEASURES}


def _named_rules(folded: str, topics: Sequence[Topic], book: RuleBook) -> tuple[Rule, ...]:
    """Return the rules that a question names by their ids, or by a part of one."""
    whole = tuple(rule for rule in book.rules if _names(fold(rule.id), folded))
    if whole or not set(topics) <= _OF_A_RULE:
        return whole
    return tuple(rule for rule in book.rules if any(_names(part, folded) for part in _parts(rule)))


def _parts(rule: Rule) -> list[str]:
    return [part for part in fold(rule.id).split() if len(part) >= _LEAST_LETTERS]


def _names(name: str, folded: str) -> bool:
    """Return whether a folded question holds a folded name; in signs it may stand anywhere."""
    if not name:
        return False
    return f" {name} " in f" {folded} " or (not name.isascii() and name.replace(" ", "") in folded.replace(" ", ""))


def _rules_by_words(text: str, book: RuleBook, language: Language) -> tuple[Rule, ...]:
    """Return the rules whose text shares a telling word with a question that says nothing else."""
    small = {fold(word) for word in language.tells}
    words = {word for word in content_words(text) - content_words(book.class_name) if len(word) >= _LEAST_LETTERS}
    return tuple(rule for rule in book.rules if (words - small) & content_words(f"{rule.id} {rule.text}"))
