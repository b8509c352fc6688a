"""`Inspector` from Python: parts in memory, saved reports, and an inspector from rules, references and calibration."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.digest import sha256_of
from vlm_inspect import Inspection, Inspector
from vlm_inspect.calibration_file import Calibration, save_calibration
from vlm_inspect.errors import CalibrationError, OutputError, ReferenceSampleError
from vlm_inspect.rules import load_rules

BOOK = "class_name: plate\nrules:\n  - {id: clean, text: The plate is clean.}\n"


def plate(seed: int) -> Image.Image:
    grey = 150 + 6 * np.random.default_rng(seed).standard_normal((60, 60, 3))
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "plate.yaml").write_text(BOOK)
    (tmp_path / "normal").mkdir()
    for seed in range(2):
        plate(seed).save(tmp_path / "normal" / f"{seed}.png")
    return tmp_path / "plate.yaml"


def test_a_part_in_memory_is_judged_like_its_file(tmp_path: Path) -> None:
    plate(7).save(tmp_path / "part.png")
    content = (tmp_path / "part.png").read_bytes()
    inspector = Inspector(localizer=None)
    from_file, from_bytes = inspector.inspect(tmp_path / "part.png"), inspector.inspect(content)
    assert from_file.provenance.input_sha256 == from_bytes.provenance.input_sha256
    assert from_bytes.provenance.input_sha256 == hashlib.sha256(content).hexdigest()
    for source in (plate(7), np.asarray(plate(7))):
        found = inspector.inspect(source)
        assert found.source == ""
        assert (found.outcome, found.score, found.views) == (from_file.outcome, from_file.score, from_file.views)


def test_many_parts_in_memory_and_a_bad_one() -> None:
    sources = [plate(1), b"no picture at all \x00", np.asarray(plate(2))]
    judged = list(Inspector(localizer=None).inspect_many(sources, workers=2))
    assert [one.source is source for one, source in zip(judged, sources, strict=True)] == [True] * 3
    assert [one.examination is not None for one in judged] == [True, False, True]
    assert judged[1].error.startswith("bytes: ")


def test_an_inspection_saves_its_reports(tmp_path: Path) -> None:
    found = Inspector(localizer=None).inspect(plate(3))
    found.save_overlay(tmp_path / "overlay.png")
    found.save_html(str(tmp_path / "page.html"))
    with Image.open(tmp_path / "overlay.png") as overlay:
        assert overlay.width == 1600
    assert "<title " in (tmp_path / "page.html").read_text()
    read = Inspection.model_validate_json(found.model_dump_json())
    assert read == found
    assert hash(read) == hash(found)
    with pytest.raises(OutputError, match="no pictures"):
        read.save_overlay(tmp_path / "again.png")
    with pytest.raises(OutputError, match="cannot be written"):
        found.save_html(tmp_path / "missing" / "page.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overlay.png", "page.html"]


def test_an_inspector_from_rules_references_and_calibration(book: Path, tmp_path: Path) -> None:
    inspector = Inspector.from_rules(
        book, references=[tmp_path / "normal" / "0.png", str(tmp_path / "normal" / "*.png")]
    )
    assert [path.name for path in inspector.references] == ["0.png", "1.png"]
    localizer = inspector.used_localizer
    assert localizer is not None
    calibration = Calibration(
        rules_sha256=load_rules(book).scoring_sha256,
        references_sha256=tuple(sorted(sha256_of(path) for path in inspector.references)),
        localizer=localizer.name,
        judged_by=inspector.fit("image")[1].judged_by,
        n=30,
        overkill=0.0,
        overkill_ci95=(0.0, 0.1),
        ok_below=0.2,
        ng_above=0.9,
    )
    save_calibration(calibration, tmp_path / "c.json")
    known = Inspector.from_rules(book, references=tmp_path / "normal" / "*.png", calibration=tmp_path / "c.json")
    assert known.thresholds.calibrated
    assert known.thresholds.ok_below == 0.2
    assert known.inspect(tmp_path / "normal" / "0.png").outcome in ("OK", "REVIEW", "NG")
    save_calibration(calibration.model_copy(update={"judged_by": ("memory 1",)}), tmp_path / "old.json")
    other = Inspector.from_rules(book, references=tmp_path / "normal" / "*.png", calibration=tmp_path / "old.json")
    with pytest.raises(CalibrationError, match=r"made with memory 1, and parts are judged by memory \d+ \("):
        other.inspect(tmp_path / "normal" / "0.png")
    with pytest.raises(CalibrationError, match="1 of its references"):
        Inspector.from_rules(book, references=[tmp_path / "normal" / "0.png"], calibration=tmp_path / "c.json")
    with pytest.raises(ReferenceSampleError):
        Inspector.from_rules(book, references=[tmp_path / "nothing*.png"])


def test_pil_bytes_are_those_of_a_png() -> None:
    file = io.BytesIO()
    plate(4).save(file, "PNG", compress_level=1)
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    assert Inspector(localizer=None).inspect(plate(4)).provenance.input_sha256 == digest
