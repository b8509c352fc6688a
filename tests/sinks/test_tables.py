"""The files about all parts, and those about one: Parquet, COCO, LabelMe, folders of outcomes."""

import csv
import json
import os
from pathlib import Path

import pytest

from converters.digest import sha256_of
from vlm_inspect import cli
from vlm_inspect.sinks.coco import coco_of
from vlm_inspect.sinks.folders import OutcomeFolders
from vlm_inspect.sinks.labelme import LabelMeFiles
from vlm_inspect.sinks.row import COLUMNS, Mark, Picture, Row
from vlm_inspect.sinks.sink import Result


def batch(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", *map(str, arguments), "--localizer", "none", "--quiet"])
    assert isinstance(left.value.code, int)
    return left.value.code


def row(source: str, **changes: object) -> Row:
    marks = (
        Mark(type="scratch", severity="minor", score=0.7, box_xyxy=(2.0, 3.0, 10.0, 9.0)),
        Mark(type="dent", severity="major", score=0.9, box_xyxy=(0.0, 0.0, 4.0, 4.0), page=1),
    )
    sizes = (Picture(page=0, width=60, height=40), Picture(page=1, width=30, height=20))
    known = {"outcome": "NG", "score": 0.9, "created_at": "2026-01-01T00:00:00+00:00", "sha256": "0" * 64}
    return Row.model_validate({"source": source, **known, "pictures": sizes, "marks": marks, **changes})


def test_coco_has_every_photo_and_every_box(tmp_path: Path) -> None:
    clean = row(str(tmp_path / "in" / "ok.png"), marks=(), pictures=(Picture(page=0, width=5, height=6),))
    scan = row(str(tmp_path / "in" / "scan.ply"), pictures=())
    found = coco_of([row(str(tmp_path / "in" / "a.tif")), clean, scan], tmp_path)
    assert [(one["file_name"], one["page"], one["width"], one["height"]) for one in found["images"]] == [
        ("in/a.tif", 0, 60, 40),
        ("in/a.tif", 1, 30, 20),
        ("in/ok.png", 0, 5, 6),
    ]
    assert found["categories"] == [{"id": 1, "name": "dent"}, {"id": 2, "name": "scratch"}]
    told = [(one["image_id"], one["category_id"], one["bbox"], one["area"]) for one in found["annotations"]]
    assert told == [(1, 2, [2.0, 3.0, 8.0, 6.0], 48.0), (2, 1, [0.0, 0.0, 4.0, 4.0], 16.0)]
    assert [one["id"] for one in found["annotations"]] == [1, 2]


def test_labelme_has_one_file_a_photo(tmp_path: Path) -> None:
    files = LabelMeFiles(tmp_path / "labels")
    files.check()
    for folder in ("x", "y"):
        source = tmp_path / folder / "a.tif"
        files.deliver(Result(source, row(str(source)), None))
    files.deliver(Result(tmp_path / "b.ply", row("b.ply", pictures=()), None))
    found = sorted(files.folder.iterdir())
    assert len(found) == 2
    document = json.loads(found[0].read_text())
    assert document["imagePath"] in {"../x/a.tif", "../y/a.tif"}
    assert (document["imageWidth"], document["imageHeight"], document["flags"]) == (60, 40, {"NG": True})
    assert [(one["label"], one["points"]) for one in document["shapes"]] == [("scratch", [[2.0, 3.0], [10.0, 9.0]])]


def test_a_part_moves_to_its_outcome_and_replaces_no_other(tmp_path: Path) -> None:
    folders = OutcomeFolders(tmp_path / "out")
    folders.check()
    for number, content in enumerate((b"first", b"second", b"second")):
        source = tmp_path / str(number) / "a.png"
        source.parent.mkdir()
        source.write_bytes(content)
        judged = row(str(source), sha256=sha256_of(source))
        judged = judged.model_copy(update={"moved_to": folders.place_of(source, judged)})
        folders.deliver(Result(source, judged, None))
        folders.deliver(Result(source, judged, None))  # again after a kill: nothing is left to do
        assert not source.exists()
    kept = sorted(path.read_bytes() for path in (tmp_path / "out" / "NG").iterdir())
    assert kept == [b"first", b"second"]
    failed = tmp_path / "b.png"
    failed.write_bytes(b"x")
    assert folders.place_of(failed, row(str(failed), outcome="ERROR", score=None)) == ""


def test_a_name_that_is_no_text_moves_under_one(book: Path, parts: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(parts) + b"/SN\xe9.png"))
    (parts / "SN001_a.png").rename(odd)
    for _ in range(2):
        given = ("--csv", tmp_path / "o.csv", "--move-to", tmp_path / "out", "--coco", tmp_path / "c.json", "--resume")
        assert batch(parts, "--rules", book, *given, "--labelme", tmp_path / "labels") == 1
        assert sorted(path.name for path in (tmp_path / "out" / "OK").iterdir()) == ["SN003_a.png", "SN\\xe9.png"]
        assert (tmp_path / "o.csv").read_text().count("\n") == 4


