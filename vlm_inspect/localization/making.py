"""From the name of a localizer to the thing itself."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization import LocalizerOptions
from vlm_inspect.localization.localizer import Localizer

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
    from vlm_inspect.localization.picture_judge import PictureJudge


def make_localizer(name: str, options: LocalizerOptions) -> Localizer:
    """Return one localizer; weights of text-driven ones are loaded now, the memory's when it is first used.

    Raises:
        LocalizerError: its weights cannot be used; the message says how to get them.
    """
    if name == "memory":
        from vlm_inspect.localization.memory import ReferenceMemory

        return ReferenceMemory(backbone=options.backbone)
    from vlm_inspect.localization.text_localizer import TextLocalizer

    return TextLocalizer(JUDGES[name](options))


def _winclip(options: LocalizerOptions) -> "PictureJudge":
    encoder = _encoder("winclip", options)
    from vlm_inspect.localization.winclip.judge import WinClip

    return WinClip(encoder)


def _alfa(options: LocalizerOptions) -> "PictureJudge":
    encoder = _encoder("alfa", options)
    from vlm_inspect.localization.alfa.judge import Alfa
    from vlm_inspect.localization.prompt_bank.language_bank import load_bank

    return Alfa(encoder, bank=load_bank(options.language))


def _dapo(options: LocalizerOptions) -> "PictureJudge":
    if options.clip is None and options.checkpoint is None:
        from vlm_inspect.localization.dual_encoder.mini import load_dapo_mini

        return load_dapo_mini()
    if options.checkpoint is None:
        raise LocalizerError(
            "dapo over CLIP weights needs a checkpoint: run vlm-inspect train dapo and pass --checkpoint FILE, or "
            "leave --clip away to run on dapo-mini"
        )
    encoder = _encoder("dapo", options)
    from vlm_inspect.localization.dapo.loading import load_dapo

    return load_dapo(options.checkpoint, encoder)


def _promptad(options: LocalizerOptions) -> "PictureJudge":
    if options.checkpoint is None:
        raise LocalizerError(
            "promptad needs a checkpoint of the class: run vlm-inspect train promptad and pass --checkpoint FILE"
        )
    encoder = _encoder("promptad", options)
    from vlm_inspect.localization.promptad.judge import load_promptad

    return load_promptad(options.checkpoint, encoder)


JUDGES: dict[str, Callable[[LocalizerOptions], "PictureJudge"]] = {
    "winclip": _winclip,
    "alfa": _alfa,
    "dapo": _dapo,
    "promptad": _promptad,
}


def _encoder(name: str, options: LocalizerOptions) -> "DualEncoder":
    from vlm_inspect.localization.dual_encoder.published import example_id

    if options.clip is None:
        raise LocalizerError(
            f"{name} needs CLIP weights: on a machine with a network run 'hf download {example_id()} --local-dir "
            "FOLDER' once, then pass --clip FOLDER; without them use memory (with references) or dapo (on dapo-mini)"
        )
    return _loaded(options.clip, options.device)


@lru_cache(maxsize=1)
def _loaded(clip: str, device: str) -> "DualEncoder":
    """Load weights once: the members of a sum share their towers."""
    from vlm_inspect.localization.dual_encoder import load_dual_encoder

    return load_dual_encoder(clip, device)
