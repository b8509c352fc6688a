"""The store: what is kept comes back the same, from a file and from a server; what is wrong is one line."""

import dataclasses
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from converters.digest import sha256_of
from converters.panels import PanelOrigin
from converters.projection import ScanOrigin
from converters.view import Pane, View
from tests.store.parts import (
    ANSWER,
    evidence_over,
    examine,
    frames_view,
    full_examination,
    image_view,
    noise,
    plot_view,
    scan_views,
    two_looks,
)
from vlm_inspect.backends.messages import digest_messages
from vlm_inspect.enlargement import Enlargement
from vlm_inspect.errors import ParseError, StoreError
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.examination import Examination
from vlm_inspect.replay.settings import config_of
from vlm_inspect.rules import RuleBook, load_rules
from vlm_inspect.store import Case, CaseStore, Filters, case_store, new_case_id
from vlm_inspect.store.files import Bundle, FileFolder
from vlm_inspect.store.records import EnlargementEntry, EvidenceEntry, MapEntry, ViewEntry
from vlm_inspect.store.tables import CaseRow

BOXES = ((0.0, 0.0, 1.0, 1.0), (0.1, 0.2, 0.4, 0.35), (0.61, 0.5, 0.9, 0.77))


def kept(name: str, examination: Examination) -> Examination:
    """Save, close, open, load."""
    with CaseStore(name) as store:
        case_id = store.save(examination, "part.png")
    with CaseStore(name) as store:
        return store.load(case_id).examination


def assert_same(view: View, other: View) -> None:
    assert np.array_equal(view.image, other.image)
    assert view.image.dtype == other.image.dtype
    assert (view.mask is None) == (other.mask is None)
    if view.mask is not None:
        assert other.mask is not None
        assert other.mask.dtype == np.bool_
        assert np.array_equal(view.mask, other.mask)
    for name in ("kind", "label", "key", "panes"):
        assert getattr(view, name) == getattr(other, name)


def test_no_field_is_forgotten() -> None:
    def names(kind: type) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    in_files = {"values", "matches", "types"}
    assert names(AnomalyMap) - in_files == set(MapEntry.model_fields) - {"arrays", "type_words", "type_names"}
    assert names(Evidence) - {"surface", "curve", "sample_curve"} == set(EvidenceEntry.model_fields)
    assert names(View) - {"image"} == set(ViewEntry.model_fields) - {"picture"}
    assert names(Enlargement) == set(EnlargementEntry.model_fields)
    of_this_run = {"judged_by"}  # a kept case is read again, not judged again
    assert names(Examination) - of_this_run == {
        *("inspection", "views", "evidence", "looks", "record", "references", "template", "thresholds", "limits"),
    }


def test_a_case_of_before_the_path_was_recorded_still_names_its_part(store_name: str) -> None:
    with CaseStore(store_name) as store:
        case_id = store.save(examine(), "in/part.png")
        with store._database.writing() as session:
            row = session.get_one(CaseRow, case_id)
            told = json.loads(row.inspection)
            del told["source"]
            row.inspection = json.dumps(told)
        case = store.load(case_id)
    assert case.inspection.source == str(Path("in/part.png").absolute())
    assert case.record.source == case.inspection.source  # what a replay fuses again is the same


def test_everything_comes_back(store_name: str) -> None:
    before = full_examination()
    with CaseStore(store_name) as store:
        case_id = store.save(before, "in/part.png", settings={"samples": 1, "localizer": "memory"})
    with CaseStore(store_name) as store:
        case = store.load(case_id)
        assert store.count() == 1
    after = case.examination
    assert after.inspection == before.inspection
    assert after.opinion == before.opinion
    assert after.replies == before.replies
    assert after.thresholds == before.thresholds
    assert after.limits == before.limits
    assert after.record.notes == before.record.notes
    assert after.record.rules.model_dump() == before.record.rules.model_dump()
    assert after.record.rules.text == before.record.rules.text
    assert after.record.rules.sha256 == before.record.rules.sha256
    assert after.request.messages == before.request.messages
    assert digest_messages(after.request.messages) == before.request.prompt_sha256 == after.request.prompt_sha256
    assert after.request.answer_schema == before.request.answer_schema
    assert after.request.question == "Where is it?"
    for view, other in zip(before.views, after.views, strict=True):
        assert_same(view, other)
        assert view.origin == other.origin
    assert [len(one) for one in after.references] == [1, 1, 1, 1, 0, 1, 0], "the fifth and seventh are not shown"
    for one, same in zip(before.references[5], after.references[5], strict=True):
        assert_same(one, same)
    assert case.source == Path("in/part.png").absolute()
    assert case.settings == {"samples": 1, "localizer": "memory"}
    assert case.question == "Where is it?"


