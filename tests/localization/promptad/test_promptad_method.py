"""PromptAD trained and judging: it learns, from real masks and from pasted defects, and keeps what it learned."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import IMAGENET_NORMALISATION
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels
from vlm_inspect.localization.promptad.judge import PromptAdJudge
from vlm_inspect.localization.promptad.settings import PromptAdSettings, read_plan, read_settings
from vlm_inspect.localization.subject import ANY_CLASS, Subject
from vlm_inspect.training.batches import stack
from vlm_inspect.training.method import TrainingSample
from vlm_inspect.training.methods.promptad import build_promptad

SIDE = 64
KINDS = ("scratch", "hole", "stain")
PLATE = Subject("plate", KINDS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("clip"), side=SIDE)


def small(**choices):
    return PromptAdSettings.model_validate({"side": SIDE, "normalisation": "tower", **choices})


def plate(index, kind=None):
    """A grey, grainy plate with one defect."""
    generator = np.random.default_rng(100 + index)
    picture = np.clip(generator.normal(120, 8, (SIDE, SIDE, 3)), 0, 255)
    mask = np.zeros((SIDE, SIDE), bool)
    row, column = generator.integers(12, SIDE - 24, 2)
    if kind == "scratch":
        mask[row : row + 4, column - 8 : column + 20] = True
        picture[mask] = 235
    elif kind == "hole":
        y, x = np.ogrid[:SIDE, :SIDE]
        mask = (y - row) ** 2 + (x - column) ** 2 < 60
        picture[mask] = 10
    elif kind == "stain":
        mask[row : row + 14, column : column + 14] = True
        picture[mask] *= (1.3, 0.6, 0.4)
    return TrainingSample(np.clip(picture, 0, 255).astype(np.uint8), mask, kind, "plate", f"test/{index}.png")


def eight_plates():
    return [plate(i, kind) for i, kind in enumerate([*KINDS, *KINDS, None, None])]


def fit(method, batches, rate=3e-3):
    """Train on batches as the loop does, with the method's own decay and clipping; returns the total losses."""
    module = method.learnable.train()
    optimiser = torch.optim.AdamW(module.parameters(), rate, weight_decay=method.schedule.weight_decay)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(batches))
    generator, totals = np.random.default_rng(0), []
    for batch in batches:
        loss = method.losses(batch, generator)["total"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), method.schedule.clip_norm)
        optimiser.step()
        decay.step()
        totals.append(loss.item())
    return totals


def judge_of(method, encoder):
    return PromptAdJudge(encoder, method.learnable, read_plan(method.settings(), "test"), "digest", "plate.safetensors")


def auroc_of(judge, samples):
    """Return the AUROC of pixels, and of pictures."""
    answers = judge.fit(Subject("plate")).judge([sample.picture for sample in samples])
    truth = np.stack([sample.mask for sample in samples])
    pixels = roc_auc_score(truth.ravel(), np.stack([answer.heat for answer in answers]).ravel())
    pictures = roc_auc_score(truth.any(axis=(1, 2)), [answer.score for answer in answers])
    return pixels, pictures


def test_overfits_eight_pictures_of_three_kinds(encoder):
    samples = eight_plates()
    method = build_promptad(encoder, [PLATE], small(supervision="test_split", pooling="top"))
    untrained = auroc_of(judge_of(method, encoder), samples)
    totals = fit(method, [stack(samples, method, "cpu")] * 50)
    judge = judge_of(method, encoder)
    pixels, pictures = auroc_of(judge, samples)
    assert pixels > 0.95 > untrained[0]
    assert pictures == 1.0
    assert totals[-1] < 0.6 * totals[0]
    answers = judge.fit(PLATE).judge([sample.picture for sample in samples])
    assert min(a.score for a in answers[:6]) > 0.8
    assert max(a.score for a in answers[6:]) < 0.2
    assert any("diagnosing only" in note for note in answers[0].notes)


def test_learns_from_normal_pictures_with_pasted_defects(encoder):
    """Prompts and head alone change, the loss falls, and the maps find what was pasted."""
    method = build_promptad(encoder, [Subject("plate")], small(pooling="top", defect_share=0.75))
    generator = np.random.default_rng(2)
    varied = [method.vary(plate(i), generator) for i in range(60)]
    large = [one for one in varied if one.mask.sum() >= 8 * 8]  # smaller than a patch is hard for random towers
    samples = [*large[:6], *(one for one in varied if one.word is None)][:8]
    assert len({one.word for one in samples}) >= 3
    towers = [*encoder.vision.module.parameters(), *encoder.text.module.parameters()]
    before = [one.clone() for one in towers]
    batch = stack(samples, method, "cpu")
    totals = fit(method, [batch] * 30)
    assert np.mean(totals[-4:]) < 0.75 * np.mean(totals[:4])
    pixels, _ = auroc_of(judge_of(method, encoder), samples)
    assert pixels > 0.7
    assert all(torch.equal(one, other) for one, other in zip(towers, before, strict=True))


