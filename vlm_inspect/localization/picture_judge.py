"""The seam for methods that judge single pictures by words: WinCLIP, ALFA, DAPO, PromptAD.

A `PictureJudge` is fitted to what the part is called and what may be wrong with it; then it returns probabilities.
`TextLocalizer` (`text_localizer.py`) makes a `Localizer` of it: cuts views into pictures, draws the maps on the views,
and takes the tolerance from the references.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.evidence import Phrases
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.subject import Subject


@dataclass(frozen=True, eq=False)
class PictureScores:
    """What a method says of one picture."""

    score: float
    """P(anomalous) of the whole picture, in [0, 1]."""
    heat: NDArray[np.float32]
    """(h, w) in [0, 1]: P(anomalous) by place, on the method's own grid over the whole picture."""
    types: NDArray[np.float32] | None = None
    """(K, h, w) in [0, 1]: P of each word of `words` by place, or None where the method names no types."""
    words: tuple[str, ...] = ()
    """The K defect words of `types`."""
    names: bool = True
    """Whether a place may be called by its word: False of a method that has not shown that it tells kinds apart."""
    phrases: Phrases | None = None
    """Of a method that judges by sentences: those that speak for an anomaly."""
    fallback: str = ""
    """What the method did where this picture alone tells it nothing; how often that happens is for the view to say."""
    notes: tuple[str, ...] = ()
    """What an engineer should know, the same for every picture."""


class FittedJudge(Protocol):
    """Judges pictures of one class."""

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        """Return the scores of each picture, in order.

        Args:
            pictures: uint8 HWC RGB, any sizes.

        Raises:
            LocalizerError: a picture is none, or the weights cannot be used on it.
        """
        ...


class PictureJudge(Protocol):
    """Judges pictures by words."""

    @property
    def name(self) -> str:
        """What the record calls it: "winclip", "dapo-mini"."""
        ...

    @property
    def identity(self) -> str:
        """Weights and settings in one string: equal identity, equal scores. Part of every cache key."""
        ...

    @property
    def uses_normals(self) -> bool:
        """Whether `normals` change the scores (a few-shot memory)."""
        ...

    @property
    def normal_spread(self) -> float:
        """Standard deviation of the log surprisal among normal pictures of one class, before any is seen."""
        ...

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return the defect words that it would compare a part of that subject with.

        Empty where there is nothing to choose: no others could be put in their place after training.
        """
        ...

    def fit(self, subject: Subject, normals: Sequence[Rgb] = ()) -> FittedJudge:
        """Make ready what does not depend on the picture that is judged.

        Args:
            subject: the class and the defect words.
            normals: pictures of normal samples, for methods with a few-shot memory; others ignore them. Their features
                are kept by content, so that fitting again with one left out costs little.

        Raises:
            LocalizerError: the weights, or a word, cannot be used.
        """
        ...
