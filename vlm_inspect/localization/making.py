"""From the name of a localizer to the thing itself."""

from vlm_inspect.localization import LocalizerOptions
from vlm_inspect.localization.localizer import Localizer


def make_localizer(name: str, options: LocalizerOptions) -> Localizer:
    """Return one localizer; weights of text-driven ones are loaded now, the memory's when it is first used.

    Raises:
        LocalizerError: its weights cannot be used; the message says how to get them.
    """
    from vlm_inspect.localization.memory import ReferenceMemory

    return ReferenceMemory(backbone=options.backbone)
