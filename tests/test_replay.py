"""`replay`: the same prompt and the same outcome from the record; what differs when code, template or files change."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.backends.openai_server import OpenAIServer, answer
from tests.store.parts import (
    ANSWER,
    evidence_over,
    examine,
    frames_view,
    full_examination,
    noise,
    plot_view,
    scan_views,
    two_looks,
)
from vlm_inspect import cli
from vlm_inspect.commands.replay import replay as replay_command
from vlm_inspect.decision import fusion
from vlm_inspect.errors import StoreError
from vlm_inspect.examination import Examination
from vlm_inspect.prompt_files import prompt_folder
from vlm_inspect.replay import replay
from vlm_inspect.replay.settings import config_of
from vlm_inspect.store import Case, CaseStore

Run = Callable[..., tuple[int, str, str]]


def keep(tmp_path: Path, examination: Examination) -> Case:
    with CaseStore(tmp_path / "cases.db") as store:
        return store.load(store.save(examination, "part.png"))


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setitem(cli.cli.commands, "replay", replay_command)

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main(["replay", *map(str, arguments), "--store", str(tmp_path / "cases.db")])
        out, err = capfd.readouterr()
        return int(str(left.value.code)), out, err

    return call


EXAMINATIONS = {
    "full": full_examination,
    "no question, no evidence": lambda: examine(question=None),
    "clip": lambda: examine([frames_view()], evidence=evidence_over()),
    "curve": lambda: examine([plot_view()], evidence=evidence_over()),
    "scan": lambda: examine(scan_views()),
    "several samples": lambda: examine(texts=[json.dumps(ANSWER), "yes, there is a spot, it is anomalous", "garbage"]),
    "two looks": two_looks,
    "refusal": lambda: examine(texts=["I cannot help with that."]),
    "no reply": lambda: examine(texts=[""]),
}


@pytest.mark.parametrize("made", EXAMINATIONS.values(), ids=EXAMINATIONS.keys())
def test_nothing_differs_from_the_record(tmp_path: Path, made: Callable[[], Examination]) -> None:
    examination = made()
    came = replay(keep(tmp_path, examination))
    assert came.differences == ()
    assert came.prompt_sha256 == examination.request.prompt_sha256
    assert came.prompt_diff == ""
    assert came.inspection == examination.inspection


def test_the_command_says_so(tmp_path: Path, run: Run) -> None:
    case = keep(tmp_path, full_examination())
    code, out, err = run(case.id)
    assert (code, err) == (0, "")
    assert out.startswith(f"case {case.id}: the same prompt, byte for byte, and the same result: outcome NG")
    assert "vlm-inspect 0.0.1 then" in out
    code, out, _ = run(case.id[:12], "--json")
    came = json.loads(out)
    assert (code, came["same"], came["differences"], came["prompt_diff"]) == (0, True, [], "")
    assert came["prompt_sha256"] == case.inspection.provenance.prompt_sha256


def test_a_changed_template_shows_as_a_diff_of_the_prompt(tmp_path: Path, run: Run) -> None:
    template = tmp_path / "own.yaml"
    template.write_bytes((prompt_folder() / "inspect.yaml").read_bytes())
    case = keep(tmp_path, dataclasses.replace(full_examination(), template=str(template)))
    assert run(case.id)[0] == 0
    told = yaml.safe_load(template.read_text(encoding="utf-8"))
    told["blocks"][0]["text"] = "You are a poet.\n"
    template.write_text(yaml.safe_dump(told), encoding="utf-8")
    code, out, err = run(case.id)
    assert (code, err) == (1, "")
    assert ": 1 difference (" in out
    assert "\n+You are a poet." in out
    assert "\n-You are an inspection engineer." in out
    came = json.loads(run(case.id, "--json")[1])
    assert [one["what"] for one in came["differences"]] == ["prompt"]
    assert came["outcome"] == "NG"
    template.unlink()
    code, out, _ = run(case.id)
    assert code == 1
    assert "it cannot be built: no template" in out


@pytest.mark.parametrize("options", [(), ("--look-again",), ("--look-again", "--detail", "low", "--samples", "2")])
def test_what_ask_kept_is_replayed(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sentinel")
    for name in ("part", "normal"):
        Image.fromarray(noise(len(name), 200, 300)).save(tmp_path / f"{name}.png")
    with OpenAIServer([answer(ANSWER)]) as server, pytest.raises(SystemExit) as left:
        cli.main(
            ["ask", str(tmp_path / "part.png"), "--reference", str(tmp_path / "normal.png"), "--localizer", "none",
             "--model", "openai:tiny", "--base-url", server.base_url, "--question", "Where?", *options,
             "--save", "--store", str(tmp_path / "cases.db")]
        )  # fmt: skip
    assert left.value.code == 1
    with CaseStore(tmp_path / "cases.db") as store:
        case = store.load(store.list()[0].id)
    assert len(case.looks) == (2 if options else 1)
    assert config_of(case).model.name == "openai:tiny"
    assert "sk-sentinel" not in json.dumps(dict(case.settings))
    code, out, err = run(case.id)
    assert (code, err) == (0, "")
    assert "the same prompt, byte for byte" in out


def test_a_change_of_the_first_look_shows_in_both(tmp_path: Path, run: Run) -> None:
    template = tmp_path / "own.yaml"
    template.write_bytes((prompt_folder() / "inspect.yaml").read_bytes())
    case = keep(tmp_path, dataclasses.replace(two_looks(), template=str(template)))
    assert run(case.id)[0] == 0
    template.write_text(template.read_text(encoding="utf-8").replace("inspection engineer", "poet"), encoding="utf-8")
    code, out, _ = run(case.id)
    assert code == 1
    assert "- prompt of look 1\n" in out
    assert "- prompt of look 2\n" in out
    assert out.count("\n+You are an poet.") == 2


def test_changed_code_shows_in_score_rules_and_outcome(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = keep(tmp_path, examine(question=None))
    assert run(case.id)[0] == 0
    monkeypatch.setattr(fusion, "_gaps", lambda *_, **__: [])
    monkeypatch.setattr(fusion, "pool_score", lambda *_: 0.875)
    monkeypatch.setattr(fusion, "judge_rules", lambda *_, **__: ())
    code, out, _ = run(case.id)
    assert code == 1
    assert "- outcome\n    then: REVIEW\n    now:  NG" in out
    assert "- score\n    then: 0.9\n    now:  0.875" in out
    assert "- rule clean\n" in out
    assert "now:  none" in out


def test_changed_code_of_pictures_names_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlm_inspect.prompting import encoding

    case = keep(tmp_path, examine(question=None))
    monkeypatch.setattr(encoding, "_JPEG_QUALITY", 50)
    came = replay(case)
    assert [(one.what, one.before) for one in came.differences[1:]] == [("prompt", "picture 1 as it was sent")]
    assert came.prompt_diff == "", "its words are the same"


def test_a_case_whose_files_were_deleted_is_an_error(tmp_path: Path, run: Run) -> None:
    case = keep(tmp_path, full_examination())
    next((tmp_path / "cases.db.files").glob("*/arrays-*")).unlink()
    code, out, err = run(case.id)
    assert (code, out) == (2, "")
    assert "is gone: put it back from a copy, or delete the case" in err
    assert len(err.splitlines()) == 1
    with pytest.raises(StoreError):
        replay(case)


def test_an_unknown_case_is_an_error(tmp_path: Path, run: Run) -> None:
    assert run("1999")[0] == 2
    keep(tmp_path, examine())
    code, _, err = run("1999")
    assert code == 2
    assert "no case 1999" in err