def test_only_learnable_tensors_get_gradients_and_all_of_them_do(encoder):
    method = build_promptad(encoder, [PLATE], small(supervision="test_split"))
    losses = method.losses(stack(eight_plates(), method, "cpu"), np.random.default_rng(0))
    losses["total"].backward()
    without = [name for name, one in method.learnable.named_parameters() if one.grad is None or not one.grad.any()]
    assert without == ["vision_prompts.normal", "vision_prompts.anomalous"], "their way out, W_o, is zero at first"
    frozen = [*encoder.vision.module.parameters(), *encoder.text.module.parameters()]
    assert all(one.grad is None for one in frozen)
    fit(method, [stack(eight_plates(), method, "cpu")])
    method.losses(stack(eight_plates(), method, "cpu"), np.random.default_rng(0))["total"].backward()
    assert all(one.grad is not None and one.grad.any() for one in method.learnable.parameters())


def test_the_total_is_the_weighted_sum_and_each_switch_changes_its_own_loss(encoder):
    def losses_of(**choices):
        method = build_promptad(encoder, [PLATE], small(supervision="test_split", **choices))
        with torch.no_grad():  # prompts that moved, so that no loss stands at its start
            generator = torch.Generator().manual_seed(3)
            method.learnable.text_prompts += 0.1 * torch.randn(method.learnable.text_prompts.shape, generator=generator)
        batch = stack(eight_plates(), method, "cpu")
        return {name: loss.item() for name, loss in method.losses(batch, np.random.default_rng(0)).items()}

    usual = losses_of()
    weights = {"bce": 1, "dice": 1, "contrastive": 0.5, "margin": 0.1, "alignment": 0.1, "consistency": 0.1}
    assert set(usual) == {"total", *weights}
    assert usual["total"] == pytest.approx(sum(weight * usual[name] for name, weight in weights.items()), rel=1e-5)
    other = losses_of(alignment="cvpr24")
    assert 0 < other["alignment"] < usual["alignment"]
    assert other["total"] == pytest.approx(
        usual["total"] - 0.1 * usual["alignment"] + 0.001 * other["alignment"], rel=1e-5
    )
    assert losses_of(separation="cvpr24", margin=0.3)["margin"] != pytest.approx(usual["margin"])
    assert losses_of(pooling="max")["bce"] != pytest.approx(usual["bce"])
    assert losses_of(temperature=0.5)["contrastive"] != pytest.approx(usual["contrastive"])
    still = losses_of(variation={"flips": False, "rotation_deg": 0, "jitter": 0})
    assert still["consistency"] == pytest.approx(0.0, abs=1e-5)
    assert usual["consistency"] > 1e-4
    heavy = losses_of(weights={"dice": 5})
    assert heavy["total"] == pytest.approx(usual["total"] + 4 * usual["dice"], rel=1e-5)


def test_losses_hold_under_autocast(encoder):
    """The loop's mixed precision: nothing overflows, and the losses stay near those of float32."""
    method = build_promptad(encoder, [PLATE], small(supervision="test_split"))
    batch = stack(eight_plates(), method, "cpu")
    exact = method.losses(batch, np.random.default_rng(0))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = method.losses(batch, np.random.default_rng(0))
    rounded["total"].backward()
    for name, loss in exact.items():
        assert rounded[name].dtype == torch.float32
        assert rounded[name].item() == pytest.approx(loss.item(), rel=0.05, abs=0.02), name
    assert all(one.grad.isfinite().all() for one in method.learnable.parameters())


def test_vary_pastes_defects_on_its_share_of_the_normal_pictures(encoder):
    generator = np.random.default_rng(0)
    method = build_promptad(encoder, [PLATE], small())
    varied = [method.vary(plate(i), generator) for i in range(60)]
    anomalous = [one for one in varied if one.word is not None]
    assert 18 <= len(anomalous) <= 42
    assert all(one.mask.any() == (one.word is not None) for one in varied)
    assert method.supervision == "synthetic"
    never = build_promptad(encoder, [PLATE], small(supervision="none"))
    assert not any(never.vary(plate(i), generator).mask.any() for i in range(20))
    assert never.supervision == "synthetic", "its pictures are normal ones too"
    real = build_promptad(encoder, [PLATE], small(supervision="test_split"))
    assert [real.vary(plate(i, kind), generator).word for i, kind in enumerate((*KINDS, None))] == [*KINDS, None]
    assert real.supervision == "masks"


