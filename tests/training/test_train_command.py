"""`vlm-inspect train` from the outside, over a tiny CLIP with random weights: real folders in, usable weights out."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.localization.tiny_clip import build_tiny_clip
from tests.training.training_folders import mvtec_folder, plate
from vlm_inspect import cli
from vlm_inspect.localization.checkpoint import read_header, trained_on
from vlm_inspect.localization.dapo.loading import load_dapo
from vlm_inspect.localization.dual_encoder import DualEncoder, load_dual_encoder
from vlm_inspect.localization.promptad.judge import load_promptad
from vlm_inspect.localization.subject import Subject
from vlm_inspect.training.command import train


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(cli.cli.commands, "train", train)
    monkeypatch.delenv("VLM_INSPECT_CLIP", raising=False)

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main(["train", *(str(a) for a in arguments)])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, out, err)

    return call


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny", layers=4)


@pytest.fixture(scope="module")
def encoder(clip: Path) -> DualEncoder:
    return load_dual_encoder(str(clip), device="cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return mvtec_folder(tmp_path / "metal_plate")


SMALL = ("--side", 32, "--batch-size", 4, "--device", "cpu")


def test_dapo_from_folder_to_judge(run: Run, clip: Path, encoder: DualEncoder, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "dapo.safetensors"
    ran = run("dapo", "--data", data, "--clip", clip, "--out", out, "--epochs", 2, "--micro-batch", 2, *SMALL)
    assert ran.code == 0, ran.err
    assert ran.out == f"{out}: dapo, 6 steps over 10 pictures; record in {tmp_path / 'dapo.record.json'}\n"
    assert "epoch 2/2, step 6/6: total " in ran.err
    header = read_header(out)
    assert header.words == ("line", "spot")
    assert header.schedule["betas"] == [0.5, 0.999]
    assert header.encoder is not None
    assert header.encoder.identity == encoder.identity
    assert len(trained_on(header)) == 10
    judged = load_dapo(out, encoder).fit(Subject("metal plate", ("stain", "spot", "hole"))).judge([plate(1, "spot")[0]])
    assert judged[0].words == ("stain", "spot", "hole")
    assert np.isfinite(judged[0].heat).all()
    record = json.loads((tmp_path / "dapo.record.json").read_text())
    assert record["epochs"][1]["losses"]["total"] < record["epochs"][0]["losses"]["total"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dapo.record.json", "dapo.safetensors", "metal_plate"]


def test_settings_come_from_a_file_and_stand_in_the_header(run: Run, clip: Path, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "train.yaml"
    config.write_text(
        "localizer:\n  dapo: {prompts: 3, context: 2, alpha: 0.2, local_weight: 1}\n"
        "  promptad: {seed: 5, supervision: none, weights: {contrastive: 0.2}}\n"
    )
    given = ("--data", data, "--clip", clip, "--epochs", 1, "--config", config, *SMALL)
    assert run("dapo", *given, "--out", tmp_path / "a.safetensors").code == 0
    dapo = read_header(tmp_path / "a.safetensors")
    assert (dapo.settings["dapo"]["prompts"], dapo.settings["dapo"]["local_weight"], dapo.seed) == (3, 1.0, 0)
    assert run("promptad", *given, "--out", tmp_path / "b.safetensors", "--supervision", "synthetic").code == 0
    own = read_header(tmp_path / "b.safetensors")
    told = own.settings["promptad"]
    assert (told["weights"]["contrastive"], told["supervision"], own.seed) == (0.2, "synthetic", 5)
    config.write_text("localizer:\n  dapo:\n    promts: 3\n")
    wrong = run("dapo", *given, "--out", tmp_path / "c.safetensors")
    assert wrong.code == 2
    assert "train.yaml, line 3, localizer.dapo.promts: unknown key; did you mean prompts?" in wrong.err


def test_promptad_from_folder_to_judge(run: Run, clip: Path, encoder: DualEncoder, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "cover.safetensors"
    given = ("--data", data, "--clip", clip, "--out", out, "--epochs", 2, *SMALL)
    ran = run("promptad", *given, "--class-name", "cover", "--word", "dent", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    header = read_header(out)
    assert header.class_names == ("cover",)
    assert (header.data[0].normal, header.data[0].anomalous) == (4, 0)
    judged = load_promptad(out, encoder).fit(Subject("cover")).judge([plate(1)[0]])
    assert 0 <= judged[0].score <= 1
    again = run("promptad", *given, "--class-name", "cover", "--word", "dent", "--resume")
    assert again.code == 0
    assert "it was finished already" in again.out
    other = run("promptad", *given, "--class-name", "lid", "--word", "dent", "--resume")
    assert other.code == 2
    assert "is of another run: class_names was" in other.err


def test_promptad_on_real_anomalies_says_so(
    run: Run, clip: Path, encoder: DualEncoder, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.safetensors"
    given = ("--data", data, "--clip", clip, "--out", out, "--epochs", 1, *SMALL)
    assert run("promptad", *given, "--supervision", "test_split").code == 0
    assert read_header(out).data[0].anomalous == 6
    judged = load_promptad(out, encoder).fit(Subject("metal plate")).judge([plate(1)[0]])
    assert any("diagnosing" in note for note in judged[0].notes)


def test_equal_commands_give_equal_files(run: Run, clip: Path, data: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        out = tmp_path / f"{name}.safetensors"
        ran = run("promptad", "--data", data, "--clip", clip, "--out", out, "--epochs", 1, "--seed", seed, *SMALL)
        assert ran.code == 0, ran.err
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]


def refused(ran: Ran, message: str) -> None:
    assert ran.code == 2
    assert ran.out == ""
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("vlm-inspect: error: ")
    assert message in last


def test_what_cannot_work_is_refused_before_training(run: Run, clip: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"

    def dapo(*more: object, folder: Path = data, to: Path = out, towers: object = clip) -> Ran:
        return run("dapo", "--data", folder, "--clip", towers, "--out", to, "--quiet", *SMALL, *more)

    refused(dapo(to=tmp_path / "a.pt"), "weights are written as safetensors")
    refused(dapo(to=tmp_path / "no" / "a.safetensors"), "no such folder")
    refused(dapo(towers=tmp_path / "nothing"), "no CLIP weights")
    refused(dapo(folder=tmp_path / "nothing"), "no such folder")
    refused(dapo("--resume", "--restart"), "exclude each other")
    refused(dapo("--word", "dent"), "the data has 'line', 'spot', which --word and --words leave out")
    refused(dapo("--word", "line", "--word", "spot", "--word", "Spot"), "stands twice")
    refused(dapo("--lr", "nan"), "is not above 0")
    refused(dapo("--lr", "-1"), "is not above 0")
    refused(dapo("--seed", -1), "--seed")
    refused(dapo("--side", 33), "multiple")
    refused(dapo("--precision", "float16"), "needs --device cuda")
    refused(run("dapo", "--data", data, "--out", out), "--clip")
    (data / "ground_truth" / "spot" / "001_mask.png").unlink()
    refused(dapo(), "has no mask")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metal_plate"]
    out.write_bytes(b"precious")
    refused(dapo(), "is there already")
    assert out.read_bytes() == b"precious"


def test_names_that_are_no_text_are_refused_before_training(run: Run, clip: Path, tmp_path: Path) -> None:
    folder = mvtec_folder(Path(os.fsdecode(bytes(tmp_path) + b"/\xff")))
    out = tmp_path / "a.safetensors"
    refused(run("dapo", "--data", folder, "--clip", clip, "--out", out, *SMALL), "the name is not UTF-8")
    folder.rename(tmp_path / "plate")
    given = ("--data", tmp_path / "plate", "--clip", clip, "--out", out, "--epochs", 1, *SMALL)
    refused(run("promptad", *given, "--class-name", "\udcff"), "UTF-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plate"]


def test_a_word_too_long_for_the_tower_is_cut_and_named(run: Run, clip: Path, data: Path, tmp_path: Path) -> None:
    long = "very " * 60 + "long"
    given = ("--data", data, "--clip", clip, "--out", tmp_path / "a.safetensors", "--epochs", 1, *SMALL)
    ran = run("dapo", *given, "--word", "spot", "--word", "line", "--word", long, "--quiet")
    assert ran.code == 0
    assert ran.err.startswith("vlm-inspect: warning: prompt cut to 77 tokens: very very")
    assert len(ran.err.splitlines()) == 1


def test_words_from_a_file(run: Run, clip: Path, data: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# ours\nspot\n\n  deep   hole \nline\n")
    out = tmp_path / "a.safetensors"
    given = ("--data", data, "--clip", clip, "--out", out, "--epochs", 1, *SMALL)
    assert run("dapo", *given, "--words", words).code == 0
    assert read_header(out).words == ("spot", "deep hole", "line")
    words.write_text("# nothing\n")
    refused(run("dapo", *given, "--words", words, "--restart"), "holds no word")
    words.write_text("x" * 5000)
    refused(run("dapo", *given, "--words", words, "--restart"), "over 100 characters")
    refused(run("dapo", *given, "--words", tmp_path / "none.txt", "--restart"), "cannot be read")


def test_no_method_is_one_line(run: Run) -> None:
    refused(run(), "Missing command")


def test_help_shows_a_command_to_run(run: Run) -> None:
    for name in ((), ("dapo",), ("promptad",)):
        ran = run(*name, "--help")
        assert ran.code == 0
        assert "vlm-inspect train" in ran.out
        assert "Example:" in ran.out
