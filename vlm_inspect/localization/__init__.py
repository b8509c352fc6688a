"""Anomaly maps: where a view differs from normal. `load_localizer("memory+dapo")`.

    memory     how unlike the references a place is            needs references; without them, how rare it is
    winclip    how near a picture is to words for damage       needs CLIP weights (`clip`)
    alfa       likewise, the words chosen for each picture     needs CLIP weights
    dapo       learned words for each defect type              runs on dapo-mini without CLIP weights
    promptad   learned words and a learned head for a class    needs CLIP weights and a checkpoint
    none       no heatmap

A sum of names, `memory+dapo`, is the average of their maps, each in units of its own tolerance.
"""

from typing import TYPE_CHECKING, Final, Literal

from vlm_inspect.errors import LocalizerError

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.localization.localizer import Localizer
    from vlm_inspect.localization.settings import LocalizerSettings

AUTO: Final[Literal["auto"]] = "auto"
"""What fits the references that are given."""
KNOWN = ("memory", "winclip", "alfa", "dapo", "promptad", "none")


def default_localizer(*, has_references: bool) -> str:
    """Return the name of what fits: the memory where there are references, else words for damage."""
    return "memory" if has_references else "dapo"


def load_localizer(
    name: str,
    settings: "LocalizerSettings | None" = None,
    *,
    device: str = "auto",
    language: "Backend | None" = None,
) -> "Localizer | None":
    """Return the localizer of that name, or the sum of several joined by +; None for `none`.

    Args:
        name: as in `--localizer`, apart from "auto".
        settings: None: the defaults.
        device: "cpu", "cuda", or "auto": CUDA where there is one.
        language: the model that may word ALFA's prompts; None: they come from the bank that ships.

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
    from vlm_inspect.localization.making import Maker
    from vlm_inspect.localization.settings import LocalizerSettings

    maker = Maker(settings or LocalizerSettings(), device, language)
    members = [maker.make(part) for part in names]
    if len(members) == 1:
        return members[0]
    from vlm_inspect.localization.localizer_sum import LocalizerSum

    return LocalizerSum(members)
