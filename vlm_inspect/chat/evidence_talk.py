"""The `evidence` model in the dialogue: answers from the case's record, with the places that they rest on."""

import json
from collections.abc import Sequence
from functools import cached_property

from vlm_inspect.answers.answering import answer_question, choose_places
from vlm_inspect.answers.language import DEFAULT, Language, fold, load_languages
from vlm_inspect.answers.places import NumberedPlace
from vlm_inspect.answers.questions import Question, read_question, tell_language
from vlm_inspect.answers.record import PartRecord, rule_rows
from vlm_inspect.chat.answer import Answer, Listener
from vlm_inspect.chat.places import number_places
from vlm_inspect.citation import permille
from vlm_inspect.errors import InspectError
from vlm_inspect.evidence import Measurement
from vlm_inspect.store.case import Case, Turn
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.toolbox import Toolbox


class EvidenceSpeaker:
    """Answers from the record, offline, in the language of the question; says what it cannot answer."""

    def __init__(self, case: Case, material: Material, toolbox: Toolbox, language: Language | None = None) -> None:
        """Talk about a case.

        Args:
            case: what is talked about.
            material: what is measured when a question asks for what no rule does.
            toolbox: cuts out what is to be shown.
            language: of every answer; None: that of the question, else that of the question before.
        """
        self._case = case
        self._material = material
        self._toolbox = toolbox
        self._language = language

    @cached_property
    def _record(self) -> PartRecord:
        """What the case knows; raises StoreError where its files are gone."""
        case = self._case
        told = [(row.id, row.status, row.reason) for row in case.inspection.rules]
        return PartRecord(
            book=case.rules,
            views=case.views,
            evidence=case.evidence,
            rows=rule_rows(case.rules, told, case.evidence.measurements),
            numbered=number_places(case),
            inspection=case.inspection,
            measure=lambda name: _measure_now(self._material, name),
        )

    def answer(self, question: str, turns: Sequence[Turn], listener: Listener) -> Answer:
        """Answer one question; of the turns so far only their language plays a part."""
        answer = Answer()
        read = read_question(question, self._record.book, usual=self._language or _language_so_far(turns))
        language = self._language or read.language
        shown = self._to_show(read)
        if shown:
            said = [self._show(place, answer, listener, language) for place in shown]
        else:
            said = answer_question(read, self._record, language)
        answer.text = language.join([*said, language.say("identity")])
        listener.words(answer.text)
        return answer

    def show(self, number: int, answer: Answer, listener: Listener) -> str:
        """Cut out one region, beside its references where there are any; returns what is said of it."""
        language = self._language or load_languages()[DEFAULT]
        places = self._record.numbered
        if not 1 <= number <= len(places):
            question = Question(language, ("show",), numbers=(number,))
            return language.join(answer_question(question, self._record, language))
        return self._show(places[number - 1], answer, listener, language)

    def _to_show(self, question: Question) -> list[NumberedPlace]:
        """Return the places that a question asks to be shown; none where it asks for something else besides."""
        if "show" not in question.topics or not set(question.topics) <= {"show", "where", "what", "verdict"}:
            return []
        if question.numbers:
            return [one for one in self._record.numbered if one.number in question.numbers]
        places = choose_places(question, self._record).places
        return [place.first for place in places[:1]]

    def _show(self, place: NumberedPlace, answer: Answer, listener: Listener, language: Language) -> str:
        arguments = json.dumps({"view": place.view, "box": list(permille(place.box_xyxyn))})
        beside = ""
        for name in ("zoom", "compare_with_references"):
            result = self._toolbox.call(name, arguments)
            answer.record(name, arguments, result)
            listener.called(name, arguments, result)
            if name != "zoom" and not result.failed:
                beside = language.say("beside")
        word = language.put(place.word)
        return language.say("shown", number=place.number, word=word, beside=beside, citation=place.citation)


def _language_so_far(turns: Sequence[Turn]) -> Language | None:
    """Return the language of the latest question that tells one."""
    told: Language | None = None
    for turn in turns:
        if turn.role == "user" and not turn.text.startswith("/"):
            told = tell_language(fold(turn.text), told) or told
    return told


def _measure_now(material: Material, name: str) -> Measurement:
    """Measure the part where its file, or a copy, is there; else say why it cannot be."""
    from vlm_inspect.measured_checks import measure_plainly

    try:
        return measure_plainly(name, material.sample, unit=material.rules.unit)
    except InspectError as error:
        return Measurement("", name, None, "", None, str(error))
