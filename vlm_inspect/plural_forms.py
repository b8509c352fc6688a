"""Sentences in which a word depends on how many there are: `{count?part waits|parts wait}`."""

import re
from collections.abc import Mapping, Sequence

_CHOICE = re.compile(r"\{(\w+)\?((?:[^{}|]|\{\w+\})*)\|((?:[^{}|]|\{\w+\})*)\}")


def filled(text: str, values: Mapping[str, object], singular: Sequence[int] = (1,)) -> str:
    """Return a sentence with its values, and of each choice the first words where its number is said of one thing.

    Args:
        text: {name} is a value, {name?one|several} a choice by one.
        values: by name.
        singular: the numbers that are said of one thing in the language of the sentence.

    Raises:
        KeyError: the sentence names a value that is not there.
        IndexError, ValueError: it is no such sentence.
    """
    chosen = _CHOICE.sub(lambda found: found[2 if values[found[1]] in singular else 3], text)
    return chosen.format(**values)
