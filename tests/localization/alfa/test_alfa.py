"""ALFA as a judge: words chosen for the picture, fitted to its windows, with and without normal pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.localization.alfa.colour_towers import colour_encoder
from tests.localization.alfa.surfaces import green_surface, peak_xy, with_square
from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.array_cache import ENVIRONMENT, user_cache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.alfa.contextual import Kept
from vlm_inspect.localization.alfa.judge import Alfa
from vlm_inspect.localization.alfa.scoring import (
    AlfaScores,
    SentenceFeatures,
    picture_anchors,
    score_pictures,
)
from vlm_inspect.localization.alfa.settings import AlfaSettings, Aligner, EmptyPolicy
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.prompt_bank.ensembles import PromptSet
from vlm_inspect.localization.prompt_bank.written_bank import Description, WrittenBank
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.winclip.picture_features import recall_normals, see_in_batches
from vlm_inspect.localization.winclip.windows import unit

NUT = Subject("metal nut")
SPOT = (40, 16, 56, 32)


class FixedBank:
    """A bank that says what it is told to."""

    identity = "fixed"

    def __init__(self, normal: tuple[str, ...], abnormal: tuple[str, ...]) -> None:
        self._prompts = PromptSet(normal, abnormal)

    def describe(self, class_name: str) -> Description:
        return Description(self._prompts)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    torch.set_num_threads(1)
    return tiny_encoder(tmp_path_factory.mktemp("clip"), side=64)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))


def sentences(seed: int = 0, normal: int = 6, abnormal: int = 7, width: int = 32) -> SentenceFeatures:
    generator = torch.Generator().manual_seed(seed)
    return SentenceFeatures(
        unit(torch.randn(normal, width, generator=generator)), unit(torch.randn(abnormal, width, generator=generator))
    )


def scored(encoder: DualEncoder, settings: AlfaSettings, *, normals: int = 0) -> AlfaScores:
    pictures = [with_square(green_surface(seed), (8 * seed, 16, 8 * seed + 16, 32)) for seed in range(3)]
    memory = None
    if normals:
        memory = recall_normals(encoder, [green_surface(20 + i) for i in range(normals)], settings, user_cache())
    (seen,) = see_in_batches(encoder, pictures, settings, with_values=settings.aligner != "none")
    return score_pictures(seen, sentences(), memory, settings)


@pytest.mark.parametrize("aligner", ["windows", "cls_rank1", "per_scale", "none"])
def test_words_alone_find_the_place_where_the_towers_know_the_words(aligner: Aligner) -> None:
    judge = Alfa(colour_encoder(), AlfaSettings(aligner=aligner))
    normal, damaged = judge.fit(NUT).judge([green_surface(0), with_square(green_surface(1), SPOT)])
    x, y = peak_xy(damaged.heat)
    assert SPOT[0] <= x <= SPOT[2]
    assert SPOT[1] <= y <= SPOT[3]
    assert damaged.score > 2 * normal.score
    assert damaged.heat.max() > 5 * np.median(damaged.heat)


def test_a_few_normal_pictures_find_a_pasted_square(encoder: DualEncoder) -> None:
    normals = [green_surface(seed) for seed in range(3)]
    judge, broken = Alfa(encoder), with_square(green_surface(8), SPOT)
    clean, damaged = judge.fit(NUT, normals).judge([green_surface(7), broken])
    (told,) = judge.fit(NUT).judge([broken])
    gained = damaged.heat - 0.5 * told.heat  # what the memory adds
    x, y = peak_xy(gained)
    assert SPOT[0] <= x <= SPOT[2]
    assert SPOT[1] <= y <= SPOT[3]
    assert gained.max() > 5 * np.median(gained)
    assert damaged.heat.shape == clean.heat.shape == (8, 8)


@pytest.mark.parametrize("aligner", ["windows", "cls_rank1", "per_scale", "none"])
@pytest.mark.parametrize("normals", [0, 2])
def test_scores_are_probabilities_and_follow_equation_12(encoder: DualEncoder, aligner: Aligner, normals: int) -> None:
    scores = scored(encoder, AlfaSettings(aligner=aligner), normals=normals)
    for part in (scores.score, scores.whole, scores.heat):
        assert 0.0 <= float(part.min()) <= float(part.max()) <= 1.0
    torch.testing.assert_close(scores.score, 0.5 * (scores.whole + scores.heat.amax(dim=(1, 2))))


def test_normal_pictures_leave_the_global_score_alone(encoder: DualEncoder) -> None:
    without, with_memory = scored(encoder, AlfaSettings()), scored(encoder, AlfaSettings(), normals=2)
    torch.testing.assert_close(without.whole, with_memory.whole, rtol=0, atol=0)
    assert not torch.allclose(without.heat, with_memory.heat)


def test_the_global_score_is_the_share_of_the_pictures_own_anchors(encoder: DualEncoder) -> None:
    settings = AlfaSettings(temperature=0.2)
    scores, told = scored(encoder, settings), sentences()
    pictures = [with_square(green_surface(seed), (8 * seed, 16, 8 * seed + 16, 32)) for seed in range(3)]
    (seen,) = see_in_batches(encoder, pictures, settings, with_values=True)
    for row in range(3):
        f = seen.whole[row]
        normal = unit(told.normal[scores.kept.normal[row]].mean(dim=0))
        abnormal = unit(told.abnormal[scores.kept.abnormal[row]].mean(dim=0))
        expected = torch.softmax(torch.stack([f @ normal, f @ abnormal]) / 0.2, dim=0)[1]
        assert float(scores.whole[row]) == pytest.approx(float(expected), abs=1e-5)


def test_a_window_that_is_the_picture_scores_as_the_picture(encoder: DualEncoder) -> None:
    """U_L = U_G, so W = I and S_L = S_G."""
    scores = scored(encoder, AlfaSettings(scales=(8,)))
    torch.testing.assert_close(scores.heat, scores.whole[:, None, None].expand(3, 8, 8), atol=1e-5, rtol=1e-4)


def test_the_aligner_moves_the_map_and_much_ridge_does_not(encoder: DualEncoder) -> None:
    plain = scored(encoder, AlfaSettings(aligner="none")).heat
    assert not torch.allclose(scored(encoder, AlfaSettings()).heat, plain, atol=1e-3)
    torch.testing.assert_close(scored(encoder, AlfaSettings(ridge=1e7)).heat, plain, atol=1e-4, rtol=1e-3)


def test_the_global_scale_joins_the_map_on_request(encoder: DualEncoder) -> None:
    two, three = scored(encoder, AlfaSettings()), scored(encoder, AlfaSettings(include_global_scale=True))
    expected = 3 / (2 / two.heat + 1 / two.whole[:, None, None])
    torch.testing.assert_close(three.heat, expected, atol=1e-6, rtol=1e-4)


def test_anchors_are_masked_means() -> None:
    told = sentences()
    keep = torch.tensor([[True, False, True, False, False, False], [False, True, False, False, False, False]])
    none = torch.zeros(2, dtype=torch.bool)
    anchors = picture_anchors(told, Kept(keep, torch.ones(2, 7, dtype=torch.bool), none, none))
    assert anchors.shape == (2, 2, 32)
    torch.testing.assert_close(anchors[0, 0], unit(told.normal[0] + told.normal[2]))
    torch.testing.assert_close(anchors[1, 0], told.normal[1])
    torch.testing.assert_close(anchors[1, 1], unit(told.abnormal.sum(dim=0)))


@pytest.mark.parametrize(
    ("policy", "said"),
    [("vanilla", "all of them were used"), ("extreme", "nearest"), ("abstain", "the words had no say")],
)
def test_a_label_without_sentences_is_noted(encoder: DualEncoder, policy: EmptyPolicy, said: str) -> None:
    same = ("a nut", "a nut with a mark")  # equal sentences under both labels tell nothing apart
    settings = AlfaSettings(use_templates=False, use_defects=False, empty_policy=policy)
    answers = Alfa(encoder, settings, FixedBank(same, same)).fit(NUT).judge([green_surface(0), green_surface(1)])
    for answer in answers:
        assert answer.notes == ()
        assert "normal and abnormal" in answer.fallback
        assert said in answer.fallback
    if policy == "abstain":
        assert answers[0].score == 0.5
        assert (answers[0].heat == 0.5).all()


def test_an_abstention_leaves_the_memory_its_say(encoder: DualEncoder) -> None:
    same = ("a nut", "a nut with a mark")
    settings = AlfaSettings(use_templates=False, empty_policy="abstain")
    judge = Alfa(encoder, settings, FixedBank(same, same))
    (answer,) = judge.fit(NUT, [green_surface(1)]).judge([with_square(green_surface(0), SPOT)])
    x, y = peak_xy(answer.heat)
    assert SPOT[0] <= x <= SPOT[2]
    assert SPOT[1] <= y <= SPOT[3]


def test_reasons_are_the_nearest_abnormal_sentences_that_count() -> None:
    broken = with_square(green_surface(1), (8, 8, 56, 56))
    judge = Alfa(colour_encoder(), AlfaSettings(most_descriptors=3))
    (answer,) = judge.fit(Subject("screw", ("scratch",))).judge([broken])
    assert len(answer.phrases.nearest) == 3
    assert -1 <= answer.phrases.normal < answer.phrases.nearest[0][1], "the damage is nearer than what is normal"
    values = [value for _, value in answer.phrases.nearest]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.5
    described = (
        *WrittenBank().describe("screw").prompts.abnormal,
        "An abnormal image of a screw with the defect scratch",
    )
    assert all(phrase in described for phrase, _ in answer.phrases.nearest)
    templates = Alfa(colour_encoder(), AlfaSettings(use_descriptions=False)).fit(Subject("screw")).judge([broken])[0]
    assert len(templates.phrases.nearest) == 5
    assert "screw" in templates.phrases.nearest[0][0]


def test_a_reason_counts_for_the_picture() -> None:
    normal = ("a nut", "a defect")  # both far and near, so that most of what is near tells nothing
    inside, clear = "a damaged defect", "a nut with much damage at one end"
    settings = AlfaSettings(use_templates=False, use_defects=False)
    judge = Alfa(colour_encoder(), settings, FixedBank(normal, (inside, clear)))
    picture = with_square(green_surface(0), (0, 0, 64, 64))
    (answer,) = judge.fit(NUT).judge([picture])
    (seen,) = see_in_batches(colour_encoder(), [picture], settings, with_values=True)
    features = judge._sentences_of(NUT).features
    similarity = seen.whole[0] @ features.abnormal.T
    least, most = (seen.whole[0] @ features.normal.T).aminmax()
    assert least < similarity[0] < most < similarity[1]
    assert answer.phrases.nearest == ((clear, pytest.approx(float(similarity[1]), abs=1e-6)),)


def test_where_the_sentences_come_from_can_be_chosen(encoder: DualEncoder) -> None:
    def count(**options: bool) -> tuple[int, int]:
        prompts = Alfa(encoder, AlfaSettings(**options))._sentences_of(Subject("screw", ("bent",))).prompts  # type: ignore[arg-type]  # switches only
        return len(prompts.normal), len(prompts.abnormal)

    described = WrittenBank().describe("screw").prompts
    own, ill = len(described.normal), len(described.abnormal)
    assert count() == (72 + own, 72 + ill + 1)
    assert count(use_descriptions=False) == (72, 73)
    assert count(use_defects=False, use_templates=False) == (own, ill)


def test_descriptions_that_are_too_long_are_left_out(encoder: DualEncoder) -> None:
    bank = FixedBank(("a nut", "a nut " * 60), ("a bent nut",))
    judge = Alfa(encoder, AlfaSettings(use_templates=False), bank)
    (answer,) = judge.fit(NUT).judge([green_surface(0)])
    assert any("1 of 3 descriptions have more than 70 tokens and were left out" in note for note in answer.notes)
    assert judge._sentences_of(NUT).prompts == PromptSet(("a nut",), ("a bent nut",))
    only_long = Alfa(encoder, AlfaSettings(use_templates=False), FixedBank(("nut " * 90,), ("bent " * 90,)))
    assert len(only_long._sentences_of(NUT).prompts.normal) == 72


def test_a_class_that_the_bank_does_not_know_is_noted(encoder: DualEncoder) -> None:
    (answer,) = Alfa(encoder).fit(Subject("plug")).judge([green_surface(0)])
    assert any("describes no plug" in note for note in answer.notes)


def test_another_subject_gets_other_sentences(encoder: DualEncoder) -> None:
    judge = Alfa(encoder)
    nut, screw = (judge.fit(Subject(name)).judge([green_surface(0)])[0] for name in ("metal nut", "screw"))
    assert nut.score != screw.score
    assert judge.fit(NUT).judge([green_surface(0)])[0].score == pytest.approx(nut.score, abs=1e-6)
    with pytest.raises(LocalizerError, match="no name"):
        judge.fit(Subject("_")).judge([green_surface(0)])


def test_the_identity_changes_with_settings_bank_and_weights(encoder: DualEncoder) -> None:
    plain = Alfa(encoder)
    others = [
        Alfa(encoder, AlfaSettings(ridge=0.1)),
        Alfa(encoder, bank=FixedBank(("a",), ("b",))),
        Alfa(replace(encoder, identity="others")),
    ]
    assert plain.identity == Alfa(encoder).identity
    assert len({plain.identity, *(other.identity for other in others)}) == 4
    assert (plain.name, plain.uses_normals) == ("alfa", True)


def test_batches_change_nothing(encoder: DualEncoder) -> None:
    pictures = [with_square(green_surface(seed), (8 * seed, 8, 8 * seed + 16, 24)) for seed in range(3)]
    together = Alfa(encoder, AlfaSettings(most_tokens=10**9)).fit(NUT, pictures[:1]).judge(pictures)
    alone = Alfa(encoder, AlfaSettings(most_tokens=1)).fit(NUT, pictures[:1]).judge(pictures)
    for one, other in zip(together, alone, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        np.testing.assert_allclose(one.heat, other.heat, atol=1e-5)
        assert one.phrases.nearest[0][0] == other.phrases.nearest[0][0]
    assert Alfa(encoder).fit(NUT).judge([]) == []
