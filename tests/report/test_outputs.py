"""Where one inspection goes: every file is checked before, written after, and stdout carries the result alone."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from vlm_inspect.backends.backend import Request
from vlm_inspect.decision.fusion import Record
from vlm_inspect.errors import OutputError, ParseError
from vlm_inspect.examination import Examination
from vlm_inspect.inspection import Inspection
from vlm_inspect.looks.look import Look
from vlm_inspect.report import Outputs
from vlm_inspect.rules import RuleBook


@pytest.fixture
def examination(case) -> Examination:
    request = Request((), {}, case.views, RuleBook(class_name="screw"), case.evidence, "Is it whole?", "d" * 64)
    unread = ParseError("The reply is empty.", reply_text="", cause="empty")
    told = case.inspection
    record = Record(
        request.rules, case.views, told.model, told.localizer, told.usage, told.provenance, question=request.question
    )
    return Examination(told, case.views, case.evidence, (Look(request, (), unread),), record)


def test_all_files_are_written_and_named(examination, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = Outputs(str(tmp_path / "a.json"), tmp_path / "a.html", tmp_path / "a.png")
    outputs.check_writable()
    assert list(tmp_path.iterdir()) == []
    outputs.write(examination)
    assert Inspection.model_validate_json((tmp_path / "a.json").read_bytes()) == examination.inspection
    assert "Is it whole?" in (tmp_path / "a.html").read_text(encoding="utf-8")
    with Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())) as sheet:
        assert sheet.format == "PNG"
    printed = capsys.readouterr().out
    assert "NG" in printed
    for name in ("a.json", "a.html", "a.png"):
        assert f"written: {tmp_path / name}" in printed


def test_json_on_stdout_is_alone_there(examination, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = Outputs(json_path="-")
    outputs.check_writable()
    outputs.write(examination)
    assert json.loads(capsys.readouterr().out)["outcome"] == "NG"


def test_two_results_in_one_file_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="two results"):
        Outputs(str(tmp_path / "a"), tmp_path / "a").check_writable()
    with pytest.raises(OutputError, match="no such folder"):
        Outputs(html_path=tmp_path / "missing" / "a.html").check_writable()
