"""From the folders and labels of data sets to the words that prompts, rule books and localizers use.

Training takes the words of its data from here, and scoring compares what an inspection says by the same ones.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from vlm_inspect.datasets.folder_names import ANOMALOUS
from vlm_inspect.prompt_files import prompt_folder, read_prompt_file

ANY_DEFECT = "damage"
"""The word for a folder whose name only says that something is wrong."""


def plain_word(name: str) -> str:
    """Return a name as it is compared: lower case, one blank for "_", "-" and blanks."""
    return " ".join(part for part in re.split(r"[\s_-]+", name.casefold()) if part)


def word_of_folder(class_name: str, name: str) -> str:
    """Return the word of a defect folder: as DAPO's public collections have it for their own classes, else its name.

    A name that only says that something is wrong becomes "damage".
    """
    known = _words_by_class().get((plain_word(class_name), plain_word(name)))
    if known is not None:
        return known
    return ANY_DEFECT if not name.strip() or name.casefold().strip() in ANOMALOUS else plain_word(name)


NO_WORDS: Mapping[str, str] = MappingProxyType({})


def words_of_types(
    class_name: str, types: Sequence[str], said: Collection[str], folder_words: Mapping[str, str] = NO_WORDS
) -> dict[str, str]:
    """Return the word by which each defect type of a data set is looked for in what inspections say.

    It is the type's own name where anything said has that name; else the word that training gives its folder, for
    this class or, where that is said, for another class of the public collections. Types of one word are one type then.

    Args:
        class_name: the class of the parts.
        types: as the data set names them.
        said: the words of the inspections.
        folder_words: the words of trained weights for the folders of their own data, by CLASS/FOLDER.
    """
    spoken = {plain_word(word) for word in said}
    found = {}
    for name in types:
        trained = folder_words.get(f"{class_name}/{name}") or word_of_folder(class_name, name)
        candidates = [plain_word(name), plain_word(trained), *_words_by_name(plain_word(name))]
        found[name] = next((word for word in candidates if word in spoken), candidates[1])
    return found


class _Collection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    words: dict[str, tuple[str, ...]]
    classes: tuple[str, ...]


class _DataSets(BaseModel):
    """`prompts/words/data_sets.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collections: dict[str, _Collection]


@cache
def _words_by_class() -> dict[tuple[str, str], str]:
    told = read_prompt_file(_DataSets, prompt_folder() / "words" / "data_sets.yaml")
    return {
        (plain_word(name), plain_word(folder)): word
        for collection in told.collections.values()
        for name in collection.classes
        for word, folders in collection.words.items()
        for folder in folders
    }


@cache
def _words_by_name(name: str) -> tuple[str, ...]:
    """Return the words that the public collections have for a folder of this name, in a fixed order."""
    return tuple(dict.fromkeys(plain_word(word) for (_, folder), word in _words_by_class().items() if folder == name))
