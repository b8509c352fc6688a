"""`SaidOnce`: what a report has said already, so that no sentence stands in it twice."""

import re

_ENDS = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])")
_LEAST = 12
"""Shorter pieces, such as "yes." or a value, may well stand in two places; behind a sentence they are part of it, as in
"It is in inches. Convert it.", and go with it."""


class SaidOnce:
    """Remembers the sentences of one report in the order in which a reader meets them."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def rest(self, text: str) -> str:
        """Return the text without the sentences that were said before, and remember those that are new.

        A sentence counts as said, too, where it was the end of another one, behind a colon: "rule a fails: it is bent."
        """
        lines = (self._rest_of_line(line) for line in text.splitlines())
        return "\n".join(line for line in lines if line.strip())

    def is_new(self, text: str) -> bool:
        """Return whether a text has anything new to say, and remember it."""
        return bool(self.rest(text))

    def _rest_of_line(self, line: str) -> str:
        taken: list[str] = []
        is_kept = True
        for sentence in _ENDS.split(line):
            if len(_plain(sentence)) >= _LEAST:
                is_kept = self._is_new(sentence)
            if is_kept and sentence.strip():
                taken.append(sentence)
            elif taken and taken[-1].endswith(";"):  # its other half was said before
                taken[-1] = f"{taken[-1][:-1]}."
        kept = " ".join(taken)
        return f"{kept[:-1]}." if kept.endswith(";") and not line.rstrip().endswith(";") else kept

    def _is_new(self, sentence: str) -> bool:
        plain = _plain(sentence)
        before, _, after = plain.partition(": ")
        new = plain not in self._said and not (len(before) < _LEAST and after in self._said)
        self._said.add(plain)
        for colon in re.finditer(r":\s", sentence):
            self._said.add(_plain(sentence[colon.end() :]))
        return new


def _plain(sentence: str) -> str:
    return " ".join(sentence.split()).strip(" .;:!").casefold()
