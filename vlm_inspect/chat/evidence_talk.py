"""The `evidence` model in the dialogue: answers from the case's record, with the places that they rest on."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vlm_inspect.chat.answer import Answer, Listener, probability_words
from vlm_inspect.chat.places import NumberedPlace, number_places
from vlm_inspect.errors import PromptError
from vlm_inspect.offline.wording import load_wording
from vlm_inspect.store.case import Case, Turn
from vlm_inspect.tools.material import permille
from vlm_inspect.tools.toolbox import Toolbox

MOST_PLACES = 3
"""Most places that one answer lists."""
_REGION = re.compile(r"\b(?:region|place|mark|defect|spot)s?\s*(?:no\.?|number|#)?\s*(\d{1,3})\b", re.IGNORECASE)
_SHOW = re.compile(r"\b(?:show|zoom|see|look|display|picture)\b", re.IGNORECASE)


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    intent: str
    words: tuple[str, ...]


class TalkWords(BaseModel):
    """The sentences, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str
    questions: tuple[_Question, ...]
    answers: Mapping[str, str]

    def say(self, name: str, **values: Any) -> str:
        """Return one sentence, filled in.

        Raises:
            PromptError: there is no such sentence, or it names a value that it does not get.
        """
        try:
            return self.answers[name].format(**values)
        except (KeyError, IndexError, ValueError) as error:
            raise PromptError(f"chat_evidence.yaml: answers.{name}: missing or unknown name {error}") from error

    def intents(self, question: str) -> list[str]:
        """Return what a question asks for, in the order of the file."""
        plain = " ".join(question.lower().replace("’", "'").split())
        return [
            entry.intent
            for entry in self.questions
            if any(re.search(rf"(?<!\w){re.escape(words)}(?!\w)", plain) for words in entry.words)
        ]


@cache
def load_talk_words() -> TalkWords:
    """Read the sentences that come with the program.

    Raises:
        PromptError: the file is missing or wrong.
    """
    from vlm_inspect.prompt_files import prompt_folder

    path = prompt_folder() / "words" / "chat_evidence.yaml"
    try:
        return TalkWords.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise PromptError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error