def test_what_was_replaced_meanwhile_is_not_moved(tmp_path: Path) -> None:
    folders = OutcomeFolders(tmp_path / "out")
    folders.check()
    source = tmp_path / "a.png"
    source.write_bytes(b"judged")
    judged = row(str(source), sha256=sha256_of(source))
    judged = judged.model_copy(update={"moved_to": folders.place_of(source, judged)})
    source.write_bytes(b"the next part")
    folders.deliver(Result(source, judged, None))
    assert source.read_bytes() == b"the next part"


def test_all_files_of_a_batch(book: Path, parts: Path, tmp_path: Path) -> None:
    (parts / "SN004_bad.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    out = tmp_path / "out.csv"
    given = ("--rules", book, "--csv", out, "--parquet", tmp_path / "out.parquet", "--coco", tmp_path / "coco.json")
    more = ("--labelme", tmp_path / "labels", "--move-to", tmp_path / "judged", "--serial", r"SN(\d+)")
    assert batch(parts, *given, *more) == 2
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [line["outcome"] for line in rows] == ["OK", "NG", "OK", "ERROR"]
    parquet = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "out.parquet")
    assert tuple(parquet.column_names) == COLUMNS
    assert parquet["outcome"].to_pylist() == ["OK", "NG", "OK", "ERROR"]
    assert parquet["score"].to_pylist()[3] is None
    assert parquet["created_at"].to_pylist()[0].year >= 2024
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [one["file_name"] for one in coco["images"]] == [
        "judged/OK/SN001_a.png",
        "judged/NG/SN002_a.png",
        "judged/OK/SN003_a.png",
    ]
    assert all((one["width"], one["height"]) == (60, 40) for one in coco["images"])
    for label in (tmp_path / "labels").iterdir():
        assert (tmp_path / "labels" / json.loads(label.read_text())["imagePath"]).exists()
    assert [path.name for path in parts.iterdir()] == ["SN004_bad.png"]
    (parts / "SN004_bad.png").unlink()
    assert batch(parts, *given, *more, "--resume") == 1  # all has moved: the table stays whole
    with out.open(newline="") as file:
        assert [line["serial"] for line in csv.DictReader(file)] == ["001", "002", "003"]


def test_rules_and_store_among_the_parts_are_no_parts(book: Path, parts: Path) -> None:
    inside = book.rename(parts / "plate.yaml")
    store, out = parts / "cases.db", parts / "out.csv"
    for _ in range(2):
        assert batch(parts, "--rules", inside, "--csv", out, "--save", "--store", store) == 1
    with out.open(newline="") as file:
        assert [line["outcome"] for line in csv.DictReader(file)] == ["OK", "NG", "OK"]
    assert batch(parts, "--rules", inside, "--csv", store, "--save", "--store", store) == 2


def test_a_table_is_no_input_and_named_once(
    book: Path, parts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for wrong in (
        ("--csv", tmp_path / "a.csv", "--coco", tmp_path / "a.csv"),
        ("--csv", tmp_path / "a.csv", "--parquet", book),
        ("--csv", tmp_path / "a.csv", "--keep-input"),
        ("--csv", tmp_path / "a.csv", "--webhook", "ftp://x/y"),
        ("--csv", tmp_path / "a.csv", "--webhook", "http://me:secret@host/"),
        ("--csv", tmp_path / "a.csv", "--mqtt", "mqtt://host/a/#"),
        ("--csv", tmp_path / "a.csv", "--move-to", book),
    ):
        assert batch(parts, "--rules", book, *wrong) == 2
        assert capfd.readouterr().err.count("\n") == 1
    assert book.read_text().startswith("class_name")
    assert not (tmp_path / "a.csv").exists()
