"""The text localizer over a judge whose answers are known; the real judges have tests of their own."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.image import ImageOrigin
from converters.view import Pane, View
from tests.localization.fitted import localize
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.evidence import AnomalyMap, Phrases
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.localizer_sum import LocalizerSum, add_maps
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.regions import find_regions
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.text_localizer import TextLocalizer, surprisal

SUBJECT = Subject("plate", ("scratch", "stain"))


class RedJudge:
    """Calls red places anomalous: P is how red the reddest place is; bright red a stain, dark red a scratch."""

    name, identity, normal_spread = "red", "red-1", 0.1

    def __init__(self, *, uses_normals: bool = False) -> None:
        self.uses_normals = uses_normals
        self.seen: list[tuple[int, int]] = []

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        return SUBJECT.defects

    def fit(self, subject: Subject, normals: Sequence[Rgb] = ()) -> "FittedRed":
        return FittedRed(max((float(n[..., 0].mean()) for n in normals), default=0.0) / 255, len(normals), self.seen)


class FittedRed:
    def __init__(self, usual: float, normals: int, seen: list[tuple[int, int]]) -> None:
        self.usual, self.normals, self.seen = usual, normals, seen

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        self.seen.append((len(pictures), self.normals))
        return [self._one(picture, self.usual) for picture in pictures]

    def _one(self, picture: Rgb, usual: float) -> PictureScores:
        red = picture[..., 0].astype(np.float32) / 255
        heat = np.clip(red - usual, 0, 0.999)
        return PictureScores(
            score=float(heat.max()),
            heat=heat[::2, ::2],
            types=np.stack([heat * (red < 0.6), heat * (red >= 0.6)])[:, ::2, ::2],
            words=SUBJECT.defects,
            phrases=Phrases((("a red plate", 0.5),), 0.4),
        )


def plate(red: float, spot: float | None = None, *, mask: bool = False, panes: bool = False) -> View:
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = round(255 * red)
    if spot is not None:
        image[10:20, 30:50, 0] = round(255 * spot)
    part = np.ones((40, 60), bool)
    part[:, :10] = False
    cells = (Pane((0, 0, 30, 40)), Pane((30, 0, 60, 40))) if panes else ()
    return View(image, "image", "photo", ImageOrigin((0, 0, 60, 40)), "image", part if mask else None, cells)


def localizer(tmp_path: Path, **more: bool) -> TextLocalizer:
    return TextLocalizer(RedJudge(**more), ArrayCache(tmp_path))


def test_without_references_the_map_is_drawn_and_uncalibrated(tmp_path: Path) -> None:
    (found,) = localize(localizer(tmp_path), [plate(0.1, 0.9, mask=True)], [], SUBJECT)
    assert found.tolerance is None
    assert found.source == "red"
    assert found.values.shape == (40, 60)
    assert found.values[15, 40] == pytest.approx(-math.log(1 - 230 / 255), rel=0.02)
    assert (found.values[:, :10] == 0).all()
    assert "a red plate" in found.notes[0]


def test_the_region_is_named_by_its_type(tmp_path: Path) -> None:
    for spot, word in ((0.9, "stain"), (0.5, "scratch")):
        view = plate(0.05, spot)
        (found,) = localize(localizer(tmp_path), [view], [], SUBJECT)
        (region,) = find_regions(found, view)
        assert region.defect_type == word
        assert word in region.note
        assert region.box_xyxyn == pytest.approx((0.5, 0.25, 50 / 60, 0.5), abs=0.06)


def test_references_set_the_tolerance_and_are_scored_once(tmp_path: Path) -> None:
    references = [[plate(red)] for red in (0.10, 0.11, 0.12)]
    text = localizer(tmp_path)
    normal, odd = (localize(text, [view], references, SUBJECT)[0] for view in (plate(0.11), plate(0.11, 0.99)))
    assert normal.probability is not None
    assert normal.probability < 0.3
    assert odd.probability is not None
    assert odd.probability > 0.5
    assert len(normal.normal_scores) == 3
    judge = text._judge
    assert isinstance(judge, RedJudge)
    assert [pictures for pictures, _ in judge.seen] == [3, 1, 1]  # the references are judged together, and once
    again = TextLocalizer(RedJudge(), ArrayCache(tmp_path))
    assert localize(again, [plate(0.11)], references, SUBJECT)[0].tolerance == normal.tolerance


def test_a_memory_scores_each_reference_against_the_others(tmp_path: Path) -> None:
    text = localizer(tmp_path, uses_normals=True)
    (found,) = localize(text, [plate(0.5)], [[plate(0.2)], [plate(0.3)]], SUBJECT)
    assert found.normal_scores == pytest.approx((0.0, -math.log(1 - 0.1)), abs=0.01)
    assert found.score == pytest.approx(-math.log(1 - 0.2), abs=0.01)


def test_one_reference_sets_no_tolerance(tmp_path: Path) -> None:
    (found,) = localize(localizer(tmp_path), [plate(0.2)], [[plate(0.2)]], SUBJECT)
    assert found.tolerance is None


def test_panes_are_pictures_of_their_own(tmp_path: Path) -> None:
    view = plate(0.0, 0.9, panes=True)
    (found,) = localize(localizer(tmp_path), [view], [], SUBJECT)
    whole = localize(localizer(tmp_path), [plate(0.0, 0.9)], [], SUBJECT)[0]
    assert found.score == pytest.approx(whole.score)
    assert found.types is not None
    assert found.types.values[1].argmax() > 0
    assert found.values[15, 40] == pytest.approx(whole.values[15, 40], rel=0.05)


def test_only_views_with_a_reference_of_their_key_are_judged(tmp_path: Path) -> None:
    tile = View(plate(0.1).image, "image", "tile", ImageOrigin((0, 0, 60, 40)), "tile")
    maps = localize(localizer(tmp_path), [plate(0.1), tile], [[plate(0.1)], [plate(0.1)]], SUBJECT)
    assert [one.view for one in maps] == [0]


@given(st.floats(0, 1), st.floats(0, 1))
def test_surprisal_keeps_order_and_is_finite(a: float, b: float) -> None:
    low, high = surprisal(min(a, b)).item(), surprisal(max(a, b)).item()
    assert 0 <= low <= high <= 13.9


def test_nan_never_passes_as_normal() -> None:
    with pytest.raises(ValueError, match="NaN"):
        surprisal(float("nan"))


def test_a_sum_has_a_tolerance_of_its_own_and_keeps_types(tmp_path: Path) -> None:
    references = [[plate(red)] for red in (0.10, 0.11, 0.12)]
    both = LocalizerSum([localizer(tmp_path), localizer(tmp_path / "b", uses_normals=True)])
    assert both.name == "red+red"
    (normal,) = localize(both, [plate(0.12)], references, SUBJECT)
    (odd,) = localize(both, [plate(0.12, 0.99)], references, SUBJECT)
    assert normal.tolerance is not None
    assert odd.probability is not None
    assert normal.probability is not None
    assert odd.probability > 0.5 > normal.probability
    assert odd.types is not None
    assert np.unravel_index(odd.values.argmax(), odd.values.shape)[0] in range(10, 20)


def test_a_sum_without_references_stays_uncalibrated_and_keeps_the_order_of_parts(tmp_path: Path) -> None:
    def total(spot: float) -> AnomalyMap:
        (by_words,) = localize(localizer(tmp_path), [plate(0.1, spot)], [])
        rare = replace(by_words, source="rarity", unit="", score=1.0, values=np.ones((40, 60), np.float32))
        return add_maps([by_words, rare], "red+rarity", tests=1)

    faint, clear = total(0.3), total(0.9)
    assert faint.tolerance is None
    assert clear.score == pytest.approx((-math.log(1 - 230 / 255) / math.log(2) + 1) / 2, rel=0.02)
    assert clear.score > faint.score + 0.5
    assert clear.values.max() > faint.values.max() + 0.5


def test_a_map_of_an_unknown_level_is_not_added(tmp_path: Path) -> None:
    (by_words,) = localize(localizer(tmp_path), [plate(0.1, 0.9)], [])
    measured = replace(by_words, source="deviation", unit="mm")
    with pytest.raises(
        LocalizerError, match="deviation in mm has no limit to be added by; give at least two references"
    ):
        add_maps([by_words, measured], "red+deviation", tests=1)