def test_evidence_comes_back_to_the_last_bit(store_name: str) -> None:
    before = full_examination().evidence
    after = kept(store_name, full_examination()).evidence
    for field in dataclasses.fields(Evidence):
        if field.name == "measurements":
            assert str(after.measurements) == str(before.measurements)  # NaN is not equal to itself
        elif field.name != "maps":
            assert getattr(after, field.name) == getattr(before, field.name), field.name
    for one, same in zip(before.maps, after.maps, strict=True):
        for field in dataclasses.fields(AnomalyMap):
            then, now = getattr(one, field.name), getattr(same, field.name)
            if isinstance(then, np.ndarray):
                assert now.dtype == then.dtype
                assert np.array_equal(then, now, equal_nan=True), field.name
            elif field.name != "types":
                assert now == then, field.name
        assert one.types is not None
        assert same.types is not None
        assert same.types.words == one.types.words
        assert np.array_equal(one.types.values, same.types.values)


@pytest.mark.parametrize("view", [image_view(), frames_view(), plot_view()], ids=["image", "frames", "plot"])
def test_origins_map_back_as_before(tmp_path: Path, view: View) -> None:
    (after,) = kept(str(tmp_path / "cases.db"), examine([view])).views
    assert_same(view, after)
    assert after.origin == view.origin
    for box in BOXES:
        assert after.origin.locate(box) == view.origin.locate(box)


def test_a_scan_maps_back_as_before_and_keeps_only_the_points_that_are_seen(tmp_path: Path) -> None:
    views = scan_views()
    after = kept(str(tmp_path / "cases.db"), examine(views)).views
    assert len(after) == len(views)
    for view, other in zip(views, after, strict=True):
        assert_same(view, other)
        assert isinstance(view.origin, ScanOrigin)
        assert isinstance(other.origin, ScanOrigin)
        assert other.origin.mm_per_px == view.origin.mm_per_px
        assert len(other.origin.points) < len(view.origin.points)
        for box in BOXES:
            assert other.origin.locate(box) == view.origin.locate(box)
    assert len(list((tmp_path / "cases.db.files").glob("*/arrays-*"))) <= 1 + 6, "one cloud, six sides"


def test_panels_of_a_scan_map_back_as_before(tmp_path: Path) -> None:
    side = scan_views()[0]
    height, width = side.size_hw
    panes = (Pane((0, 0, width, height), "this part"), Pane((width, 0, 2 * width, height), "reference 1"))
    origin = PanelOrigin(panes, (height, 2 * width), side.origin)
    view = View(np.concatenate([side.image] * 2, axis=1), "deviation", "place 1", origin, "closer/1", panes=panes)
    (after,) = kept(str(tmp_path / "cases.db"), examine([view])).views
    assert_same(view, after)
    for box in BOXES:
        assert after.origin.locate(box) == origin.locate(box)
    left, right = (origin.locate((x, 0.3, x + 0.05, 0.4)) for x in (0.2, 0.7))
    assert left.point_mm == right.point_mm, "one place in either panel"


def test_both_looks_are_kept(store_name: str) -> None:
    before = two_looks()
    after = kept(store_name, before)
    assert [look.phase for look in after.looks] == ["judge", "look_again"]
    assert after.looks[1].elapsed_s == 1.5
    for one, same in zip(before.looks, after.looks, strict=True):
        assert same.request is not None
        assert one.request is not None
        assert same.request.messages == one.request.messages
        assert same.request.prompt_sha256 == one.request.prompt_sha256
        assert (same.replies, same.opinion) == (one.replies, one.opinion)
    assert after.request.messages == before.request.messages
    (enlarged,) = after.request.enlargements
    (then,) = before.request.enlargements
    assert (enlarged.reasons, enlarged.box_xyxyn, enlarged.reference) == (then.reasons, then.box_xyxyn, then.reference)
    assert np.array_equal(enlarged.picture, then.picture)
    assert enlarged.twin is not None


