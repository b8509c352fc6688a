"""From the name of a localizer to the thing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.localization.settings import LocalizerSettings

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
    from vlm_inspect.localization.picture_judge import PictureJudge


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes the members of a sum."""

    settings: LocalizerSettings
    device: str = "auto"
    language: "Backend | None" = None
    """The model that may word ALFA's prompts."""

    def make(self, name: str) -> Localizer:
        """Return one localizer; weights of text-driven ones are loaded now, the memory's when it is first used.

        Raises:
            LocalizerError: its weights cannot be used; the message says how to get them.
        """
        if name == "memory":
            from vlm_inspect.localization.memory import ReferenceMemory

            return ReferenceMemory(self.settings.memory)
        from vlm_inspect.localization.text_localizer import TextLocalizer

        return TextLocalizer(JUDGES[name](self), batch=self.settings.batch)

    def encoder_for(self, name: str) -> "DualEncoder":
        """Return the towers.

        Raises:
            LocalizerError: none are named, or they cannot be used.
        """
        from vlm_inspect.localization.dual_encoder.loading import EXAMPLE_ID

        if self.settings.clip is None:
            raise LocalizerError(
                f"{name} needs CLIP weights: on a machine with a network run 'hf download {EXAMPLE_ID} --local-dir "
                "FOLDER' once, then pass --clip FOLDER; without them use memory (with references) or dapo (on "
                "dapo-mini)"
            )
        return _towers(self.settings.clip, self.device, self.settings.half)


@lru_cache(maxsize=1)
def _towers(clip: str, device: str, half: bool) -> "DualEncoder":
    """Load weights once: the members of a sum share their towers."""
    from vlm_inspect.localization.dual_encoder import load_dual_encoder

    return load_dual_encoder(clip, device, half=half)


def _winclip(maker: Maker) -> "PictureJudge":
    encoder = maker.encoder_for("winclip")
    from vlm_inspect.localization.winclip.judge import WinClip

    return WinClip(encoder, maker.settings.winclip)


def _alfa(maker: Maker) -> "PictureJudge":
    encoder, settings = maker.encoder_for("alfa"), maker.settings.alfa
    from vlm_inspect.localization.alfa.judge import Alfa
    from vlm_inspect.localization.prompt_bank.language_bank import load_bank

    return Alfa(encoder, settings, load_bank(settings.bank, maker.language, settings.language))


def _dapo(maker: Maker) -> "PictureJudge":
    settings = maker.settings
    if settings.clip is None and settings.checkpoint is None:
        from vlm_inspect.localization.dapo_mini.judge import load_dapo_mini

        return load_dapo_mini(settings.dapo, settings.dapo_mini)
    if settings.checkpoint is None:
        raise LocalizerError(
            "dapo over CLIP weights needs a checkpoint: run vlm-inspect train dapo and pass --checkpoint FILE, or "
            "leave --clip away to run on dapo-mini"
        )
    encoder = maker.encoder_for("dapo")
    from vlm_inspect.localization.dapo.loading import load_dapo

    return load_dapo(settings.checkpoint, encoder, settings.dapo, batch=settings.batch)


def _promptad(maker: Maker) -> "PictureJudge":
    settings = maker.settings
    if settings.checkpoint is None:
        raise LocalizerError(
            "promptad needs a checkpoint of the class: run vlm-inspect train promptad and pass --checkpoint FILE"
        )
    encoder = maker.encoder_for("promptad")
    from vlm_inspect.localization.promptad.judge import load_promptad

    return load_promptad(settings.checkpoint, encoder, settings.promptad, batch=settings.batch)


JUDGES: dict[str, Callable[[Maker], "PictureJudge"]] = {
    "winclip": _winclip,
    "alfa": _alfa,
    "dapo": _dapo,
    "promptad": _promptad,
}
