"""Trained PromptAD in a file: it comes back the same, and nothing else is taken for it."""

import numpy as np
import pytest
import torch

from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import Header, encoder_facts, save_weights
from vlm_inspect.localization.promptad.judge import PromptAdJudge, load_promptad
from vlm_inspect.localization.promptad.settings import PromptAdSettings, read_plan
from vlm_inspect.localization.subject import Subject
from vlm_inspect.training.methods.promptad import build_promptad

PLATE = Subject("plate", ("rust",))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def method(encoder):
    settings = PromptAdSettings(side=32, pooling="top", text_channel="learned", seed=7)
    method = build_promptad(encoder, [PLATE], settings)
    for tensor in method.learnable.state_dict().values():  # no tensor stands where building would put it
        if tensor.is_floating_point():
            tensor.add_(0.01)
    return method


def save(path, trained, encoder, tensors=None, **fields):
    header = {"method": trained.name, "settings": dict(trained.settings()), "encoder": encoder_facts(encoder), **fields}
    save_weights(path, trained.learnable.state_dict() if tensors is None else tensors, Header(**header))
    return path


def refusal(path, encoder):
    with pytest.raises(LocalizerError) as caught:
        load_promptad(path, encoder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_gives_the_same_scores(tmp_path, encoder, method):
    before = PromptAdJudge(encoder, method.learnable, read_plan(method.settings(), "x"), "d", "x")
    judge = load_promptad(save(tmp_path / "plate.safetensors", method, encoder), encoder)
    picture = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    (old,), (new,) = before.fit(PLATE).judge([picture]), judge.fit(PLATE).judge([picture])
    assert new.score == old.score
    assert np.array_equal(new.heat, old.heat)
    assert judge.name == "promptad"
    assert not judge.uses_normals
    assert encoder.identity in judge.identity


def test_equal_files_have_equal_identities_and_others_do_not(tmp_path, encoder, method):
    first = load_promptad(save(tmp_path / "a.safetensors", method, encoder), encoder).identity
    again = load_promptad(save(tmp_path / "b.safetensors", method, encoder), encoder).identity
    with torch.no_grad():
        method.learnable.text_prompts += 1
    other = load_promptad(save(tmp_path / "c.safetensors", method, encoder), encoder).identity
    assert first == again != other


def test_another_method_is_refused(tmp_path, encoder, method):
    path = save(tmp_path / "x.safetensors", method, encoder, {"a": torch.zeros(1)}, method="dapo")
    assert "weights of dapo, not of promptad" in refusal(path, encoder)


def test_other_towers_are_refused(tmp_path, encoder, method):
    path = save(tmp_path / "x.safetensors", method, encoder)
    wider = tiny_encoder(tmp_path / "wider", width=128)
    assert "vision_width 64 and not 128" in refusal(path, wider)
    same_size = tiny_encoder(tmp_path / "other", seed=1)
    assert "was trained over" in refusal(path, same_size)


def test_tensors_of_another_size_are_refused(tmp_path, encoder, method):
    tensors = method.learnable.state_dict()
    tensors["text_prompts"] = torch.zeros(1, 2, 16)
    assert "text_prompts is (1, 2, 16)" in refusal(save(tmp_path / "x.safetensors", method, encoder, tensors), encoder)
    del tensors["text_prompts"]
    assert "no tensor text_prompts" in refusal(save(tmp_path / "y.safetensors", method, encoder, tensors), encoder)


def test_wrong_settings_are_refused(tmp_path, encoder, method):
    good = dict(method.settings())
    settings = {**good, "promptad": {**good["promptad"], "size": 3}}
    path = save(tmp_path / "x.safetensors", method, encoder, settings=settings)
    assert "unknown setting size" in refusal(path, encoder)
    path = save(tmp_path / "y.safetensors", method, encoder, settings={**good, "classes": []})
    assert "classes" in refusal(path, encoder)


def test_damaged_files_are_refused(tmp_path, encoder, method):
    path = save(tmp_path / "x.safetensors", method, encoder)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not a whole safetensors file" in refusal(path, encoder)
    assert "no such file" in refusal(tmp_path / "none.safetensors", encoder)
    tensors = method.learnable.state_dict()
    tensors["text_prompts"] = torch.full_like(tensors["text_prompts"], torch.nan)
    assert "NaN" in refusal(save(tmp_path / "nan.safetensors", method, encoder, tensors), encoder)