def test_a_reply_without_verdict_is_kept_as_such(tmp_path: Path) -> None:
    before = examine(texts=["I cannot help with that."])
    after = kept(str(tmp_path / "cases.db"), before)
    assert isinstance(before.opinion, ParseError)
    assert isinstance(after.opinion, ParseError)
    assert (str(after.opinion), after.opinion.cause) == (str(before.opinion), before.opinion.cause)
    assert after.opinion.reply_text == "I cannot help with that."
    assert after.inspection.outcome == "REVIEW"


def test_a_rule_file_with_a_byte_order_mark_and_a_book_made_in_code(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes("\ufeffclass_name: plate  # ü\n".encode())
    for book in (load_rules(path), RuleBook(class_name="plate", ignore=((0.0, 0.0, 1e-5, 0.5),))):
        after = kept(str(tmp_path / "cases.db"), examine(rules=book)).record.rules
        assert after.model_dump() == book.model_dump()
        assert (after.sha256, after.text, after.folder) == (book.sha256, book.text, book.folder)


def test_equal_content_is_kept_once_and_goes_with_its_last_case(tmp_path: Path) -> None:
    with CaseStore(tmp_path / "cases.db") as store:
        first = store.save(full_examination(), "a.png")
        files = set((tmp_path / "cases.db.files").glob("*/*"))
        second = store.save(full_examination(), "b.png")
        assert set((tmp_path / "cases.db.files").glob("*/*")) == files
        store.delete(first)
        assert set((tmp_path / "cases.db.files").glob("*/*")) == files
        assert store.load(second).examination.views
        store.delete(second)
        assert not set((tmp_path / "cases.db.files").glob("*/*"))
        assert store.list() == []


def test_stores_side_by_side_do_not_sweep_each_other(tmp_path: Path) -> None:
    names = [tmp_path / "cases", tmp_path / "cases.db", tmp_path / "cases.sqlite"]
    for path in names:
        with CaseStore(path) as store:
            store.save(examine([image_view(names.index(path))]), "a.png")
    for path in names:
        with CaseStore(path) as store:
            assert store.sweep(stale_s=0) == 0
    for path in names:
        with CaseStore(path) as store:
            assert store.load("20").examination.views


def test_a_servers_database_has_a_folder_of_its_own(postgres_url: str, tmp_path: Path) -> None:
    with CaseStore(postgres_url) as store:
        case_id = store.save(examine(), "a.png")
        assert store.files.folder.parent == tmp_path / "server.files"
        assert len(store.files.folder.name) == 32
        folder = store.files.folder
    with CaseStore(postgres_url) as store:
        assert store.files.folder == folder
        assert store.load(case_id).examination.views


def test_the_input_is_kept_where_asked_for(tmp_path: Path) -> None:
    part = tmp_path / "part.bin"
    part.write_bytes(b"\x00\xff part")
    frames = tmp_path / "clip"
    frames.mkdir()
    for number in (0, 1):
        (frames / f"{number}.png").write_bytes(bytes([number]))
    with CaseStore(tmp_path / "cases.db") as store:
        for source in (part, frames):
            case = store.load(store.save(examine(input_sha256=sha256_of(source)), source, keep_input=True))
            written = case.write_input(tmp_path / "back")
            assert sha256_of(written) == sha256_of(source)
            with pytest.raises(StoreError, match="there already"):
                case.write_input(tmp_path / "back")
        with pytest.raises(StoreError, match="not kept"):
            store.load(store.save(examine(), part)).write_input(tmp_path / "back")
        with pytest.raises(StoreError, match="changed since it was inspected"):
            store.save(examine(input_sha256="2" * 64), part, keep_input=True)


def test_cases_are_filtered(store_name: str) -> None:
    normal = json.dumps({**ANSWER, "anomalous": False, "probability": 0.01, "rules": [], "defects": []})
    with CaseStore(store_name) as store:
        old = store.save(examine(created_at="2025-12-31T23:59:59+00:00"), "in/old_100%.png")
        made = examine(rules=RuleBook(class_name="screw"), texts=[normal], question=None)
        new = store.save(made, "in/new.png")

        def ids(**filters: object) -> list[str]:
            return [line.id for line in store.list(Filters(**filters))]  # type: ignore[arg-type]  # any of them

        assert ids() == [new, old]
        assert ids(limit=1) == [new]
        assert ids(class_name="screw") == [new]
        assert ids(outcome="OK") == [new]
        assert ids(outcome="REVIEW") == [old]
        assert ids(since="2026-01-01") == [new]
        assert ids(until="2025-12-31") == [old]
        assert ids(since="2026-03-14T10:26:53+01:00", until="2026-03-14T09:26:53") == [new]
        assert ids(text="OLD_") == [old]
        assert ids(text="100%.") == [old]
        assert ids(text="%") == [old], "a sign of the query language is a sign like others"
        assert ids(text="where is") == [old]
        assert ids(text="dark spot", class_name="screw") == [new]
        with pytest.raises(StoreError, match="is not a date"):
            ids(since="yesterday")


def test_ids_are_found_by_their_beginning(store_name: str) -> None:
    with CaseStore(store_name) as store:
        ids = [store.save(examine(), "a.png") for _ in range(2)]
        assert len(set(ids)) == 2
        assert store.load(ids[0]).id == ids[0]
        assert store.find(ids[1][:-1]) == ids[1] or ids[0][:-1] == ids[1][:-1]
        with pytest.raises(StoreError, match=r"several cases begin with 20: \S+, \S+; give more"):
            store.load("20")
        for wrong in ("1999", "2026%", "", "../x", "20260314-000000-ffff"):
            with pytest.raises(StoreError, match="vlm-inspect cases lists them"):
                store.load(wrong)


def test_a_dialogue_is_kept_in_order_and_goes_with_its_case(store_name: str) -> None:
    cut = noise(9, 12, 10)
    call = {"tool": "zoom", "arguments": {"box": [0, 0, 10, 10]}, "result": "done"}
    with CaseStore(store_name) as store:
        case_id = store.save(examine(), "a.png")
        store.add_turn(case_id, "user", "Why NG?\0 ü\ud800")
        store.add_turn(case_id[:15], "assistant", "Look.", tool_calls=[call], pictures=[cut, cut])
        first, second = store.turns(case_id)
        assert (first.number, first.role, first.text) == (
            1,
            "user",
            "Why NG?\N{REPLACEMENT CHARACTER} ü\N{REPLACEMENT CHARACTER}",
        )
        assert (second.number, second.tool_calls) == (2, (call,))
        store.sweep(stale_s=0)
        assert np.array_equal(store.picture(second.pictures[1]), cut)
        store.add_correction(case_id, "ignore", {"box": [0.1, 0.2, 0.3, 0.4]})
        store.decide_correction(case_id, 1, accepted=True)
        (correction,) = store.corrections(case_id)
        assert correction.accepted
        assert correction.payload == {"box": [0.1, 0.2, 0.3, 0.4]}
        with pytest.raises(StoreError, match="no correction 2"):
            store.decide_correction(case_id, 2, accepted=True)
        assert store.list()[0].turns == 2
        store.delete(case_id)
        with pytest.raises(StoreError, match="no case"):
            store.turns(case_id)
        other = store.save(examine(), "a.png")
        assert store.turns(other) == ()
        assert store.corrections(other) == ()


def test_files_that_are_gone_or_damaged_are_named(tmp_path: Path) -> None:
    with CaseStore(tmp_path / "cases.db") as store:
        case_id = store.save(full_examination(), "a.png")
        for path in (tmp_path / "cases.db.files").glob("*/*"):
            data = path.read_bytes()
            path.write_bytes(data[:-20] + bytes(20))
            with pytest.raises(StoreError, match=r"is damaged: put it back"):
                _ = store.load(case_id).examination
            path.unlink()
            with pytest.raises(StoreError, match=r"is gone: put it back from a copy, or delete the case"):
                _ = store.load(case_id).examination
            path.write_bytes(data)
        assert store.load(case_id).examination
        assert store.load(case_id).inspection.outcome  # without its files


def test_every_changed_byte_of_a_file_is_told_as_damage(tmp_path: Path) -> None:
    """zipfile tells a changed method of compression as NotImplementedError, and zlib has an error of its own."""
    bundle = Bundle()
    names = (bundle.add_arrays({"map": noise(7, 5)}), bundle.add_picture(noise(6, 4)))
    folder = FileFolder(tmp_path, wait_s=1)
    folder.write(bundle)
    for name, read in zip(names, (folder.arrays, folder.picture), strict=True):
        path = tmp_path / name.partition("-")[2][:2] / name
        data = path.read_bytes()
        told: list[str] = []
        for place in range(len(data)):
            path.write_bytes(data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :])
            try:
                read(name)  # a changed date changes no value
            except StoreError as error:
                told.append(str(error))
        assert len(told) > len(data) // 2
        assert all("is damaged: put it back" in line for line in told)


