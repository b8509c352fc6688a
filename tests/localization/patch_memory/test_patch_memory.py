from dataclasses import replace

import numpy as np
import pytest

from converters.view import View
from vlm_inspect.localization.framing import Picture
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.patch_memory.copies import COPIES, changed_copies
from vlm_inspect.localization.patch_memory.eyes import uses_for
from vlm_inspect.localization.patch_memory.grids import Pane, frame_class, is_large, see
from vlm_inspect.localization.patch_memory.layer_bank import LayerBank, make_scaling, measure_reliability
from vlm_inspect.localization.patch_memory.memory import learn_memory
from vlm_inspect.localization.patch_memory.scores import pool_values
from vlm_inspect.localization.patch_memory.storing import pack, unpack
from vlm_inspect.vision import load_network

FAST = uses_for(MemorySettings(eye="fast"), "image")


def spots(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:96]
    grey = 120 + 50 * np.sin(x / 5 + rng.uniform(0, 6)) * np.sin(y / 6 + rng.uniform(0, 6)) + rng.normal(0, 3, (96, 96))
    image = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    return View(image, "image", "spots", None, key="image")


def wedge(turn_deg):
    """A dark wedge, three times as long as high, on a light table: (256, 256, 3)."""
    cv2 = pytest.importorskip("cv2")
    image = np.full((256, 256, 3), 210, np.uint8)
    corners = cv2.boxPoints(((128, 128), (120, 36), turn_deg))
    cv2.fillConvexPoly(image, np.rint([corners[0], corners[1], corners[2]]).astype(np.int32), (60, 60, 66))
    return Picture(image)


@pytest.fixture(scope="module")
def memory():
    return learn_memory(FAST, [(seed, 0, spots(seed)) for seed in range(3)])


def test_photos_are_seen_finely_and_clips_and_scans_fast():
    auto = MemorySettings()
    assert [use.network for use in uses_for(auto, "image")] == ["lite0", "dinov2"]
    for kind in ("frames", "depth", "normals"):
        assert [use.network for use in uses_for(auto, kind)] == ["lite0"]
    assert [use.network for use in uses_for(MemorySettings(eye="fine"), "frames")] == ["lite0", "dinov2"]
    assert [use.network for use in uses_for(MemorySettings(backbone="dinov2"), "image")] == ["dinov2"]


def test_views_scored_together_or_alone_score_alike(memory):
    views = [spots(seed) for seed in (7, 8, 9)]
    together = [one.log_scores for one in memory.score(views)]
    alone = [memory.score([view])[0].log_scores for view in views]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_score_is_the_highest_place_of_the_map(memory):
    (scores,) = memory.score([spots(7)])
    assert scores.maps().max() == pytest.approx(np.exp(scores.log_scores[0]), rel=0.02)


def test_a_memory_is_the_same_after_it_was_stored(memory):
    again = unpack(pack(memory), FAST)
    view = spots(11)
    assert again.references == memory.references
    np.testing.assert_array_equal(again.level, memory.level)
    np.testing.assert_array_equal(again.score([view])[0].log_scores, memory.score([view])[0].log_scores)


def test_arrays_of_something_else_are_refused(memory):
    arrays = pack(memory)
    with pytest.raises(KeyError):
        unpack({name: array for name, array in arrays.items() if name != "0.origin"}, FAST)
    with pytest.raises(ValueError, match="do not fit"):
        unpack(arrays | {"0.origin": arrays["0.origin"][:5]}, FAST)
    with pytest.raises(ValueError, match="do not fit"):
        unpack(arrays | {"level": arrays["level"][:1]}, FAST)


def test_pooling_takes_the_highest_share():
    values = np.arange(1000, dtype=np.float32)
    assert pool_values(values, 0.0) == 999
    assert pool_values(values, 0.01) == pytest.approx(994.5)
    assert pool_values(np.zeros(0, np.float32), 0.01) == 0.0


