"""How a class is said, and what kind of thing it is."""

import re
from collections.abc import Iterable
from typing import Literal

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.prompt_bank.prompt_files import Strict, read_prompts

Kind = Literal["object", "texture", "scan", "frame"]


class ClassNames(Strict):
    """`class_names.yaml`."""

    names: dict[str, str]
    textures: tuple[str, ...]
    scans: tuple[str, ...]
    frames: tuple[str, ...]


def spoken_name(class_name: str) -> str:
    """Return a class as a person says it: "metal_nut" -> "metal nut", "pcb1" -> "printed circuit board".

    Raises:
        LocalizerError: the name is blank.
    """
    plain = " ".join(class_name.replace("_", " ").split())
    if not plain:
        raise LocalizerError("the class has no name; write class_name in the rules")
    return read_prompts("class_names", ClassNames).names.get(plain.lower(), plain)


def kind_of(class_name: str) -> Kind:
    """Return what pictures of a class show, by the words of its name: a thing unless they say otherwise."""
    words, name = read_prompts("class_names", ClassNames), spoken_name(class_name)
    if _holds(name, words.scans):
        return "scan"
    if _holds(name, words.frames):
        return "frame"
    return "texture" if is_texture(class_name) else "object"


def is_texture(class_name: str) -> bool:
    """Return whether a class is a surface, so that words for surfaces fit."""
    return any(ends_with(spoken_name(class_name), word) for word in read_prompts("class_names", ClassNames).textures)


def ends_with(name: str, ending: str) -> bool:
    """Return whether a name ends in whole words: "M4 screw" in "screw", "bottle cap" not in "bottle"."""
    return f" {name.lower()}".endswith(f" {ending.lower()}")


def _holds(name: str, words: Iterable[str]) -> bool:
    return any(re.search(rf"\b{re.escape(word)}s?\b", name, re.IGNORECASE) for word in words)
