import numpy as np
import pytest

from recipes.dapo_mini.painting.corpus import BOARD_SCAN, TEXTILE, Corpus, picture_canvas
from recipes.dapo_mini.painting.noise import blob, fractal, place_blob
from recipes.dapo_mini.painting.scenes import DEFECTS, FAMILIES, paint_pair, photograph_pair, some_photograph, take

SIDE = 96


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_paints_the_same_pair_twice(family: str) -> None:
    first, second = (paint_pair((5, 1), family=family, words=tuple(DEFECTS), side=SIDE) for _ in range(2))
    for one, again in zip(first, second, strict=True):
        assert one is not None
        assert again is not None
        assert (one.picture == again.picture).all()
        assert (one.mask == again.mask).all()
        assert one.word == again.word
    other = paint_pair((5, 2), family=family, words=tuple(DEFECTS), side=SIDE)[0]
    assert (other.picture != first[0].picture).any()


@pytest.mark.parametrize("word", DEFECTS)
def test_every_defect_is_where_its_mask_says(word: str) -> None:
    found = 0
    for index in range(4):
        normal, spoiled = paint_pair((9, index), family="stone", words=(word,), side=128)
        assert not normal.mask.any()
        assert normal.word is None
        if spoiled is None:
            continue
        found += 1
        assert spoiled.word == word
        assert spoiled.picture.dtype == np.uint8
        assert 0 < spoiled.mask.mean() < 0.4
        change = np.abs(spoiled.picture.astype(int) - normal.picture).max(axis=2)
        # JPEG and shadows reach a little beyond the mask; the change is where the mask is
        assert change[spoiled.mask].mean() > 4 * change[~spoiled.mask].mean()
    assert found >= 2


def test_a_part_keeps_its_defects_to_itself() -> None:
    """A crack does not run on over the ground that a part lies on."""
    from recipes.dapo_mini.painting.lines import crack
    from recipes.dapo_mini.painting.scenes import paint_scene

    random = np.random.default_rng(3)
    canvas = paint_scene(random, "plate", SIDE)
    assert not canvas.part.all()
    assert not (crack(random, canvas) & ~canvas.part).any()


def test_pictures_that_exist_become_scenes() -> None:
    random = np.random.default_rng(0)
    scan = np.zeros((200, 150, 3), np.uint8)
    scan[:, 70:90] = 255
    canvas = picture_canvas(random, scan, SIDE, flat=True)
    assert canvas.colour.shape == (SIDE, SIDE, 3)
    assert canvas.part.all()
    normal, spoiled = photograph_pair(random, canvas, ("hole", "stain"), class_name=BOARD_SCAN, source="scan")
    assert spoiled is not None
    assert normal.class_name == spoiled.class_name == BOARD_SCAN


def test_a_corpus_takes_turns_and_paints_the_same_for_the_same_seed() -> None:
    corpus = Corpus(seed=1, side=SIDE, families=("plain", "weave"), words=("hole",))
    names = [corpus.pair(index)[0].class_name for index in range(4)]
    assert names == ["plain", "weave", "plain", "weave"]
    assert (corpus.pair(2)[0].picture == corpus.pair(2)[0].picture).all()
    assert (corpus.pair(2)[0].picture != Corpus(2, SIDE, ("plain", "weave"), ("hole",)).pair(2)[0].picture).any()
    assert TEXTILE not in names


def test_the_camera_changes_nothing_but_the_picture() -> None:
    from recipes.dapo_mini.painting.scenes import paint_scene

    random = np.random.default_rng(8)
    canvas = paint_scene(random, "weave", SIDE)
    before = canvas.colour.copy()
    camera = some_photograph(random)
    assert (take(canvas, camera) == take(canvas, camera)).all()
    assert (canvas.colour == before).all()


def test_noise_is_standard_and_a_blob_lands_where_it_may() -> None:
    random = np.random.default_rng(2)
    field = fractal(random, SIDE, 5)
    assert abs(float(field.mean())) < 1e-3
    assert abs(float(field.std()) - 1) < 1e-3
    allowed = np.zeros((SIDE, SIDE), bool)
    allowed[20:24, 70:74] = True
    spot = place_blob(blob(random, SIDE, 0.01), allowed, random) > 0
    rows, columns = np.nonzero(spot)
    assert abs(rows.mean() - 22) < 8
    assert abs(columns.mean() - 72) < 8