def test_the_cosine_does_not_see_length():
    rows = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    mean, weight = make_scaling(rows, (8,), "cosine")
    bare = LayerBank("cosine", mean, weight, 0.0, np.zeros((0, 10), np.float32), np.zeros(0, np.float32))
    nowhere = np.zeros((40, 2), np.float32)
    bank = LayerBank("cosine", mean, weight, 0.0, bare.embed(rows, nowhere), np.ones(40, np.float32))
    distances, indices = bank.search(bank.embed(3 * rows, nowhere))
    assert distances == pytest.approx(np.zeros(40), abs=1e-5)
    assert indices.tolist() == list(range(40))
    opposite, _ = bank.search(bank.embed(-rows[:1], nowhere[:1]), np.arange(40) == 0)
    assert opposite[0] == pytest.approx(2.0, abs=1e-5)


def test_every_stage_has_the_same_variance():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 9, (500, 4)), rng.normal(5, 0.1, (500, 2))], axis=1).astype(np.float32)
    mean, weight = make_scaling(rows, (4, 2), "scaled")
    scaled = (rows - mean) * weight
    assert scaled[:, :4].var(axis=0).sum() == pytest.approx(0.5, rel=1e-3)
    assert scaled[:, 4:].var(axis=0).sum() == pytest.approx(0.5, rel=1e-3)


def test_copies_differ_a_little_and_masked_ones_stay_in_place():
    picture = Picture(spots(0).image)
    copies = changed_copies(picture)
    assert len(copies) == COPIES
    assert all(0 < np.abs(copy.image.astype(float) - picture.image).mean() < 60 for copy in copies)
    masked = changed_copies(Picture(picture.image, np.ones((96, 96), bool)))
    ratio = masked[0].image.astype(float).mean() / picture.image.mean()
    assert np.abs(masked[0].image - picture.image * ratio).max() < 3


def test_where_references_differ_a_distance_counts_for_less():
    rng = np.random.default_rng(0)
    shared, lively = rng.normal(0, 0.1, (200, 4)), rng.normal(20, 5, (200, 4))
    rows = np.concatenate([shared, lively]).astype(np.float32)
    rows = np.concatenate([rows, np.zeros((400, 2), np.float32)], axis=1)
    nothing = np.zeros(4, np.float32)
    bank = LayerBank("scaled", nothing, nothing + 1, 0.0, rows, np.ones(400, np.float32))
    owners = np.tile(np.arange(16), 25)
    factors = measure_reliability(bank, owners)
    assert factors[:200].min() > 1.0
    assert factors[200:].mean() < 0.9
    few = measure_reliability(bank, owners % 2)
    assert np.abs(few - 1).max() < np.abs(factors - 1).max()
    assert (measure_reliability(bank, np.zeros(400, np.int64)) == 1).all()


def test_one_reference_is_helped_by_what_repeats_in_the_picture_itself() -> None:
    """A weave of another pitch is like itself everywhere; what is only there once stays far from everything."""
    (use,) = uses_for(MemorySettings(eye="fast"), "image")
    bare, helped = (learn_memory([replace(use, own_places=own)], [(0, 0, spots(0))]) for own in (False, True))
    y, x = np.mgrid[0:96, 0:96]
    grey = np.clip(120 + 50 * np.sin(x / 3) * np.sin(y / 3), 0, 255).astype(np.uint8)
    other = np.repeat(grey[:, :, None], 3, axis=2)
    marked = other.copy()
    marked[40:56, 40:56] = (250, 20, 20)
    without, with_own = (
        [one.log_scores[0] for one in memory.score([replace(spots(1), image=image) for image in (other, marked)])]
        for memory in (bare, helped)
    )
    assert with_own[0] < without[0] - 0.1
    assert with_own[1] > with_own[0] + 0.3


