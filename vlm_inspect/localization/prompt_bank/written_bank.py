"""What a person wrote about classes of parts: `prompts/zero_shot/bank.yaml`; needs no network and no model."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from vlm_inspect.localization.prompt_bank.class_names import Kind, ends_with, kind_of, spoken_name
from vlm_inspect.localization.prompt_bank.ensembles import AlfaWords, Label, PromptSet, without_repeats
from vlm_inspect.localization.prompt_bank.prompt_files import Strict, fill, read_prompts


@dataclass(frozen=True)
class Description:
    """The informative sentences of one class (T_G of arXiv 2404.09654), and where they come from."""

    prompts: PromptSet
    notes: tuple[str, ...] = ()


class DescriptionSource(Protocol):
    """Somebody who describes normal and abnormal parts of a class."""

    @property
    def identity(self) -> str:
        """Equal identity, equal sentences. Part of every cache key."""
        ...

    def describe(self, class_name: str) -> Description:
        """Return the sentences of a class.

        Raises:
            LocalizerError: the class has no name, or nothing usable was said of it.
            BackendError: a model that is asked cannot be reached.
        """
        ...


class Phrases(Strict):
    """What continues "an image of a ... with"."""

    normal: tuple[str, ...]
    abnormal: tuple[str, ...]


class ClassPhrases(Phrases):
    """The phrases of one class."""

    aliases: tuple[str, ...] = ()


class Bank(Strict):
    """`bank.yaml`."""

    kinds: Mapping[Kind, Phrases]
    classes: Mapping[str, ClassPhrases]


class WrittenBank:
    """The bank that ships; a class without an entry gets the general phrases of its kind, and a note says so."""

    @property
    def identity(self) -> str:
        """Digest of the bank."""
        bank, words = read_prompts("bank", Bank), read_prompts("alfa", AlfaWords)
        told = bank.model_dump_json() + repr(sorted(words.described.items()))
        return f"written bank {hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def describe(self, class_name: str) -> Description:
        """Return the phrases of the class, then the general ones of its kind, as sentences.

        Raises:
            LocalizerError: the class has no name.
            PromptError: the file of the bank is wrong.
        """
        bank, name, kind = read_prompts("bank", Bank), spoken_name(class_name), kind_of(class_name)
        entry, general = _entry_of(bank, name), bank.kinds[kind]
        own = Phrases(normal=(), abnormal=()) if entry is None else entry

        def sentences(label: Label, phrases: tuple[str, ...]) -> tuple[str, ...]:
            frame = read_prompts("alfa", AlfaWords).described[label]
            told = (fill(frame, object=name, phrase=phrase) for phrase in phrases)
            return without_repeats(sentence[:1].upper() + sentence[1:] for sentence in told)

        prompts = PromptSet(
            sentences("normal", own.normal + general.normal), sentences("abnormal", own.abnormal + general.abnormal)
        )
        known = f"the bank describes no {name}; the general phrases for {_PLURALS[kind]} were used"
        return Description(prompts, () if entry is not None else (known,))


_PLURALS: Mapping[Kind, str] = {"object": "objects", "texture": "surfaces", "scan": "scans", "frame": "scenes"}


def _entry_of(bank: Bank, name: str) -> ClassPhrases | None:
    """Return the entry whose name, or other name, the class name ends with; of several, that of the longest."""
    found = {
        said: entry for key, entry in bank.classes.items() for said in (key, *entry.aliases) if ends_with(name, said)
    }
    return found[max(found, key=len)] if found else None
