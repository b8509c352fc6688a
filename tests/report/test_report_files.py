"""Results are written at once or not at all, and one can know beforehand."""

import os
import stat
from pathlib import Path

import pytest

from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import check_folder, check_writable, write_atomically, write_together


def test_writes_replaces_and_leaves_no_other_file(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    check_writable(target)
    assert list(tmp_path.iterdir()) == []
    write_atomically(target, b"one")
    write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    target, usual = tmp_path / "result.json", tmp_path / "usual"
    usual.touch()
    write_atomically(target, b"one")
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    target.chmod(0o640)
    write_atomically(target, b"two")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("write", [check_writable, lambda path: write_atomically(path, b"x")])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/result.json", "missing"),
        (".", "is a folder"),
        ("file/result.json", "file"),
        ("n" * 300, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path: Path, write: object, name: str, message: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match=message) as caught:
        write(tmp_path / name)  # type: ignore[operator]  # one of two functions
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_protected_folder_is_found_out_beforehand(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            check_writable(tmp_path / "result.json")
    finally:
        tmp_path.chmod(0o700)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    link.symlink_to(real)
    check_writable(link)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no /dev/null on this system")
def test_a_device_is_written_to_and_not_replaced() -> None:
    check_writable(Path("/dev/null"))
    write_atomically(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


def test_a_failed_write_keeps_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_atomically(target, b"new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_several_files_are_replaced_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.html"
    first.write_bytes(b"old a")
    second.write_bytes(b"old b")
    sizes = iter([None, 28])  # the disk is full at the second file

    def synced(handle: int) -> None:
        if (number := next(sizes, None)) is not None:
            raise OSError(number, "No space left on device")

    monkeypatch.setattr(os, "fsync", synced)
    with pytest.raises(OutputError, match=r"b\.html cannot be written: No space left on device"):
        write_together({first: b"new a", second: b"new b"})
    assert (first.read_bytes(), second.read_bytes()) == (b"old a", b"old b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.html"]
    monkeypatch.undo()
    write_together({first: b"new a", second: b"new b"})
    assert (first.read_bytes(), second.read_bytes()) == (b"new a", b"new b")


def test_a_folder_is_checked_before_it_is_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "runs" / "one")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="is a file; name a folder"):
        check_folder(tmp_path / "file" / "one")
