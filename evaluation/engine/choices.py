"""Multiple-choice questions: as they are put to a model, and the letter in what it answers."""

import json
import re
from collections.abc import Sequence

from vlm_inspect.backends.backend import Reply
from vlm_inspect.datasets.question import Question
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.reply_text import final_text
from vlm_inspect.prompt_files import prompt_folder

_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_KEYS = ("choice", "answer", "option")
_BARE = re.compile(r"\W*([A-Za-z])\W*\Z")
_LED = re.compile(r"\W*([A-Z])\s*[.:)]\s")
_SAID = re.compile(r"\b(?:answer|choice|option)(?:\s+is)?\s*[:=]?\s*\W{0,3}([A-Z])\b(?!')")


def question_template() -> str:
    """Return the path of the prompt's template."""
    return str(prompt_folder() / "questions" / "multiple_choice.yaml")


def question_text(question: Question) -> str:
    """Return the question as published, with its options."""
    options = " ".join(f"{letter}: {text}" for letter, text in question.options)
    return f"{question.text} Options: {options}"


def read_choice(replies: Sequence[Reply], question: Question) -> str:
    """Return the letter that most replies choose, the earliest of equals.

    Raises:
        ParseError: no reply names exactly one of the options.
    """
    votes: list[str] = []
    failure: ParseError | None = None
    for reply in replies:
        try:
            votes.append(_letter(final_text(reply), question))
        except ParseError as error:
            failure = error
    if votes:
        return max(votes, key=lambda letter: (votes.count(letter), -votes.index(letter)))
    raise failure or ParseError("The model returned no reply.", reply_text="", cause="empty")


def _letter(text: str, question: Question) -> str:
    """Return the one option that a text chooses; a letter is never guessed from a word that begins with it."""
    told = _field(text)
    found = _named(told, question) if told is not None else _named(text, question) or _in_prose(text, question)
    if found is None:
        raise ParseError("The reply names none of the options.", reply_text=text, cause="unreadable")
    return found


def _field(text: str) -> str | None:
    """Return the choice field of a JSON answer, "" where it has none; None where the text holds no object."""
    found = _OBJECT.search(text)
    if found is None:
        return None
    try:
        fields = json.loads(found.group())
    except ValueError:
        return None
    value = next((fields[key] for key in _KEYS if key in fields), None) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else ""


def _named(text: str, question: Question) -> str | None:
    """Return the option that a short text is: its letter, its letter and words, or its words."""
    letters = {letter.upper(): letter for letter, _ in question.options}
    led = _BARE.match(text) or _LED.match(f"{text.strip()} ")
    if led is not None:
        return letters.get(led.group(1).upper())
    plain = text.strip().strip(".").casefold()
    return next((letter for letter, words in question.options if words.strip().strip(".").casefold() == plain), None)


def _in_prose(text: str, question: Question) -> str | None:
    letters = {letter for letter, _ in question.options}
    said = {letter for letter in _SAID.findall(text) if letter in letters}
    return said.pop() if len(said) == 1 else None
