"""A model's words made safe to show while they come: no terminal escapes, no picture written out as text."""

import re
from collections.abc import Callable

_PICTURE = re.compile(r"!?\[[^\]\s]*\]\(data:[^)\s]*\)?|data:image/[\w.+-]+;base64,[A-Za-z0-9+/=]*")
_PLACEHOLDER = "(a picture of the model's own)"


class PlainWords:
    """Hands words on, whole ones only, so that nothing is shown before it is known to be harmless."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._held = ""
        self._said: list[str] = []
        self.notes: list[str] = []

    def add(self, text: str) -> None:
        """Take a piece of text; its last, perhaps unfinished word is held back."""
        self._held += text
        end = max(self._held.rfind(" "), self._held.rfind("\n"))
        if end >= 0:
            self._hand_on(self._held[: end + 1])
            self._held = self._held[end + 1 :]

    def finish(self) -> str:
        """Hand on what is held, and return all that was said."""
        self._hand_on(self._held)
        self._held = ""
        return "".join(self._said).strip()

    def _hand_on(self, text: str) -> None:
        shown = "".join(c for c in text if c.isprintable() or c in "\n\t")
        if _PICTURE.search(shown):
            shown = _PICTURE.sub(_PLACEHOLDER, shown)
            note = "the model answered with a picture of its own, which shows nothing of the part and is left out"
            if note not in self.notes:
                self.notes.append(note)
        if shown:
            self._said.append(shown)
            self._on_text(shown)
