"""A question and a record give sentences: every topic of the question is answered, in the language it is asked in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vlm_inspect.answers.curve_questions import is_curve, of_curve, tell_measurable, tell_quiet_channels
from vlm_inspect.answers.language import Language, Topic, load_languages
from vlm_inspect.answers.place_answers import has_sizes, tell_axis, tell_count, tell_depth, tell_size, tell_where
from vlm_inspect.answers.places import NumberedPlace, SeenPlace
from vlm_inspect.answers.questions import Question
from vlm_inspect.answers.record import PartRecord
from vlm_inspect.answers.rule_answers import tell_comparison, tell_measures, tell_rules
from vlm_inspect.answers.trust_answers import (
    tell_findings,
    tell_missed,
    tell_outcome,
    tell_shipping,
    tell_sureness,
    tell_undecided,
    tell_why,
)

_OF_PLACES: dict[Topic, Callable[[PartRecord, Language, Sequence[SeenPlace]], Iterator[str]]] = {
    "ship": tell_shipping,
    "verdict": tell_outcome,
    "why": tell_why,
    "what": tell_findings,
    "axis": tell_axis,
    "where": tell_where,
    "size": tell_size,
    "depth": tell_depth,
    "count": tell_count,
    "compared": tell_comparison,
    "sure": tell_sureness,
}
_OF_FINDINGS: frozenset[Topic] = frozenset({"what", "where", "count"})
_OF_OUTCOME: frozenset[Topic] = frozenset({"ship", "verdict", "why"})
"""Topics whose answers name the outcome; a question of findings alone gets it beside them where it is REVIEW."""


@dataclass(frozen=True)
class Chosen:
    """The places that a question is about."""

    places: Sequence[SeenPlace]
    missing: Sequence[int] = ()
    """Numbers that no place has."""
    unknown_defects: Sequence[str] = ()
    """Defects that it names and no place may be."""


def choose_places(question: Question, record: PartRecord) -> Chosen:
    """Return the places that a question names, by number or by defect; all of them where it names none."""
    known = {number: place for place in record.places for number in place.numbers}
    if question.numbers:
        named = [known[number] for number in question.numbers if number in known]
        return Chosen(_each_once(named), [number for number in question.numbers if number not in known])
    if question.defects:
        wanted = set(question.defects)
        bearing = [place for place in record.places if any(wanted & {one.word, *one.kinds} for one in _views(place))]
        if bearing:
            return Chosen(bearing)
        return Chosen(record.places, unknown_defects=question.defects)
    return Chosen(record.places)


def answer_question(question: Question, record: PartRecord, language: Language) -> list[str]:
    """Return the sentences that answer a question.

    Args:
        question: what is asked.
        record: of the part.
        language: of the answer.

    Raises:
        PromptError: the words of the language are wrong.
    """
    curve = is_curve(record)
    if curve:
        question = of_curve(question, record)
    chosen = choose_places(question, record)
    said = [_no_such(number, len(record.numbered), language) for number in chosen.missing]
    if question.numbers and not chosen.places:
        return said
    if not question.is_understood:
        return [*said, *tell_topics(language, unknown=True)]
    said += [language.say("no_such_defect", defect=word) for word in chosen.unknown_defects]
    if set(question.topics) & _OF_FINDINGS and not set(question.topics) & _OF_OUTCOME:
        said += tell_undecided(record, language)
    if curve:
        said += tell_quiet_channels(question, record, language)
    for topic in question.topics:
        if topic == "size" and "where" in question.topics and has_sizes(chosen.places):
            continue  # who says where a place is says how far it reaches
        said += _answers(topic, question, record, language, chosen.places)
    if curve and "measure" in question.topics and not any(row.measurement for row in record.rows):
        said += tell_measurable(language)
    return list(dict.fromkeys(said))


def tell_topics(language: Language, *, unknown: bool) -> Iterator[str]:
    """Say what can be asked, and in which languages."""
    if unknown:
        yield language.say("unknown")
    yield language.say("topics")
    yield language.say("languages", languages=", ".join(language.put(name) for name in load_languages()))


def _answers(
    topic: Topic, question: Question, record: PartRecord, language: Language, places: Sequence[SeenPlace]
) -> Iterator[str]:
    if topic in _OF_PLACES:
        return _OF_PLACES[topic](record, language, places)
    if topic == "rule":
        return tell_rules(record, language, question.rules)
    if topic == "measure":
        return tell_measures(record, language, question.measures)
    if topic == "missed":
        return tell_missed(record, language)
    if topic == "show":  # who shows pictures does so itself
        return tell_where(record, language, places[:1])
    return tell_topics(language, unknown=False)


def _no_such(number: int, count: int, language: Language) -> str:
    known = language.say("known_regions", count=count) if count else language.say("known_none")
    return language.say("no_such_region", number=number, known=known)


def _each_once(places: Sequence[SeenPlace]) -> list[SeenPlace]:
    return list({place.first.number: place for place in places}.values())


def _views(place: SeenPlace) -> tuple[NumberedPlace, ...]:
    return place.first, *place.others
