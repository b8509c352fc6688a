import numpy as np
import pytest

from tests.localization.dapo.painted_plates import Plates
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.judge import FINENESS, DapoJudge
from vlm_inspect.localization.dapo.predictor import DapoPredictor
from vlm_inspect.localization.dapo.wording import default_words
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.picture_judge import PictureJudge
from vlm_inspect.localization.subject import Subject
from vlm_inspect.training.methods.dapo import DapoMethod


def pictures(count: int) -> list[Rgb]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (20 + i, 45 - i, 3), dtype=np.uint8) for i in range(count)]


def test_scores_have_the_form_of_the_seam(predictor: DapoPredictor) -> None:
    judge: PictureJudge = DapoJudge(predictor)
    scores = judge.fit(Subject("plate", ("scratch", "hole"))).judge(pictures(2))
    assert (judge.name, judge.uses_normals) == ("dapo", False)
    for one in scores:
        assert 0 <= one.score <= 1
        assert one.heat.shape == (4 * FINENESS, 4 * FINENESS)
        assert one.types is not None
        assert one.types.shape == (2, 4 * FINENESS, 4 * FINENESS)
        assert one.heat.dtype == one.types.dtype == np.float32
        assert 0 <= one.heat.min() <= one.heat.max() <= 1
        np.testing.assert_allclose(one.types.sum(0), one.heat, atol=1e-5)
        assert one.words == ("scratch", "hole")
        assert one.notes == ()


def test_many_pictures_are_judged_as_single_ones(predictor: DapoPredictor) -> None:
    judge, subject = DapoJudge(predictor), Subject("plate", ("scratch",))
    together = judge.fit(subject).judge(pictures(9))  # more than one batch
    for picture, one in zip(pictures(9), together, strict=True):
        alone = judge.fit(subject).judge([picture])[0]
        assert one.score == pytest.approx(alone.score, abs=1e-5)
        np.testing.assert_allclose(one.heat, alone.heat, atol=1e-4)


def test_the_subject_brings_the_words_else_the_judge_has_its_own(predictor: DapoPredictor) -> None:
    assert DapoJudge(predictor).fit(Subject()).judge(pictures(1))[0].words == default_words()
    assert DapoJudge(predictor, words=("rust",)).fit(Subject()).judge(pictures(1))[0].words == ("rust",)
    named = Subject("plate", ("bent  pin", "never seen before"))
    assert DapoJudge(predictor).fit(named).judge(pictures(1))[0].words == ("bent pin", "never seen before")


def test_identity_and_name_tell_judges_apart(predictor: DapoPredictor) -> None:
    one, other = DapoJudge(predictor), DapoJudge(predictor, name="dapo-mini", words=("rust",))
    assert one.identity != other.identity
    assert other.name == "dapo-mini"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("hole", "HOLE"), "stands twice"),
        (tuple(f"kind {i}" for i in range(500)), "500 words; at most 200"),
        (("hole", " "), "word 2 is empty"),
    ],
)
def test_wrong_vocabularies_are_one_line(predictor: DapoPredictor, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(LocalizerError, match=says):
        DapoJudge(predictor).fit(Subject("plate", words)).judge(pictures(1))


def test_a_cut_prompt_is_named(predictor: DapoPredictor) -> None:
    longest = " ".join(["discoloration"] * 20)
    scores = DapoJudge(predictor).fit(Subject("plate", ("hole", longest))).judge(pictures(2))
    assert [one.notes for one in scores] == [(f"prompt cut to 77 tokens: {longest} anomaly object",)] * 2


def test_a_trained_judge_marks_the_defect_and_names_it(trained: DapoMethod, plates: Plates, cache: ArrayCache) -> None:
    judge = DapoJudge(DapoPredictor(trained.model, cache))
    for one, kind, mask in zip(
        judge.fit(Subject("plate", trained.words)).judge(plates.pictures), plates.kinds, plates.masks, strict=True
    ):
        assert one.types is not None
        assert one.heat.shape == mask.shape  # 12 patches of 4 px, so that cells are pixels
        if kind:
            assert int(one.types[:, mask].mean(1).argmax()) + 1 == kind
            assert one.heat[mask].mean() > one.heat[~mask].mean() + 0.2
