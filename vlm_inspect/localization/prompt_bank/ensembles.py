"""The published prompt grids: WinCLIP's compositional ensemble and ALFA's template.

WinCLIP (arXiv 2303.14814): 7 normal and 4 abnormal states in 22 frames. ALFA (arXiv 2404.09654, section 4.2):
"A {domain} image of a {state} {class} [with {specific details}]", 72 sentences a label.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from vlm_inspect.localization.prompt_bank.class_names import is_texture, spoken_name
from vlm_inspect.localization.prompt_bank.prompt_files import Sentence, Strict, fill, read_prompts

Label = Literal["normal", "abnormal"]


@dataclass(frozen=True)
class PromptSet:
    """The sentences of one class; no sentence stands twice under a label."""

    normal: tuple[str, ...]
    abnormal: tuple[str, ...]

    def __add__(self, more: "PromptSet") -> "PromptSet":
        """Return both sets, without what the second repeats."""
        return PromptSet(without_repeats(self.normal + more.normal), without_repeats(self.abnormal + more.abnormal))

    @property
    def all(self) -> tuple[str, ...]:
        """Normal sentences, then abnormal ones."""
        return self.normal + self.abnormal


class WinClipWords(Strict):
    """`winclip.yaml`."""

    states: Mapping[Label, tuple[Sentence, ...]]
    articles: tuple[str, ...]
    frames: tuple[Sentence, ...]


class AlfaWords(Strict):
    """`alfa.yaml`."""

    template: Sentence
    domains: Mapping[Literal["object", "texture"], tuple[str, ...]]
    states: Mapping[Label, tuple[str, ...]]
    details: Mapping[Label, tuple[str, ...]]
    described: Mapping[Label, Sentence]
    named_defect: Sentence


def winclip_prompts(class_name: str) -> PromptSet:
    """Return WinCLIP's 154 normal and 88 abnormal sentences.

    Raises:
        LocalizerError: the class has no name.
        PromptError: the file of the words is wrong.
    """
    words, name = read_prompts("winclip", WinClipWords), spoken_name(class_name)
    frames = [frame.replace("{article}", article) for frame, article in product(words.frames, words.articles)]

    def sentences(label: Label) -> tuple[str, ...]:
        states = [fill(state, object=name) for state in words.states[label]]
        return without_repeats(fill(frame, object=state) for state, frame in product(states, frames))

    return PromptSet(sentences("normal"), sentences("abnormal"))


def alfa_prompts(class_name: str) -> PromptSet:
    """Return ALFA's 72 normal and 72 abnormal template sentences.

    Raises:
        LocalizerError: the class has no name.
        PromptError: the file of the words is wrong.
    """
    words, name = read_prompts("alfa", AlfaWords), spoken_name(class_name)
    domains = words.domains["texture" if is_texture(class_name) else "object"]

    def sentences(label: Label) -> tuple[str, ...]:
        grid = product(domains, words.states[label], words.details[label])
        filled = (
            fill(words.template, domain=domain, state=state, object=name, details=details)
            for domain, state, details in grid
        )
        return without_repeats(sentence[:1].upper() + sentence[1:] for sentence in filled)

    return PromptSet(sentences("normal"), sentences("abnormal"))


def defect_prompts(class_name: str, defects: tuple[str, ...]) -> PromptSet:
    """Return one abnormal sentence for each defect word of a rule book.

    Raises:
        LocalizerError: the class has no name.
        PromptError: the file of the words is wrong.
    """
    words, name = read_prompts("alfa", AlfaWords), spoken_name(class_name)
    plain = (" ".join(defect.replace("_", " ").split()) for defect in defects)
    told = (fill(words.named_defect, object=name, phrase=defect) for defect in plain if defect)
    return PromptSet((), without_repeats(sentence[:1].upper() + sentence[1:] for sentence in told))


def without_repeats(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return the sentences in order, each once, whatever its case."""
    first: dict[str, str] = {}
    for sentence in sentences:
        first.setdefault(sentence.casefold(), sentence)
    return tuple(first.values())