def test_several_references_are_not_helped_by_the_picture_itself() -> None:
    (use,) = uses_for(MemorySettings(eye="fast"), "image")
    views = [(seed, 0, spots(seed)) for seed in range(2)]
    bare, same = (learn_memory([replace(use, own_places=own)], views) for own in (False, True))
    np.testing.assert_array_equal(bare.score([spots(5)])[0].log_scores, same.score([spots(5)])[0].log_scores)


def test_a_small_part_of_a_large_picture_is_seen_larger():
    fine = uses_for(MemorySettings(eye="fine"), "image")[0]
    use = replace(fine, least_pixels=64 * 64, most_pixels=96 * 96)
    pictures = [wedge(turn) for turn in (0, 50, 100)]
    sides = [
        frame_class(one, pictures, parts=True, multiple=16).scale for one in (use, replace(use, small_part_factor=1))
    ]
    assert sides[0] == pytest.approx(4 / 3 * sides[1], rel=0.08)
    whole = [frame_class(one, pictures, parts=False, multiple=16).scale for one in (use, use)]
    assert whole[0] == whole[1]
    small_pictures = replace(use, least_pixels=256 * 256, most_pixels=384 * 384)
    alike = [replace(small_pictures, small_part_factor=factor) for factor in (1, 2)]
    assert len({frame_class(one, pictures, parts=True, multiple=16).scale for one in alike}) == 1


def test_a_part_that_has_many_pixels_itself_is_seen_with_them():
    fine = uses_for(MemorySettings(eye="fine"), "image")[0]
    use = replace(fine, least_pixels=64 * 64, most_pixels=96 * 96, large_pixels=144 * 144)
    large = [Picture(spots(seed).image.repeat(2, 0).repeat(2, 1)) for seed in range(2)]  # 192 x 192
    middle = [Picture(one.image[:112, :112]) for one in large]  # 112 x 112, less than 144 x 144

    def framed(pictures, *, parts=True, **changes):
        return frame_class(replace(use, **changes), pictures, parts=parts, multiple=16)

    assert framed(large).size_wh == (144, 144)
    assert framed(large, large_pixels=400 * 400).size_wh == (96, 96), "what the picture does not have is not made up"
    assert framed(middle).size_wh == framed(large, parts=False).size_wh == framed(large, large_pixels=0).size_wh
    assert is_large(use, framed(large))
    assert not is_large(use, framed(middle))
    memory = learn_memory([use], [(n, 0, replace(spots(n), image=one.image)) for n, one in enumerate(large)])
    assert memory.channels[0].votes == 1.0
    assert memory.networks[0].use.votes_without_places == 0.5


def test_mirrored_patches_know_where_they_come_from():
    pictures = [wedge(turn) for turn in (0, 50, 100)]
    framing = frame_class(FAST[0], pictures, parts=True, multiple=16)
    assert framing.turns
    pane = Pane(pictures[1], (0, 0))
    network = load_network("lite0")
    (straight,), (mirrored,) = see(network, framing, [pane]), see(network, framing, [pane], mirrored=True)
    own, other = straight.grid.on_view(pane.size_hw), mirrored.grid.on_view(pane.size_hw)
    order, others = np.lexsort(own.round(4).T), np.lexsort(other.round(4).T)
    np.testing.assert_allclose(own[order], other[others], atol=1e-3)
    np.testing.assert_allclose(
        straight.places[order] * np.array([1, -1]), mirrored.places[others], atol=1e-3
    )  # where it appears is not where it comes from
    assert np.abs(straight.rows[0][order] - mirrored.rows[0][others]).mean() > 0.01


def test_parts_that_are_turned_are_remembered_both_ways():
    views = [(n, 0, replace(spots(0), image=wedge(turn).image)) for n, turn in enumerate((0, 50, 100))]
    straight, mirrored = (learn_memory([replace(FAST[0], mirrored=both)], views) for both in (False, True))
    assert len(mirrored.networks[0].origin) == 2 * len(straight.networks[0].origin)
    assert (mirrored.level <= straight.level + 0.2).all()