def test_a_store_is_its_owners_alone(tmp_path: Path) -> None:
    """Pictures of parts and what was said of them are nobody else's, whatever the umask."""
    usual = os.umask(0o022)
    try:
        with CaseStore(tmp_path / "cases.db") as store:
            store.save(full_examination(), "a.png")
            made = sorted(tmp_path.rglob("*"))
            assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
            others = {path.name: oct(path.stat().st_mode & 0o777) for path in made if path.is_file()}
            assert {name for name, mode in others.items() if mode != "0o600"} <= {".lock", ".swept"}  # both empty
    finally:
        os.umask(usual)


def test_rows_that_were_tampered_with_are_told(tmp_path: Path) -> None:
    for column, text, told in (
        ("record", "{}", "the store is damaged"),
        ("inspection", '{"outcome": "FINE"}', "the store is damaged"),
        ("messages", "[]", "is not what was sent"),
        ("messages", "{", "the store is damaged"),
        ("messages", '[{"type": "human"}]', "request of a case cannot be read"),
        ("replies", '[{"text": 1}]', "the store is damaged"),
        ("answer_schema", "{", "cannot be read"),
        ("answer_schema", "[" * 100_000, "the store is damaged"),
        (
            "rules_json",
            '{"class_name": "a", "rules": [{"id": "x", "text": "y", "check": {"measure": "z"}}]}',
            "measure",
        ),
    ):
        path = tmp_path / "cases.db"
        with CaseStore(path) as store:
            case_id = store.save(examine(), "a.png")
            with sqlite3.connect(path) as connection:
                connection.execute(f"UPDATE cases SET {column} = ? WHERE id = ?", (text, case_id))
            connection.close()
            with pytest.raises(StoreError, match=told):
                _ = store.load(case_id).examination


