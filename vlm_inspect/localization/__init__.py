"""Anomaly maps: where a view differs from normal. `load_localizer("memory+dapo")`.

    memory     how unlike the references a place is            needs references; without them, how rare it is
    winclip    how near a picture is to words for damage       needs CLIP weights (`clip`)
    alfa       likewise, the words chosen for each picture     needs CLIP weights
    dapo       learned words for each defect type              runs on dapo-mini without CLIP weights
    promptad   learned words and a learned head for a class    needs CLIP weights and a checkpoint
    none       no heatmap

A sum of names, `memory+dapo`, is the average of their maps, each in units of its own tolerance.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from vlm_inspect.errors import LocalizerError

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.localization.localizer import Localizer

AUTO: Final[Literal["auto"]] = "auto"
"""What fits the references that are given."""
KNOWN = ("memory", "winclip", "alfa", "dapo", "promptad", "none")


@dataclass(frozen=True)
class LocalizerOptions:
    """What localizers are made with; each takes what concerns it."""

    backbone: str = "lite0"
    """Vision model of the memory."""
    clip: str | None = None
    """CLIP weights: a folder, or an id in the hub's local cache."""
    checkpoint: Path | None = None
    """What `vlm-inspect train` wrote, for dapo and promptad."""
    device: str = "auto"
    """ "cpu", "cuda", or "auto": CUDA where there is one."""
    language: "Backend | None" = None
    """The model that words ALFA's prompts; None: the bank that comes with the program."""


def default_localizer(*, has_references: bool) -> str:
    """Return the name of what fits: the memory where there are references, else words for damage."""
    return "memory" if has_references else "dapo"


def load_localizer(name: str, options: LocalizerOptions | None = None) -> "Localizer | None":
    """Return the localizer of that name, or the sum of several joined by +; None for `none`.

    Raises:
        LocalizerError: a name is unknown or twice in the sum, or the weights cannot be used.
    """
    names = [part.strip() for part in name.split("+")]
    for part in names:
        if part not in KNOWN:
            raise LocalizerError(f"unknown localizer {part!r}; known: {', '.join(KNOWN)}, and sums such as memory+dapo")
    if len(set(names)) < len(names) or ("none" in names and len(names) > 1):
        raise LocalizerError(f"localizer {name!r}: a sum names each localizer once, and none stands alone")
    if names == ["none"]:
        return None
    from vlm_inspect.localization.making import make_localizer

    members = [make_localizer(part, options or LocalizerOptions()) for part in names]
    if len(members) == 1:
        return members[0]
    from vlm_inspect.localization.localizer_sum import LocalizerSum

    return LocalizerSum(members)
