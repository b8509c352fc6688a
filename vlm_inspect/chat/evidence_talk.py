"""The `evidence` model in the dialogue: answers from the case's record, with the places that they rest on."""

import json
import re
from collections.abc import Callable, Iterator, Sequence

from vlm_inspect.chat.answer import Answer, Listener
from vlm_inspect.chat.places import NumberedPlace, number_places
from vlm_inspect.offline.wording import load_wording, probability_words
from vlm_inspect.store.case import Case, Turn
from vlm_inspect.tools.material import permille
from vlm_inspect.tools.toolbox import Toolbox

MOST_PLACES = 3
"""Most places that one answer lists."""
_REGION = re.compile(r"\b(?:region|place|mark|defect|spot)s?\s*(?:no\.?|number|#)?\s*(\d{1,3})\b", re.IGNORECASE)
_SHOW = re.compile(r"\b(?:show|zoom|see|look|display|picture)\b", re.IGNORECASE)


class EvidenceSpeaker:
    """Answers from the record, offline; says what it cannot answer."""

    def __init__(self, case: Case, toolbox: Toolbox) -> None:
        """Talk about a case; the toolbox cuts out what is to be shown."""
        self._case = case
        self._toolbox = toolbox
        self._wording = load_wording()

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
        text = " ".join([*dict.fromkeys(said), self._wording.dialogue_identity])
        listener.words(text)
        answer.text = text
        return answer

    def show(self, number: int, answer: Answer, listener: Listener) -> str:
        """Cut out one region, beside its references where there are any; returns what is said of it."""
        places = number_places(self._case)
        if not 1 <= number <= len(places):
            return self._no_such(number, len(places))
        return self._show(places[number - 1], answer, listener)

    def _say(self, name: str, **values: object) -> str:
        return self._wording.say("dialogue", name, **values)

    def _replies(self, question: str, places: Sequence[NumberedPlace], *, chosen: bool, all_missing: bool) -> list[str]:
        if all_missing:
            return []
        intents = self._wording.intents(question)
        if not intents and chosen:
            intents = ["where"]
        if not intents:
            return [self._say("unknown")]
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
                beside = self._say("beside")
        return self._say("shown", number=place.number, word=place.word, beside=beside, citation=place.citation)

    def _no_such(self, number: int, count: int) -> str:
        known = self._say("known_regions", count=count) if count else self._say("known_none")
        return self._say("no_such_region", number=number, known=known)

    def _verdict(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        told = self._case.inspection
        yield self._say("verdict", outcome=told.outcome, score=probability_words(told.score))
        if told.review_reasons:
            yield self._say("verdict_reason", reasons="; ".join(told.review_reasons))
        yield from self._what(places)

    def _what(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        failed = [row for row in self._case.inspection.rules if row.status == "fail"]
        for row in failed:
            yield self._say("rule_fails", id=row.id, reason=row.reason.rstrip("."))
        counting = [place for place in places if place.counts]
        if counting:
            yield from self._where(counting)
        elif not failed and self._case.evidence.status == "within":
            yield self._say("nothing")
        elif places:
            yield from self._where(places[:1])

    def _where(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        if not places:
            yield self._say("no_place")
        counting = [place for place in places if place.counts]
        for place in (counting or places)[:MOST_PLACES]:
            sentence = self._sentence(place)
            yield (
                sentence
                if place.counts or not place.region or not place.region.calibrated
                else (self._say("place_weak") + sentence)
            )

    def _sentence(self, place: NumberedPlace) -> str:
        if place.region is None:
            return self._say("place_model", number=place.number, word=place.word, citation=place.citation)
        wording, unit = self._wording, self._case.rules.unit
        where = wording.place(place.region, self._case.views[place.view].label, unit)
        sentence = wording.region(place.region, place.word, where, unit)
        return self._say("place", number=place.number, sentence=sentence, citation=place.citation)

    def _size(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        if not places:
            yield self._say("no_place")
        counting = [place for place in places if place.counts]
        for place in (counting or places)[:MOST_PLACES]:
            x0, y0, x1, y1 = place.box_xyxyn
            size = "" if place.region is None else self._wording.size(place.region, self._case.rules.unit)
            known = {"number": place.number, "word": place.word, "citation": place.citation}
            if size:
                yield self._say("size", size=size, **known)
            else:
                yield self._say("size_share", percent=f"{100 * (x1 - x0) * (y1 - y0):.2g}", **known)

    def _count(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        failed = sum(row.status == "fail" for row in self._case.inspection.rules)
        counting = sum(place.counts for place in places)
        yield self._say("count", count=counting, all=len(places), failed=failed)

    def _rules(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        del places
        rows = self._case.inspection.rules
        if not rows:
            yield self._say("no_rules")
        order = {"fail": 0, "cannot_tell": 1, "not_checked": 2, "pass": 3}
        for row in sorted(rows, key=lambda row: order[row.status]):
            status = row.status.replace("_", " ")
            reason = row.reason.rstrip(".")
            yield self._say("rule_row", id=row.id, severity=row.severity, status=status, reason=reason)

    def _measured(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        del places
        measurements = self._case.evidence.measurements
        if not measurements:
            yield self._say("no_measure")
        for one in measurements:
            yield self._say("measured", measure=one.measure, id=one.rule_id, reason=one.reason.rstrip("."))

    def _compared(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        evidence = self._case.evidence
        yield self._wording.compared(evidence)
        if not evidence.reference_count:
            return
        for place in places[:MOST_PLACES]:
            match = None if place.region is None else place.region.match
            if match is not None:
                reference = match.reference + 1
                yield self._say("compared_place", number=place.number, reference=reference, citation=place.citation)
        hottest = max(
            (one for one in evidence.maps if one.nearest_reference is not None),
            key=lambda one: one.probability or 0.0,
            default=None,
        )
        if hottest is not None and hottest.nearest_reference is not None:
            label = self._case.views[hottest.view].label
            number = hottest.nearest_reference + 1
            yield self._say("nearest", view=hottest.view, label=label, reference=number)

    def _sure(self, places: Sequence[NumberedPlace]) -> Iterator[str]:
        told = self._case.inspection
        calibrated = self._say("calibrated" if told.calibrated else "uncalibrated")
        yield self._say("sure", score=probability_words(told.score), calibrated=calibrated)
        for place in places[:MOST_PLACES]:
            if place.region is not None:
                name = "probability" if place.region.calibrated else "rank"
                probability = self._say(name, score=probability_words(place.region.score))
                yield self._say("sure_place", number=place.number, probability=probability, citation=place.citation)
        known = [one for one in self._case.evidence.maps if one.tolerance is not None]
        hottest = max(known, key=lambda one: one.probability or 0.0, default=None)
        if hottest is not None and hottest.tolerance is not None:
            peak, limit = f"{hottest.score:.3g}", f"{hottest.tolerance.limit:.3g}"
            yield self._say("map", view=hottest.view, source=hottest.source, peak=peak, limit=limit)