def test_a_name_in_a_row_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    with CaseStore(tmp_path / "cases.db") as store:
        for name in ("../../etc/passwd", "view-../x.png", "/etc/passwd", "view-" + "g" * 64):
            with pytest.raises(StoreError, match="not the name of a file"):
                store.picture(name)


def test_a_save_that_fails_leaves_no_case_and_its_files_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaseStore(tmp_path / "cases.db") as store:
        kept_id = store.save(examine(), "a.png")
        files = set((tmp_path / "cases.db.files").glob("*/*"))

        def fail(*_: object) -> str:
            raise StoreError("no")

        monkeypatch.setattr(case_store, "add_case", fail)
        with pytest.raises(StoreError):
            store.save(full_examination(), "b.png")
        draft = tmp_path / "cases.db.files" / "ab" / ".x.part"
        draft.parent.mkdir(exist_ok=True)
        draft.touch()
        assert [line.id for line in store.list()] == [kept_id]
        assert set((tmp_path / "cases.db.files").glob("*/*")) > files
        store.sweep()
        assert set((tmp_path / "cases.db.files").glob("*/*")) == files | {draft}, "a fresh draft may be at work"
        assert store.sweep(stale_s=0) == 1
        assert set((tmp_path / "cases.db.files").glob("*/*")) == files


