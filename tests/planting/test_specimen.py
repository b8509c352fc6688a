from pathlib import Path

import numpy as np
import pytest

from converters.sample import Frame, ImageSample, PointCloud, Series, VideoClip
from vlm_inspect.planting.specimen import prepare_specimen


def photo():
    picture = np.random.default_rng(0).normal(120, 10, (90, 120, 1)).clip(0, 255)
    return ImageSample(Path("part.png"), (np.repeat(picture, 3, axis=2).astype(np.uint8),))


def curve():
    time = np.linspace(0, 4, 400)
    return Series(Path("press.csv"), time, np.column_stack([np.sin(time), np.cos(time)]), ("force", "way"), ("N", "mm"))


def clip(count=20):
    picture = photo().pages[0]

    def frames(wanted=None):
        for index in range(count):
            if wanted is None or index in wanted:
                yield Frame(index, index / 10, picture)

    return VideoClip(Path("line.mp4"), picture.shape[:2], count, 10.0, frames)


def scan():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(6000, 3))
    return PointCloud(Path("ball.ply"), 10 * directions / np.linalg.norm(directions, axis=1, keepdims=True))


def test_a_photo_gets_its_defect_where_the_mask_says():
    specimen = prepare_specimen(photo())
    planted = specimen.plant("hole", 0.1, 0.8, np.random.default_rng(0))
    change = np.abs(planted.sample.pages[0].astype(int) - photo().pages[0]).max(axis=2)
    assert (change[planted.mask] > 0).all()
    assert planted.size == pytest.approx(0.1, rel=0.6)


def test_nothing_is_planted_where_the_rule_book_looks_away():
    specimen = prepare_specimen(photo(), ignore=[(0.0, 0.0, 0.5, 1.0)])
    for seed in range(6):
        planted = specimen.plant("stain", 0.1, 0.8, np.random.default_rng(seed))
        assert not planted.mask[:, :60].any()
    assert prepare_specimen(photo(), ignore=[(0.0, 0.0, 1.0, 1.0)]) is None


def test_a_clip_shows_the_defect_in_a_stretch_of_its_frames_at_one_place():
    specimen = prepare_specimen(clip())
    planted = specimen.plant("hole", 0.2, 0.9, np.random.default_rng(1))
    changed = [
        frame.index for frame, own in zip(planted.sample.frames(), clip().frames(), strict=True)
        if (frame.image != own.image).any()
    ]  # fmt: skip
    assert 0 < len(changed) < 20
    assert changed == list(range(changed[0], changed[-1] + 1))
    asked = [frame.index for frame in planted.sample.frames(frozenset({0, changed[0]}))]
    assert asked == sorted({0, changed[0]})


@pytest.mark.parametrize("kind", ["bump", "dip", "shift", "missing stroke", "noise"])
def test_a_curve_changes_for_as_long_as_stated(kind):
    specimen = prepare_specimen(curve())
    planted = specimen.plant(kind, 0.1, 0.5, np.random.default_rng(3))
    changed = np.abs(planted.sample.values - curve().values).max(axis=1) > 1e-12
    assert 0 < changed.sum() <= 40
    assert planted.size == pytest.approx(0.1)
    assert planted.size_in_unit == pytest.approx(0.4)


@pytest.mark.parametrize("kind", ["dent", "bump", "missing", "extra"])
def test_a_scan_changes_by_as_much_as_stated(kind):
    specimen = prepare_specimen(scan())
    planted = specimen.plant(kind, 0.2, 0.5, np.random.default_rng(3))
    radius = np.linalg.norm(planted.sample.points, axis=1)
    assert planted.size_in_unit == pytest.approx(4.0, rel=0.02)
    off = np.abs(radius - 10).max()
    assert 0.4 < off < 1.6  # a quarter of the diameter


def test_the_standard_sizes_fit_a_slender_part() -> None:
    slender = np.full((120, 240, 3), 235, np.uint8)
    slender[50:66, 20:220] = (60, 70, 80)
    square = np.full((120, 120, 3), (60, 70, 80), np.uint8)
    bolt, tile = (prepare_specimen(ImageSample(Path(f"{n}.png"), (page,))) for n, page in enumerate((slender, square)))
    assert bolt is not None
    assert tile is not None
    assert tile.compactness == 1.0
    assert bolt.compactness == pytest.approx(2 * np.sqrt(200 * 16 / np.pi) / 200, rel=0.1)
