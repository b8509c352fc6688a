"""`DapoJudge`: DAPO as a `PictureJudge`; the rule book's defects are its vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vlm_inspect.localization.dapo.head import DapoOutput, spread
from vlm_inspect.localization.dapo.predictor import DapoPredictor, anomaly_scores, sum_taps
from vlm_inspect.localization.dapo.settings import METHOD
from vlm_inspect.localization.dapo.vocabulary import check_words
from vlm_inspect.localization.dapo.wording import default_words
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 8
"""Pictures that run through the tower at once, by default."""
FINENESS = 4
"""Cells of a returned map for each patch, along a side. DAPO is trained with the patches' corners on the picture's
corners, while whoever draws a map takes its cells for tiles; this many make the difference less than two pixels."""


class DapoJudge:
    """Judges pictures by the words of the subject, or by its own where the subject names no defects."""

    uses_normals = False
    normal_spread = 0.5
    """As of dapo-mini; not measured over CLIP."""

    def __init__(
        self, predictor: DapoPredictor, *, name: str = METHOD, words: tuple[str, ...] = (), batch: int = BATCH
    ) -> None:
        """Wrap a predictor.

        Args:
            predictor: a trained one.
            name: what results call it.
            words: used where a subject names none; empty: those of `prompts/zero_shot/dapo.yaml`.
            batch: pictures that run through the tower at once.

        Raises:
            LocalizerError: a wrong vocabulary.
        """
        self.predictor = predictor
        self.name = name
        self.words = check_words(words) if words else default_words()
        self._batch = batch

    @property
    def identity(self) -> str:
        """Weights, settings and own words in one string."""
        return f"{self.predictor.identity}; {', '.join(self.words)}"

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """See `PictureJudge.vocabulary`: any words will do."""
        return subject.defects or self.words

    def fit(self, subject: Subject, normals: Sequence[Rgb] = ()) -> "FittedDapo":
        """See `PictureJudge.fit`: the states of the words.

        Raises:
            LocalizerError: a wrong vocabulary: a word that is empty, stands twice or cannot be encoded, or too many.
        """
        words = check_words(subject.defects) if subject.defects else self.words
        most = self.predictor.model.towers.text.context
        cut = self.predictor.model.text_encoder.cut_words(words)
        notes = tuple(f"prompt cut to {most} tokens: {text}" for text in cut)
        return FittedDapo(self.predictor, words, self.predictor.states(words), notes, self._batch)


@dataclass(frozen=True, eq=False)
class FittedDapo:
    """DAPO with one vocabulary."""

    predictor: DapoPredictor
    words: tuple[str, ...]
    states: "Tensor"
    """(1 + K, J): of the normal state and of each word."""
    notes: tuple[str, ...]
    batch: int = BATCH

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        """Return, of each picture, P(anomalous), its map, and a map for each defect word.

        The score is the global branch's; a map is the mean over the taps, so in [0, 1].
        """
        path = self.predictor.model.towers.path
        scores: list[PictureScores] = []
        for start in range(0, len(pictures), self.batch):
            part = pictures[start : start + self.batch]
            pixels = prepare_pixels(part, path.side, path.normalisation, str(self.states.device))
            scores += _scores_of(self.predictor.look(pixels, self.states), self.words, self.notes)
        return scores


def _scores_of(output: DapoOutput, words: tuple[str, ...], notes: tuple[str, ...]) -> list[PictureScores]:
    means = sum_taps(output) / len(output.maps)
    height, width = means.shape[-2:]
    types = spread(means, (FINENESS * height, FINENESS * width))[:, 1:]
    heat = types.sum(1).clamp(0, 1).cpu().numpy().astype(np.float32)
    by_word = types.clamp(0, 1).cpu().numpy().astype(np.float32)
    whole = anomaly_scores(output).tolist()
    return [
        PictureScores(score=score, heat=one, types=maps, words=words, notes=notes)
        for score, one, maps in zip(whole, heat, by_word, strict=True)
    ]