def test_a_sweep_between_files_and_rows_takes_nothing_from_the_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaseStore(tmp_path / "cases.db") as store, CaseStore(tmp_path / "cases.db") as other:
        write = store.files.write

        def write_then_sweep(bundle: object) -> None:
            monkeypatch.setattr(store.files, "write", write)
            write(bundle)  # type: ignore[arg-type]  # what save gives
            assert other.sweep(stale_s=0) > 0

        monkeypatch.setattr(store.files, "write", write_then_sweep)
        case_id = store.save(full_examination(), "a.png")
        assert store.load(case_id).examination


def test_an_origin_of_another_kind_is_refused(tmp_path: Path) -> None:
    odd = dataclasses.replace(image_view(), origin=object())  # type: ignore[arg-type]  # on purpose
    examination = dataclasses.replace(examine(evidence=evidence_over()), views=(odd,))
    with CaseStore(tmp_path / "cases.db") as store, pytest.raises(StoreError, match="origin is a object"):
        store.save(examination, "a.png")


def kept_with(folder: Path, settings: dict[str, object]) -> Case:
    with CaseStore(str(folder / "cases.db")) as store:
        return store.load(store.save(full_examination(), "part.png", settings=settings))


def test_settings_of_old_cases_are_read_as_a_configuration(tmp_path: Path) -> None:
    old = {
        "rules_path": "r.yaml", "references": ["a/*.png"], "model": "openai:x", "timeout_s": 9.0, "samples": 2,
        "localizer": "dapo", "checkpoint": "k.pt", "device": "cpu", "detail": "low", "look_again": True,
        "question": "ok?", "folder": "/parts",
    }  # fmt: skip
    config = config_of(kept_with(tmp_path, old))
    assert (config.rules, config.references) == (Path("/parts/r.yaml"), ("/parts/a/*.png",))
    assert (config.model.name, config.model.timeout_s, config.model.samples) == ("openai:x", 9.0, 2)
    assert (config.localizer.name, config.localizer.checkpoint) == ("dapo", Path("/parts/k.pt"))
    assert (config.device, config.prompt.detail, config.look_again) == ("cpu", "low", True)


def test_damaged_settings_of_a_case_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"settings\.model\.samples"):
        config_of(kept_with(tmp_path, {"config": {"model": {"samples": -1}}}))


def test_a_promised_id_is_one_case_however_often_it_is_kept(tmp_path: Path) -> None:
    promised = new_case_id()
    with CaseStore(tmp_path / "cases.db") as store:
        assert not store.holds(promised)
        assert store.save(full_examination(), "part.png", case_id=promised, serial="A 17") == promised
        assert store.save(full_examination(), "part.png", case_id=promised, serial="A 17") == promised
        assert store.holds(promised)
        assert store.count() == 1
        assert store.load(promised).serial == "A 17"


def test_promised_ids_sort_among_the_others(tmp_path: Path) -> None:
    with CaseStore(tmp_path / "cases.db") as store:
        first = store.save(full_examination(), "part.png")
        second = store.save(full_examination(), "part.png", case_id=new_case_id())
    assert first < second
    assert len(second) <= 24


def test_cases_are_found_by_serial_and_page_by_page(tmp_path: Path) -> None:
    with CaseStore(tmp_path / "cases.db") as store:
        ids = [
            store.save(full_examination(), "part.png", case_id=new_case_id(), serial=f"lot {number // 2}")
            for number in range(5)
        ]
        assert {line.id for line in store.list(Filters(serial="lot 1"))} == {ids[2], ids[3]}
        assert store.count(Filters(serial="lot 1", limit=1)) == 2
        newest_first = [line.id for line in store.list()]
        assert [line.id for line in store.list(Filters(limit=2, offset=2))] == newest_first[2:4]
        assert [line.id for line in store.list(Filters(offset=3))] == newest_first[3:]
        assert store.list(Filters(limit=1))[0].serial in {"lot 2", "lot 1", "lot 0"}
