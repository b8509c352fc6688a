"""Files of trained weights: what is written comes back, and everything else is refused in one line."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from vlm_inspect.errors import LocalizerError, OutputError
from vlm_inspect.localization.checkpoint import (
    METADATA_KEY,
    DataFacts,
    Header,
    apply_weights,
    check_encoder,
    encoder_facts,
    load_weights,
    marks_of,
    read_header,
    refuse_overlap,
    save_weights,
    trained_on,
)
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder

DIGESTS = st.lists(st.binary(max_size=8).map(lambda data: hashlib.sha256(data).hexdigest()), max_size=30)


def header(**changes: Any) -> Header:
    facts = DataFacts(name="plate", sha256="0" * 64, normal=3, anomalous=2)
    return Header(method="small", settings={"a": [1, 2]}, words=("spot",), data=(facts,), seed=5, **changes)


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"weight": torch.randn(3, 4, generator=generator).T, "count": torch.tensor(7)}


def encoder(width: int = 8, identity: str = "clip/1") -> DualEncoder:
    vision: Any = SimpleNamespace(width=width, blocks=2, joint=4)
    text: Any = SimpleNamespace(width=6, blocks=3, joint=4)
    return DualEncoder(vision, text, 0.07, identity, "clip")


def refused(path: Path, message: str, method: str = "small") -> None:
    for read in (read_header, lambda file: load_weights(file, method=method)):
        with pytest.raises(LocalizerError, match=message) as raised:
            read(path)
        assert "\n" not in str(raised.value)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, tensors(), header(encoder=encoder_facts(encoder())))
    read, found = load_weights(path, method="small")
    assert read == read_header(path) == header(encoder=encoder_facts(encoder()))
    assert found.keys() == tensors().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors().items())


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    save_weights(tmp_path / "a.safetensors", tensors(), header())
    save_weights(tmp_path / "b.safetensors", dict(reversed(tensors().items())), header())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_refuses_what_is_no_file_of_weights(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.safetensors", "no such file")
    refused(tmp_path, "is a folder")
    pickled = tmp_path / "pickled.safetensors"
    torch.save(tensors(), pickled)
    refused(pickled, "is not a whole safetensors file")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    refused(tmp_path / "empty.safetensors", "is not a whole safetensors file")
    whole = tmp_path / "whole.safetensors"
    save_weights(whole, tensors(), header())
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-5])
    refused(cut, "is not a whole safetensors file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no header of vlm-inspect"),
        ("{", "header is damaged"),
        ("[]", "header is wrong"),
        (json.dumps({"format": 2}), "has format 2; this version reads 1"),
        (json.dumps({"format": 1, "method": "small"}), "wrong at settings"),
        (json.dumps({"format": 1, "method": 3, "settings": {}}), "wrong at method"),
        (json.dumps({"format": 1, "method": "small", "settings": {}, "trained_on": "§"}), "header is damaged"),
    ],
)
def test_refuses_headers_that_do_not_fit(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.ones(2)}, path, {} if text is None else {METADATA_KEY: text})
    refused(path, message)


def test_refuses_another_method_and_numbers_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, tensors(), header())
    with pytest.raises(LocalizerError, match="holds weights of small, not of dapo"):
        load_weights(path, method="dapo")
    save_weights(path, {"weight": torch.tensor([1.0, float("nan")])}, header())
    with pytest.raises(LocalizerError, match="weight holds NaN"):
        load_weights(path, method="small")


def test_a_folder_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_weights(tmp_path / "no" / "a.safetensors", tensors(), header())
    assert list(tmp_path.iterdir()) == []


def test_weights_belong_to_their_towers(tmp_path: Path) -> None:
    made = header(encoder=encoder_facts(encoder()))
    check_encoder(made, encoder(), tmp_path / "a")
    with pytest.raises(LocalizerError, match="vision_width 8 and not 16"):
        check_encoder(made, encoder(width=16, identity="clip/2"), tmp_path / "a")
    with pytest.raises(LocalizerError, match="weights clip/1 and not clip/2"):
        check_encoder(made, encoder(identity="clip/2"), tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": None}, "has no tensor weight"),
        ({"extra": torch.ones(1)}, "holds extra"),
        ({"weight": torch.ones(2, 3)}, r"weight is \(2, 3\), here it must be \(2, 2\)"),
    ],
)
def test_tensors_that_do_not_fit_leave_the_module_as_it_was(change: dict[str, Any], message: str) -> None:
    module = nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    given = {name: torch.zeros_like(tensor) for name, tensor in before.items()} | change
    with pytest.raises(LocalizerError, match=message):
        apply_weights(module, {name: t for name, t in given.items() if t is not None}, Path("a"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    apply_weights(module, {name: torch.zeros_like(tensor) for name, tensor in before.items()}, Path("a"))
    assert not module.weight.any()


@given(DIGESTS)
def test_marks_ignore_order_and_repeats(digests: list[str]) -> None:
    marks = marks_of(digests)
    assert marks == marks_of([*reversed(digests), *digests])
    assert trained_on(header(trained_on=marks)) == {digest[:16] for digest in digests}


@given(DIGESTS, DIGESTS)
def test_overlap_counts_what_was_trained_on(seen: list[str], asked: list[str]) -> None:
    made = header(trained_on=marks_of(seen))
    met = sum(digest in seen for digest in asked)
    assert refuse_overlap(made, asked, force=True) == met
    if met:
        with pytest.raises(LocalizerError, match=f"{met} of {len(asked)} pictures were used to train these small"):
            refuse_overlap(made, asked)
    else:
        assert refuse_overlap(made, asked) == 0