def test_vary_is_the_same_for_equal_generators(encoder):
    method = build_promptad(encoder, [PLATE], small(), donors=[plate(9).picture])
    first, second = (method.vary(plate(0), np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.mask, second.mask)


def test_equal_seeds_start_equal_and_leave_torchs_own_numbers_alone(encoder):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (build_promptad(encoder, [PLATE], small(seed=seed)).learnable for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.head[0].weight, second.head[0].weight)
    assert not torch.equal(first.head[0].weight, other.head[0].weight)
    assert torch.equal(first.text_prompts, first.anchors)
    assert torch.allclose(first.anchors.norm(dim=-1), torch.ones(1, 2))


def test_words_move_the_start(encoder):
    named, generic = (build_promptad(encoder, [Subject("plate", d)], small()).learnable for d in (("rust",), ()))
    assert torch.equal(named.anchors[0, 0], generic.anchors[0, 0])
    assert not torch.allclose(named.anchors[0, 1], generic.anchors[0, 1])


def test_several_classes_have_their_own_prompts(encoder):
    method = build_promptad(encoder, [Subject("metal_nut"), Subject("plate")], small(supervision="test_split"))
    assert method.learnable.text_prompts.shape == (2, 2, 32)
    fit(method, [stack(eight_plates(), method, "cpu")] * 2)
    judge = judge_of(method, encoder)
    picture = plate(0, "hole").picture
    nut, flat = (judge.fit(Subject(name)).judge([picture])[0] for name in ("Metal nut", "plate"))
    assert not np.array_equal(nut.heat, flat.heat)
    assert nut.notes == flat.notes
    with pytest.raises(LocalizerError, match="knows metal nut, plate"):
        judge.fit(Subject(ANY_CLASS)).judge([picture])


def test_the_judge_answers_in_order_in_any_batches(encoder):
    judge = judge_of(build_promptad(encoder, [PLATE], small()), encoder)
    pictures = [plate(i, KINDS[i % 3]).picture for i in range(18)]
    pictures[3] = np.ascontiguousarray(np.repeat(pictures[3], 2, axis=0))  # another size
    together = judge.fit(PLATE).judge(pictures)
    alone = [judge.fit(PLATE).judge([picture])[0] for picture in pictures]
    for one, other in zip(together, alone, strict=True):
        assert one.heat.shape == (SIDE, SIDE)
        assert one.heat.dtype == np.float32
        assert 0 <= one.heat.min() <= one.heat.max() <= 1
        assert np.allclose(one.heat, other.heat, atol=1e-5)
        assert one.score == pytest.approx(float(one.heat.mean()), abs=1e-5)
    assert judge.fit(PLATE).judge([]) == []


def test_a_class_that_nobody_named_is_judged_as_the_only_one_and_says_so(encoder):
    judge = judge_of(build_promptad(encoder, [PLATE], small()), encoder)
    (answer,) = judge.fit(Subject(ANY_CLASS)).judge([plate(0).picture])
    assert "judged as plate" in answer.notes[0]
    with pytest.raises(LocalizerError) as caught:
        judge.fit(Subject("gear")).judge([plate(0).picture])
    assert str(caught.value).startswith("plate.safetensors was trained for plate, not for gear; ")


def test_pixels_are_normalised_as_asked(encoder):
    method = build_promptad(encoder, [PLATE], PromptAdSettings(side=SIDE))
    assert method.normalisation == IMAGENET_NORMALISATION
    picture = plate(0).picture
    tower = judge_of(build_promptad(encoder, [PLATE], small()), encoder).fit(PLATE).judge([picture])
    assert not np.array_equal(judge_of(method, encoder).fit(PLATE).judge([picture])[0].heat, tower[0].heat)
    assert prepare_pixels([picture], SIDE, method.normalisation).shape == (1, 3, SIDE, SIDE)


@pytest.mark.parametrize(
    ("subjects", "choices", "message"),
    [
        ([], {}, "at least one class"),
        ([Subject("metal nut"), Subject("Metal_Nut")], {}, "'metal nut' stands twice"),
        ([Subject(" ")], {}, "a class has no name"),
        ([Subject("plate", ("rust", "Rust"))], {}, "the defect 'rust' twice"),
        ([Subject("plate", ("",))], {}, "a defect of plate has no name"),
        ([PLATE], {"side": 60}, "side 60 is not a multiple of the tower's patch of 8 px; use 56"),
        ([PLATE], {"layer": 5}, "layer 5 is above the tower's 4 blocks"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(encoder, subjects, choices, message):
    with pytest.raises(LocalizerError, match=message) as caught:
        build_promptad(encoder, subjects, small(**choices))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"poling": "mean"}, "unknown setting poling; known: side, "),
        ({"pooling": "median"}, "pooling: Input should be 'mean', 'max' or 'top'"),
        ({"weights": {"dice": -1}}, "weights.dice: Input should be greater than or equal to 0"),
        ({"weights": {"dice": 0, "bce": 0}}, "settings: with weights bce 0 and dice 0 nothing trains the map"),
        (3, "settings: "),
    ],
)
def test_wrong_settings_are_one_line(data, message):
    with pytest.raises(LocalizerError) as caught:
        read_settings(data, "train.yaml")
    assert str(caught.value).startswith(f"train.yaml: {message}")
    assert "\n" not in str(caught.value)


def test_a_class_that_it_was_not_built_for_cannot_be_trained(encoder):
    method = build_promptad(encoder, [Subject("gear")], small())
    with pytest.raises(LocalizerError, match="built for gear, not for plate"):
        method.losses(stack(eight_plates(), method, "cpu"), np.random.default_rng(0))
