"""A trained DAPO from its file, over the towers that it was trained over."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import Header, apply_weights, check_encoder, load_weights, same_weights
from vlm_inspect.localization.dapo.judge import BATCH, DapoJudge
from vlm_inspect.localization.dapo.model import DapoModel
from vlm_inspect.localization.dapo.predictor import DapoPredictor
from vlm_inspect.localization.dapo.settings import METHOD, DapoChoices, DapoSettings
from vlm_inspect.localization.dapo.towers import DapoTowers, towers_of
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.trained_settings import check_trained


class _Saved(BaseModel):
    """What `DapoMethod.settings` writes into the header."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dapo: DapoSettings
    side: Annotated[int, Field(ge=1, le=4096)]
    towers: str
    towers_name: str


def load_dapo(
    checkpoint: Path,
    encoder: DualEncoder | DapoTowers,
    choices: DapoChoices | None = None,
    *,
    batch: int = 1,
) -> DapoJudge:
    """Return a judge with the trained tensors of a file.

    Args:
        checkpoint: a .safetensors file that `vlm-inspect train dapo` wrote.
        encoder: the towers that it was trained over.
        choices: side and words; what the tensors were trained with must be the same where it is asked for.
            `DapoTowers` have a side of their own.
        batch: pictures that run through the tower at once, where that is more than usual.

    Raises:
        LocalizerError: no such file, damaged, of another method or size, trained over other towers, or wrong words.
    """
    header, tensors = load_weights(checkpoint, method=METHOD)
    saved, choices = _saved_settings(header, checkpoint), choices or DapoChoices()
    check_trained(choices, saved.dapo, checkpoint.name, METHOD)
    if isinstance(encoder, DualEncoder):
        check_encoder(header, encoder, checkpoint)
        towers = towers_of(encoder, saved.dapo, side=choices.side or saved.side)
    else:
        towers = encoder
        if choices.side not in (None, towers.path.side):
            raise LocalizerError(f"dapo side {choices.side}: these towers take pictures of {towers.path.side} px")
    if not same_weights(towers.identity, saved.towers):
        raise LocalizerError(
            f"{checkpoint} was trained over {saved.towers_name} ({saved.towers}), not over {towers.name} "
            f"({towers.identity}); load it over those"
        )
    model = DapoModel(towers, saved.dapo)
    apply_weights(model.learnables, tensors, checkpoint)
    return DapoJudge(DapoPredictor(model), words=choices.words, batch=max(BATCH, batch))


def _saved_settings(header: Header, checkpoint: Path) -> _Saved:
    try:
        return _Saved.model_validate(header.settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "settings"
        raise LocalizerError(f"{checkpoint}: its header is wrong at settings.{place}: {first['msg']}") from error
