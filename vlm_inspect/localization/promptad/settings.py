"""Every choice of PromptAD, with the report's value as the default where the report states one."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import (
    CLIP_NORMALISATION,
    IMAGENET_NORMALISATION,
    Normalisation,
    VisionTower,
)
from vlm_inspect.localization.subject import Subject

METHOD = "promptad"
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weights(_Strict):
    """How much each loss counts; the report names the losses and leaves the weights open."""

    bce: Weight = 1.0
    dice: Weight = 1.0
    contrastive: Weight = 0.5
    margin: Weight = 0.1
    alignment: Weight | None = None
    """None: 0.1, and 0.001 for the variant "cvpr24"."""
    consistency: Weight = 0.1


class Variation(_Strict):
    """How a picture varies from one look to the next; the report names the three kinds, not their strength."""

    flips: bool = True
    """Off for parts whose orientation is one of the rules."""
    rotation_deg: Annotated[float, Field(ge=0.0, le=45.0)] = 10.0
    jitter: Share = 0.1
    """Largest change of brightness, contrast and saturation, as a share."""


class PromptAdSettings(_Strict):
    """All that is needed, beside the towers and the classes, to build the same method again."""

    side: Annotated[int, Field(ge=8, le=2048)] = 224
    """Side in pixels of the pictures that the vision tower sees."""
    normalisation: Literal["imagenet", "clip", "tower"] = "imagenet"
    """Of the pixels. The report says ImageNet's; "tower": what the weights were trained with."""
    layer: Annotated[int, Field(ge=1)] | None = None
    """Block whose patch tokens are used, from 1; None: the last."""
    prompts: Annotated[int, Field(ge=1, le=64)] = 4
    """m: vision prompts of each kind."""
    text_channel: Literal["none", "anchors", "learned"] = "learned"
    """An input channel of the head that says how much more a patch is like the anomalous prompt than like the normal
    one: the fixed text embeddings, or the learned prompts. Without "learned", the losses on the learned prompts move
    nothing that a map rests on."""
    pooling: Literal["mean", "max", "top"] = "mean"
    """The score of a picture: the mean of its map (the report), the highest value, or the mean of the highest 1 %."""
    temperature: Annotated[float, Field(gt=0.0, le=10.0)] = 0.07
    supervision: Literal["synthetic", "test_split", "none"] = "synthetic"
    """Where anomalies come from: pasted on normal pictures; real ones with masks, which is for diagnosing alone,
    because pictures like them are what the result is measured on; or nowhere, which is the report to the letter, and
    what makes every map zero."""
    defect_share: Share = 0.5
    """Share of the pictures that get a synthetic defect."""
    class_words: bool = False
    """Whether the class's own defect words (see `prompts/zero_shot/promptad.yaml`) join the generic ones."""
    separation: Literal["cosine", "cvpr24"] = "cosine"
    """Which margin loss."""
    margin: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    """m of the margin loss; None: 0.5, and 0 for the variant "cvpr24"."""
    alignment: Literal["both", "cvpr24"] = "both"
    """Which alignment loss."""
    weights: Weights = Weights()
    variation: Variation = Variation()
    seed: int = 0
    """Of the first values of all learnable tensors."""

    @model_validator(mode="after")
    def _has_a_loss(self) -> Self:
        if self.weights.bce == 0 and self.weights.dice == 0:
            raise ValueError("with weights bce 0 and dice 0 nothing trains the map; give one of them a weight")
        return self

    @property
    def alignment_weight(self) -> float:
        """Weight of the alignment loss; the variant "cvpr24" brings its own."""
        if self.weights.alignment is not None:
            return self.weights.alignment
        return 0.001 if self.alignment == "cvpr24" else 0.1


class ClassWords(_Strict):
    """One class that a method was built for."""

    class_name: Annotated[str, Field(min_length=1)]
    defects: tuple[str, ...] = ()


class CheckpointHeader(_Strict):
    """What a checkpoint says beside its tensors: the settings and the classes, in the order of the tensors."""

    promptad: PromptAdSettings
    classes: Annotated[tuple[ClassWords, ...], Field(min_length=1)]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes as a person says them."""
        return tuple(one.class_name for one in self.classes)

    def place_of(self, class_name: str) -> int | None:
        """Return where a class stands, or None; capitals do not count, and "_" is a space."""
        wanted = _plain(class_name)
        return next((place for place, name in enumerate(self.class_names) if _plain(name) == wanted), None)


def read_plan(data: object, where: str) -> CheckpointHeader:
    """Return what `PromptAdMethod.settings` returned; `where` names the file in messages.

    Raises:
        LocalizerError: an unknown key, or a value out of range.
    """
    try:
        return CheckpointHeader.model_validate(data)
    except ValidationError as error:
        raise LocalizerError(f"{where}: {_first_fault(error)}") from error


def read_settings(data: object, where: str = "promptad") -> PromptAdSettings:
    """Return settings from plain data, as the command line or a file gives them.

    Raises:
        LocalizerError: an unknown key, or a value out of range.
    """
    try:
        return PromptAdSettings.model_validate(data)
    except ValidationError as error:
        raise LocalizerError(f"{where}: {_first_fault(error)}") from error


def plan_for(settings: PromptAdSettings, subjects: Sequence[Subject]) -> CheckpointHeader:
    """Return the plan for some classes.

    Raises:
        LocalizerError: no class, one that stands twice, or a defect without a name or that stands twice.
    """
    names = [_plain(subject.class_name) for subject in subjects]
    if not all(names):
        raise LocalizerError("promptad: a class has no name")
    if not names:
        raise LocalizerError("promptad needs at least one class to train for")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LocalizerError(f"promptad: the class {twice[0]!r} stands twice; name each class once")
    for subject in subjects:
        _check_defects(subject)
    spoken = [" ".join(subject.class_name.replace("_", " ").split()) for subject in subjects]
    classes = tuple(
        ClassWords(class_name=name, defects=one.defects) for name, one in zip(spoken, subjects, strict=True)
    )
    return CheckpointHeader(promptad=settings, classes=classes)


def normalisation_of(settings: PromptAdSettings, tower: VisionTower) -> Normalisation:
    """Return mean and standard deviation of the pixels."""
    known = {"imagenet": IMAGENET_NORMALISATION, "clip": CLIP_NORMALISATION, "tower": tower.normalisation}
    return known[settings.normalisation]


def check_fit(settings: PromptAdSettings, tower: VisionTower) -> None:
    """Make sure that the tower can do what the settings ask for.

    Raises:
        LocalizerError: a side that is no multiple of the patch, or a block that the tower lacks.
    """
    if settings.side % tower.patch:
        below = max(1, settings.side // tower.patch) * tower.patch
        raise LocalizerError(
            f"promptad: side {settings.side} is not a multiple of the tower's patch of {tower.patch} px; use {below}"
        )
    if settings.layer is not None and settings.layer > tower.blocks:
        raise LocalizerError(f"promptad: layer {settings.layer} is above the tower's {tower.blocks} blocks")


def _check_defects(subject: Subject) -> None:
    words = [_plain(word) for word in subject.defects]
    if not all(words):
        raise LocalizerError(f"promptad: a defect of {subject.class_name} has no name")
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise LocalizerError(f"promptad: {subject.class_name} has the defect {twice[0]!r} twice; name it once")


def _plain(class_name: str) -> str:
    return " ".join(class_name.replace("_", " ").lower().split())


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "promptad") or "settings"
    if first["type"] == "extra_forbidden":
        return f"unknown setting {where}; known: {', '.join(PromptAdSettings.model_fields)}"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
