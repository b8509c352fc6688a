"""The script behind dapo-mini's head: features are kept, held-out families give no rows, equal seeds equal weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.dapo_mini import patches
from recipes.dapo_mini.painting.corpus import Corpus
from recipes.dapo_mini.patches import PatchPlan, Rows, blocks, choose_rows, gather_rows, save, train
from vlm_inspect.localization.checkpoint import read_header
from vlm_inspect.localization.dapo_mini.patch_head import load_head

PLAN = PatchPlan(names=("tiny",), seeds=(3,), pairs=(6,), growths=(1.0,), block=3, batch=32, passes=12)


@pytest.fixture(scope="module")
def corpora() -> list[Corpus]:
    return [Corpus(seed=3, side=128, families=("plain", "marble", "leather"), words=("hole", "stain"))]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def rows(corpora: list[Corpus], work: Path) -> Rows:
    torch.set_num_threads(1)
    return gather_rows(PLAN, corpora, work)


def test_features_are_kept_and_read_again(rows: Rows, corpora: list[Corpus], work: Path) -> None:
    kept = sorted(work.glob("*.npz"))
    assert [one.name for one in kept] == ["tiny-0000.npz", "tiny-0003.npz"]
    stamps = [one.stat().st_mtime_ns for one in kept]
    again = gather_rows(PLAN, corpora, work)
    assert [one.stat().st_mtime_ns for one in kept] == stamps
    assert (again.patches == rows.patches).all()
    assert (again.anomalous == rows.anomalous).all()


def test_held_out_families_give_no_rows(rows: Rows, corpora: list[Corpus], work: Path) -> None:
    assert 0 < rows.anomalous.mean() < 0.6
    assert np.isfinite(rows.patches).all()
    for number, one in enumerate(blocks(PLAN, corpora, work)):
        marble = one.families == "marble"
        assert marble.any()
        alone = patches.Block(one.features[marble], one.masks[marble], one.families[marble], one.anomalous[marble])
        assert choose_rows(PLAN, number, alone) is None


def test_equal_seeds_give_equal_weights_and_what_is_saved_loads(
    rows: Rows, corpora: list[Corpus], tmp_path: Path
) -> None:
    head, again = (train(PLAN, rows, progress=False) for _ in range(2))
    for name, one in head.state_dict().items():
        assert torch.equal(one, again.state_dict()[name]), name
    given = head.rows(*(torch.from_numpy(one).float() for one in (rows.patches, rows.mean, rows.spread, rows.rarity)))
    told = head(given).detach().numpy()
    assert told[rows.anomalous == 1].mean() > told[rows.anomalous == 0].mean() + 1
    path = tmp_path / "head.safetensors"
    save(path, head, PLAN, corpora, rows)
    header = read_header(path)
    assert header.class_names == ("leather", "plain")
    assert header.data[0].anomalous == int(rows.anomalous.sum())
    assert torch.equal(load_head(path).last.weight, head.last.weight)
