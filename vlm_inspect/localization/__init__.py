"""Anomaly maps: where a view differs from normal. `load_localizer("memory")`."""

from typing import TYPE_CHECKING

from vlm_inspect.errors import LocalizerError

if TYPE_CHECKING:
    from vlm_inspect.localization.localizer import Localizer

DEFAULT_LOCALIZER = "memory"
KNOWN = ("memory", "none")


def load_localizer(name: str = DEFAULT_LOCALIZER, *, backbone: str = "lite0") -> "Localizer | None":
    """Return the localizer of that name; None for `none`. Its weights are loaded when it is first used.

    Raises:
        LocalizerError: the name is unknown.
    """
    if name == "none":
        return None
    if name != "memory":
        raise LocalizerError(f"unknown localizer {name!r}; known: {', '.join(KNOWN)}")
    from vlm_inspect.localization.memory import ReferenceMemory

    return ReferenceMemory(backbone=backbone)
