"""`Dialogue`: one turn over a case. A question goes in, an answer with its calls and pictures comes out, all recorded.

    dialogue = Dialogue(case, store, backend=load_backend("openai:gpt-4o"), rules_path=Path("screw.yaml"))
    answer = dialogue.ask("How deep is the dent?", listener)
    for proposal in dialogue.proposals(): ...

The question is in the store before anybody is asked, and the answer as soon as it is whole: a process that dies in the
middle of a turn loses that turn's answer and nothing else.
"""

from collections.abc import Callable
from pathlib import Path

from vlm_inspect.answers.language import named_language
from vlm_inspect.backends.backend import Backend
from vlm_inspect.backends.offline import EvidenceBackend
from vlm_inspect.chat.answer import Answer, Listener
from vlm_inspect.chat.citations import check_citations
from vlm_inspect.chat.conversation import open_conversation
from vlm_inspect.chat.corrections import Corrector, Proposal, ProposeChange
from vlm_inspect.chat.evidence_talk import EvidenceSpeaker
from vlm_inspect.chat.flips import Flips, find_flips
from vlm_inspect.chat.speakers import ModelSpeaker, Speaker
from vlm_inspect.store.case import Case, Judged
from vlm_inspect.store.case_store import CaseStore
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.toolbox import Tool, Toolbox


class Dialogue:
    """Talks over one case of a store; every turn, call and correction is kept there."""

    def __init__(
        self,
        case: Case,
        store: CaseStore,
        *,
        backend: Backend | None = None,
        rules_path: Path | None = None,
        by: str = "",
        timeout_s: float = 120.0,
        language: str | None = None,
    ) -> None:
        """Talk over a case.

        Args:
            case: from the store.
            store: where the case is.
            backend: the model that answers; None: `evidence`, offline.
            rules_path: the rule book that corrections change; None: corrections cannot be kept.
            by: who talks: the name that judgements of the part bear; without one none is kept.
            timeout_s: longest silence of a server in seconds.
            language: of every answer; None: that of each question. Without a model one of `load_languages` counts, and
                any other is left aside.
        """
        self.case = case
        self._store = store
        self._by = by
        self.corrector = Corrector(case, rules_path)
        self._material = Material(case, store, self.corrector.current())
        propose = Tool("propose_change", ProposeChange, self.corrector.take_call)
        self.toolbox = Toolbox(self._material, [propose])
        self._record_speaker = EvidenceSpeaker(
            case, self._material, self.toolbox, None if language is None else named_language(language)
        )
        self._speaker: Speaker = self._record_speaker
        self.model = EvidenceBackend().name
        if backend is not None and not isinstance(backend, EvidenceBackend):
            conversation = open_conversation(backend, case, timeout_s=timeout_s)
            self._speaker = ModelSpeaker(case, conversation, self.toolbox, language)
            self.model = backend.name

    def ask(self, question: str, listener: Listener) -> Answer:
        """Answer one question.

        Raises:
            InspectError: the model cannot be reached, or the case or the store cannot be read; the question is kept.
        """
        turns = self._store.turns(self.case.id)
        self._store.add_turn(self.case.id, "user", question)
        answer = self._speaker.answer(question, turns, listener)
        return self._keep(answer)

    def show(self, number: int, listener: Listener) -> Answer:
        """Show one numbered place, from the record, without asking a model; raises what `ask` raises."""
        self._store.add_turn(self.case.id, "user", f"/show {number}")
        answer = Answer()
        answer.text = self._record_speaker.show(number, answer, listener)
        listener.words(answer.text)
        return self._keep(answer)

    def judge(self, outcome: Judged, words: str) -> None:
        """Keep the engineer's own judgement of the part beside the inspection's.

        Raises:
            StoreError: it cannot be kept, or nobody knows who talks.
        """
        self._store.judge(self.case.id, outcome, by=self._by, reason=words)

    def take_proposals(self) -> list[Proposal]:
        """Return what the model proposed and nobody decided on; they are handed out once."""
        pending, self.corrector.pending = self.corrector.pending, []
        return pending

    def flips(self, proposal: Proposal, progress: Callable[[str], None] = lambda step: None) -> Flips:
        """Return what a proposal would have made of the cases of the class.

        Raises:
            StoreError: the store cannot be read.
        """
        return find_flips(self._store, proposal, self.case.id, progress)

    def decide(self, proposal: Proposal, *, accepted: bool) -> None:
        """Keep a decision, and on yes write the rule book.

        Raises:
            InspectError: the rule book changed meanwhile or cannot be written; then nothing is changed.
        """
        kept = self._store.add_correction(self.case.id, proposal.kind, proposal.payload)
        if accepted:
            proposal.apply()
            self._material.rules = self.corrector.current()
        self._store.decide_correction(self.case.id, kept.number, accepted=accepted)

    def _keep(self, answer: Answer) -> Answer:
        answer.notes += check_citations(answer.text, self.case.views)
        self._store.add_turn(self.case.id, "assistant", answer.text, tool_calls=answer.calls, pictures=answer.pictures)
        return answer