class EvidenceSpeaker:
    """Answers from the record, offline; says what it cannot answer."""

    def __init__(self, case: Case, toolbox: Toolbox) -> None:
        """Talk about a case; the toolbox cuts out what is to be shown."""
        self._case = case
        self._toolbox = toolbox
        self._words = load_talk_words()

    def answer(self, question: str, turns: Sequence[Turn], listener: Listener) -> Answer:
        """Answer one question; the turns so far play no part."""
        del turns
        answer = Answer()
        places = number_places(self._case)
        named = [int(number) for number in _REGION.findall(question)]
        chosen = [place for place in places if place.number in named]
        missing = [number for number in named if number > len(places) or number < 1]
        said = [self._no_such(number, len(places)) for number in missing]
        if named and _SHOW.search(question):
            said += [self._show(place, answer, listener) for place in chosen]
        else:
            said += self._replies(
                question, chosen or places, chosen=bool(named), all_missing=bool(named and not chosen)
            )
        text = " ".join([*dict.fromkeys(said), self._words.identity])
        listener.words(text)
        answer.text = text
        return answer

    def show(self, number: int, answer: Answer, listener: Listener) -> str:
        """Cut out one region, beside its references where there are any; returns what is said of it."""
        places = number_places(self._case)
        if not 1 <= number <= len(places):
            return self._no_such(number, len(places))
        return self._show(places[number - 1], answer, listener)

    def _replies(self, question: str, places: Sequence[NumberedPlace], *, chosen: bool, all_missing: bool) -> list[str]:
        if all_missing:
            return []
        intents = self._words.intents(question)
        if not intents and chosen:
            intents = ["where"]
        if not intents:
            return [self._words.say("unknown")]
        if {"what", "verdict"} & set(intents):  # both say where, too
            intents = [intent for intent in intents if intent != "where"]
        replies: dict[str, Callable[[Sequence[NumberedPlace]], Iterator[str]]] = {
            "verdict": self._verdict,
            "what": self._what,
            "where": self._where,
            "size": self._size,
            "count": self._count,
            "rule": self._rules,
            "measure": self._measured,
            "compared": self._compared,
            "sure": self._sure,
        }
        return [sentence for intent in intents for sentence in replies[intent](places)]

    def _show(self, place: NumberedPlace, answer: Answer, listener: Listener) -> str:
        arguments = json.dumps({"view": place.view, "box": list(permille(place.box_xyxyn))})
        beside = ""
        for name in ("zoom", "compare_with_references"):
            result = self._toolbox.call(name, arguments)
            answer.record(name, arguments, result)
            listener.called(name, arguments, result)
            if name != "zoom" and not result.failed:
                beside = self._words.say("beside")
        return self._words.say("shown", number=place.number, word=place.word, beside=beside, citation=place.citation)

    def _no_such(self, number: int, count: int) -> str:
        known = self._words.say("known_regions", count=count) if count else self._words.say("known_none")
        return self._words.say("no_such_region", number=number, known=known)

    def _verdict(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        told = self._case.inspection
        yield self._words.say("verdict", outcome=told.outcome, score=probability_words(told.score))
        if told.review_reasons:
            yield self._words.say("verdict_reason", reasons="; ".join(told.review_reasons))
        yield from self._what(places)

    def _what(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        failed = [row for row in self._case.inspection.rules if row.status == "fail"]
        for row in failed:
            yield self._words.say("rule_fails", id=row.id, reason=row.reason.rstrip("."))
        counting = [place for place in places if place.counts]
        if counting:
            yield from self._where(counting)
        elif not failed and self._case.evidence.status == "within":
            yield self._words.say("nothing")
        elif places:
            yield from self._where(places[:1])

    def _where(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        if not places:
            yield self._words.say("no_place")
        counting = [place for place in places if place.counts]
        for place in (counting or places)[:MOST_PLACES]:
            sentence = self._sentence(place)
            yield (
                sentence
                if place.counts or not place.region or not place.region.calibrated
                else (self._words.say("place_weak") + sentence)
            )

    def _sentence(self, place: NumberedPlace) -> str:
        if place.region is None:
            return self._words.say("place_model", number=place.number, word=place.word, citation=place.citation)
        wording, unit = load_wording(), self._case.rules.unit
        where = wording.place(place.region, self._case.views[place.view].label, unit)
        sentence = wording.region(place.region, place.word, where, unit)
        return self._words.say("place", number=place.number, sentence=sentence, citation=place.citation)

    def _size(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        if not places:
            yield self._words.say("no_place")
        counting = [place for place in places if place.counts]
        for place in (counting or places)[:MOST_PLACES]:
            x0, y0, x1, y1 = place.box_xyxyn
            size = "" if place.region is None else load_wording().size(place.region, self._case.rules.unit)
            known = {"number": place.number, "word": place.word, "citation": place.citation}
            if size:
                yield self._words.say("size", size=size, **known)
            else:
                yield self._words.say("size_share", percent=f"{100 * (x1 - x0) * (y1 - y0):.2g}", **known)

    def _count(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        failed = sum(row.status == "fail" for row in self._case.inspection.rules)
        counting = sum(place.counts for place in places)
        yield self._words.say("count", count=counting, all=len(places), failed=failed)

    def _rules(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        del places
        rows = self._case.inspection.rules
        if not rows:
            yield self._words.say("no_rules")
        order = {"fail": 0, "cannot_tell": 1, "pass": 2}
        for row in sorted(rows, key=lambda row: order[row.status]):
            status = row.status.replace("_", " ")
            reason = row.reason.rstrip(".")
            yield self._words.say("rule_row", id=row.id, severity=row.severity, status=status, reason=reason)

    def _measured(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        del places
        measurements = self._case.evidence.measurements
        if not measurements:
            yield self._words.say("no_measure")
        for one in measurements:
            yield self._words.say("measured", measure=one.measure, id=one.rule_id, reason=one.reason.rstrip("."))

    def _compared(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        evidence = self._case.evidence
        if not evidence.reference_count:
            yield self._words.say("compared_none")
            return
        yield self._words.say("compared", count=evidence.reference_count, localizer=evidence.localizer)
        for place in places[:MOST_PLACES]:
            match = None if place.region is None else place.region.match
            if match is not None:
                reference = match.reference + 1
                yield self._words.say(
                    "compared_place", number=place.number, reference=reference, citation=place.citation
                )
        hottest = max(
            (one for one in evidence.maps if one.nearest_reference is not None),
            key=lambda one: one.probability or 0.0,
            default=None,
        )
        if hottest is not None and hottest.nearest_reference is not None:
            label = self._case.views[hottest.view].label
            number = hottest.nearest_reference + 1
            yield self._words.say("nearest", view=hottest.view, label=label, reference=number)

    def _sure(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        told = self._case.inspection
        calibrated = self._words.say("calibrated" if told.calibrated else "uncalibrated")
        yield self._words.say("sure", score=probability_words(told.score), calibrated=calibrated)
        for place in places[:MOST_PLACES]:
            if place.region is not None:
                name = "probability" if place.region.calibrated else "rank"
                probability = self._words.say(name, score=probability_words(place.region.score))
                yield self._words.say(
                    "sure_place", number=place.number, probability=probability, citation=place.citation
                )
        known = [one for one in self._case.evidence.maps if one.tolerance is not None]
        hottest = max(known, key=lambda one: one.probability or 0.0, default=None)
        if hottest is not None and hottest.tolerance is not None:
            peak, limit = f"{hottest.score:.3g}", f"{hottest.tolerance.limit:.3g}"
            yield self._words.say("map", view=hottest.view, source=hottest.source, peak=peak, limit=limit)
