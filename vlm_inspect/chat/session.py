"""`Session`: the loop on the screen. A line is a question or a slash command; one answer follows each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from converters.errors import ConversionError
from vlm_inspect.chat.answer import Answer
from vlm_inspect.chat.corrections import Proposal
from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.chat.flips import Flips
from vlm_inspect.chat.screen import Screen
from vlm_inspect.errors import InspectError, OutputError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.report.pictures import encode_png
from vlm_inspect.safe_text import plain_line
from vlm_inspect.tools.result import ToolResult

YES, NO = frozenset({"yes", "y"}), frozenset({"no", "n", ""})
MOST_LISTED = 20
"""Most flips, and most cases that the record does not decide, that are listed one by one."""


@dataclass(eq=False)
class Session:
    """One person, or one script, before one case."""

    dialogue: Dialogue
    screen: Screen
    pictures: Path
    """Folder that pictures are written to; made when the first one is."""
    run_command: "Callable[[Session, str], None]"
    """Carries out a line that begins with a slash (commands.py)."""
    failures: int = 0
    """Questions that got no answer."""
    _ahead: list[str] = field(default_factory=list)
    _written: int = 0

    def run(self) -> None:
        """Read and answer until /quit or the end of the input."""
        while (line := self._next_line()) is not None:
            text = line.strip()
            if not text:
                continue
            if text in {"/quit", "/exit"}:
                return
            try:
                if text.startswith("/"):
                    self.run_command(self, text)
                else:
                    self.ask(text)
            except KeyboardInterrupt:
                self.screen.say("\nstopped")
            except (InspectError, ConversionError, OSError) as error:
                self.failures += 1
                self.screen.say(f"error: {plain_line(str(error))}")
            self.screen.say()

    def ask(self, question: str) -> None:
        """Answer a question, then put what the model proposed to the person."""
        listener = _OnScreen(self)
        answer = self.dialogue.ask(question, listener)
        listener.end()
        self.tell_notes(answer)
        for proposal in self.dialogue.take_proposals():
            self.put(proposal)

    def show(self, number: int) -> None:
        """Show one numbered place."""
        listener = _OnScreen(self)
        answer = self.dialogue.show(number, listener)
        listener.end()
        self.tell_notes(answer)

    def tell_notes(self, answer: Answer) -> None:
        """Say what the reader of an answer should know."""
        for note in answer.notes:
            self.screen.say(f"note: {plain_line(note)}")

    def put(self, proposal: Proposal) -> None:
        """Show a proposal, what it would have turned, and ask; only a yes changes anything."""
        self.screen.say(f"Proposed: {plain_line(proposal.title)}")
        if proposal.reason:
            self.screen.say(f"because: {plain_line(proposal.reason)}")
        self.screen.say(proposal.diff)
        self._tell_flips(self.dialogue.flips(proposal))
        accepted = self._is_confirmed()
        self.dialogue.decide(proposal, accepted=accepted)
        self.screen.say(f"changed {proposal.path}" if accepted else "nothing changed")

    def keep_picture(self, name: str, picture: "object") -> None:
        """Write a picture to the folder, and say where."""
        import numpy as np

        self._written += 1
        path = self.pictures / f"{self._written:02d}-{name}.png"
        try:
            self.pictures.mkdir(parents=True, exist_ok=True)
            while path.exists():
                self._written += 1
                path = self.pictures / f"{self._written:02d}-{name}.png"
            write_atomically(path, encode_png(np.asarray(picture, dtype=np.uint8)))
        except OSError as error:
            raise OutputError(f"{self.pictures} cannot be written: {error.strerror or error}") from error
        self.screen.picture(path)

    def _tell_flips(self, flips: Flips) -> None:
        count = len(flips.flips)
        self.screen.say(
            f"Of {flips.compared} kept case(s) of this class, {count} would turn."
            if count
            else f"Of {flips.compared} kept case(s) of this class, none would turn."
        )
        for flip in flips.flips[:MOST_LISTED]:
            self.screen.say(f"  {flip.case_id} {flip.source}: {flip.before} -> {flip.now} ({plain_line(flip.because)})")
        if count > MOST_LISTED:
            self.screen.say(f"  and {count - MOST_LISTED} more")
        told = self.dialogue.case.inspection.outcome
        if flips.own == told:
            self.screen.say(f"This case stays {told}.")
        if flips.untold:
            self.screen.say(f"Not told by the record: {len(flips.untold)} case(s).")
        for line in flips.untold[:MOST_LISTED]:
            self.screen.say(f"  {plain_line(line)}")

    def _is_confirmed(self) -> bool:
        """Ask for yes or no; a line that is neither is no, and the next question."""
        if not self.screen.interactive:
            self.screen.say("Apply? yes or no")
        while True:
            line = self._ahead.pop(0) if self._ahead else self.screen.read("Apply? yes or no: ")
            word = "" if line is None else line.strip().lower()
            if word in YES:
                return True
            if line is None or (word in NO and (word or not self.screen.interactive)):
                return False
            if not self.screen.interactive:
                self._ahead.append(line)
                return False

    def _next_line(self) -> str | None:
        return self._ahead.pop(0) if self._ahead else self.screen.read()


class _OnScreen:
    """Shows a turn while it comes about."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open = False
        self._turn_pictures = 0

    def words(self, text: str) -> None:
        """Show words as they come."""
        if text:
            self._session.screen.stream(text)
            self._open = not text.endswith("\n")

    def called(self, name: str, arguments: str, result: ToolResult) -> None:
        """Show one call in one line, and its pictures."""
        self.end()
        what = plain_line(result.text) if result.failed else plain_line(arguments)
        self._session.screen.aside(f"[{plain_line(name)}] {what[:200]}")
        for picture in result.pictures:
            self._session.keep_picture(name, picture)

    def end(self) -> None:
        """Close the line that is open."""
        if self._open:
            self._session.screen.stream("\n")
            self._open = False
