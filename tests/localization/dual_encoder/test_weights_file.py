"""Weights as they are published: TorchScript, training checkpoints with NumPy scalars, shards. No code is run."""

import json
import pickle
import struct
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.localization.tiny_clip import build_tiny_clip
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import load_dual_encoder
from vlm_inspect.localization.dual_encoder.weights_file import files_of, read_weights


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.register_buffer("input_resolution", torch.tensor(7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.proj


class Outer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = Inner()
        self.logit_scale = torch.nn.Parameter(torch.tensor(4.6))
        self.register_buffer("input_resolution", torch.tensor(224))
        self.flag = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.visual(x) * self.logit_scale


INDEX = "model.safetensors.index.json"


def save_torchscript(path: Path) -> Outer:
    model = Outer().half()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model), str(path))
    return model


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor.detach())


def test_tensors_of_a_torchscript_archive_have_the_names_of_its_state(tmp_path: Path) -> None:
    """As OpenAI publishes CLIP: in half precision, with sizes among the tensors, which are no weights."""
    state = save_torchscript(tmp_path / "ViT.pt").state_dict()
    state.pop("input_resolution")
    found = read_weights(tmp_path / "ViT.pt")
    same(found, dict(state))
    assert found["visual.proj"].dtype == torch.float16


def test_what_a_training_script_keeps_beside_the_weights_is_left_out(tmp_path: Path) -> None:
    state = {"module.a": torch.ones(2, 3).T, "module.logit_scale": np.float64(2.5), "module.n": np.int64(3)}
    kept = {
        "epoch": np.int64(3), "best": np.float32(0.5), "args": Namespace(lr=0.1), "name": "run", "shape": np.zeros(3),
        "state_dict": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}, "path": Path("x"),
    }  # fmt: skip
    torch.save(kept, tmp_path / "epoch_3.pt")
    found = read_weights(tmp_path / "epoch_3.pt")
    same(found, {"a": torch.ones(3, 2), "logit_scale": torch.tensor(2.5), "n": torch.tensor(3)})


def test_values_of_every_kind_come_back(tmp_path: Path) -> None:
    state = {
        str(kind): torch.tensor([0, 1, 1, 0]).to(kind)
        for kind in (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.bool, torch.int32)
    }
    state["view"] = torch.arange(10.0)[2:8].reshape(2, 3)[:, 1:]
    state["empty"] = torch.zeros(0, 4)
    torch.save(state, tmp_path / "w.pt")
    same(read_weights(tmp_path / "w.pt"), state)


def test_a_pickle_of_the_old_kind_is_read_too(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "w.bin", _use_new_zipfile_serialization=False)
    same(read_weights(tmp_path / "w.bin"), {"a": torch.ones(2)})


def split_into_shards(folder: Path) -> dict[str, torch.Tensor]:
    """Split the weights of a folder in two, as large models are published."""
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, own in halves.items():
        save_file({name: state[name] for name in own}, folder / shard)
    index = {name: shard for shard, own in halves.items() for name in own}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "model.safetensors").unlink()
    return state


def test_a_folder_with_shards_is_the_same_model(tmp_path: Path) -> None:
    whole = load_dual_encoder(str(build_tiny_clip(tmp_path / "whole", weights="safetensors")), "cpu")
    folder = build_tiny_clip(tmp_path / "shards", weights="safetensors")
    state = split_into_shards(folder)
    same(read_weights(folder / INDEX), state)
    parts = load_dual_encoder(str(folder), "cpu")
    for ours, theirs in zip(parts.vision.module.parameters(), whole.vision.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    before = parts.identity
    shard = files_of(folder / INDEX)[1]
    tensors = load_file(shard)
    save_file({name: one + 1 for name, one in tensors.items()}, shard)
    assert load_dual_encoder(str(folder), "cpu").identity != before, "another shard is another model"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / "model-00002-of-00002.safetensors").unlink(), "names model-00002.*, which is missing"),
        (lambda f: (f / INDEX).write_text("{"), "is no index of weights"),
        (lambda f: (f / INDEX).write_text('{"weight_map": {"a": "../w.bin"}}'), "beside"),
        (lambda f: (f / INDEX).write_text('{"weight_map": {}}'), "no file beside"),
        (
            lambda f: (f / INDEX).write_text(
                '{"weight_map": {"new": "model-00001-of-00002.safetensors"}}'
            ),
            "new is not in model-00001",
        ),
    ],
)  # fmt: skip
def test_broken_shards_are_one_line(change: Callable[[Path], Any], says: str, tmp_path: Path) -> None:
    folder = build_tiny_clip(tmp_path / "clip", weights="safetensors")
    split_into_shards(folder)
    change(folder)
    with pytest.raises(LocalizerError, match=says) as failure:
        load_dual_encoder(str(folder), "cpu")
    assert "\n" not in str(failure.value)


# --- what a hostile file would do ------------------------------------------------------------------------------------


class Intruder:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('the pickle was run')",))


def rewrite(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Write an archive again with other contents."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, change(name, data))


@pytest.mark.parametrize("content", [{"x": Intruder()}, Intruder(), {"state_dict": {"w": Intruder()}}, [Intruder()]])
def test_code_in_a_pickle_is_never_run(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(LocalizerError):
        read_weights(tmp_path / "w.pt")


def test_code_beside_the_weights_of_a_torchscript_archive_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    save_torchscript(path)
    hostile = pickle.dumps({"w": Intruder()}, protocol=2)
    rewrite(path, lambda name, data: hostile if name.endswith("data.pkl") else data)
    with pytest.raises(LocalizerError):
        read_weights(path)
    save_torchscript(path)
    rewrite(path, lambda name, data: b"def forward(: broken" if "/code/" in name else data)
    assert read_weights(path), "its code is not even read"


def test_the_builders_cannot_be_changed(tmp_path: Path) -> None:
    """A pickle that sets an attribute of the function that builds tensors."""
    path = tmp_path / "w.pt"
    torch.save({"a": torch.ones(2)}, path)
    told = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x05\x00\x00\x00buildX\x01\x00\x00\x00xs\x86b."
    rewrite(path, lambda name, data: told if name.endswith("data.pkl") else data)
    with pytest.raises(LocalizerError, match="cannot be read as weights"):
        read_weights(path)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_archive_is_one_line_or_weights(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    path = tmp_path / "w.pt"
    if seed % 2:
        save_torchscript(path)
    else:
        torch.save({"state_dict": {"a": torch.ones(4, 4), "n": np.float64(1.0)}, "args": Namespace(a=1)}, path)

    def damage(name: str, data: bytes) -> bytes:
        if not name.endswith("data.pkl") or not data:
            return data
        changed = bytearray(data)
        for _ in range(int(random.integers(1, 4))):
            changed[int(random.integers(len(changed)))] = int(random.integers(256))
        return bytes(changed) if seed % 3 else bytes(changed[: int(random.integers(len(changed)))])

    rewrite(path, damage)
    try:
        found = read_weights(path)
    except LocalizerError as error:
        found, told = {}, str(error)
    else:
        told = ""
    assert "\n" not in told
    assert all(isinstance(one, torch.Tensor) for one in found.values())


def test_a_tensor_stays_within_its_storage(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.arange(4.0)}, path)
    rewrite(path, lambda name, data: struct.pack("<2f", 1.0, 2.0) if name.endswith("data/0") else data)
    with pytest.raises(LocalizerError, match="storage 0 is cut short"):
        read_weights(path)
