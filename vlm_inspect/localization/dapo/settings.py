"""`DapoSettings`: the numbers of the method, all of which stand in a checkpoint's header."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.localization.dapo.wording import Wording, default_wording

METHOD = "dapo"
"""Its name in checkpoints and results."""
Count = Annotated[int, Field(ge=1, le=64)]


class DapoSettings(BaseModel):
    """What a DAPO is made of, beside its towers and its words. The defaults are the published numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    wording: Wording = Field(default_factory=default_wording)
    prompts: Count = 10
    """E: learned prompts of each state, whose features are averaged."""
    context: Count = 5
    """l: learned tokens in front of the sentence."""
    layer_tokens: Count = 4
    """n_t: learned tokens in every block, of words and of pictures."""
    alpha: float = Field(default=0.01, ge=0, le=1)
    """How much of a layer token survives from block to block."""
    temperature: float = Field(default=0.07, gt=0)
    """tau: similarities are cosine / tau."""
    text_causal: bool = False
    """Whether words see only what stands before them. The published code lets them see everything."""
    readout: Literal["eot", "released"] = "eot"
    """Where a CLIP-like tower's text feature is read: at the end token, or, as the published code does, at the place
    that it had before the layer tokens were inserted. Towers that average have no such place."""
    local_weight: float = Field(default=4.0, ge=0)
    """lambda of eq. 2.3."""


class DapoChoices(DapoSettings):
    """What may be chosen of DAPO, at training or at use."""

    side: Annotated[int, Field(ge=8, le=4096)] | None = None
    """Side in pixels of the pictures; None: as trained, and in training the multiple of the patch nearest to 518."""
    words: tuple[str, ...] = ()
    """Defect words where a rule book names none; empty: those of `prompts/zero_shot/dapo.yaml`."""

    @property
    def numbers(self) -> DapoSettings:
        """What the tensors belong to."""
        return DapoSettings.model_validate(self.model_dump(include=set(DapoSettings.model_fields)))


class DapoMiniSettings(BaseModel):
    """dapo-mini, which takes the place of DAPO without CLIP weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sides: Annotated[tuple[Annotated[int, Field(ge=64, le=2048)], ...], Field(min_length=1, max_length=4)] = (256, 384)
    """Sizes in pixels (square root of the area) in which a picture is looked at: by default those of training."""
    patches: bool = True
    """Whether DINOv2 looks at the picture, too: finds more, and takes about as long again."""
    rarity_weight: Annotated[float, Field(ge=0.0, le=100.0)] = 2.0
    """How much the rarity of a patch in its picture sharpens the map: log-odds for each unit of log rarity."""
