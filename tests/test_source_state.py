"""The recorded digest is that of the bytes that were judged: a source that changes meanwhile is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.errors import ConversionError
from converters.sample import Sample
from vlm_inspect import inspector as module
from vlm_inspect.asking import ask_model
from vlm_inspect.inspector import Inspector
from vlm_inspect.looks.look import read_look
from vlm_inspect.source_state import state_of


def photo(path: Path, value: int) -> Path:
    Image.fromarray(np.full((64, 64, 3), value, np.uint8)).save(path)
    return path


def test_a_part_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, real = photo(tmp_path / "part.png", 10), module.read

    def read_then_replace(source: Path, as_kind: str | None = None) -> Sample:
        sample = real(source, as_kind=as_kind)
        photo(tmp_path / "other.png", 200).replace(source)
        return sample

    monkeypatch.setattr(module, "read", read_then_replace)
    with pytest.raises(ConversionError, match="changed while it was read"):
        Inspector(localizer=None).inspect(part)
    monkeypatch.undo()
    assert Inspector(localizer=None).inspect(part).outcome == "REVIEW"


def test_a_part_that_changes_while_it_is_measured_is_refused_whatever_its_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of a clip are read as they are measured; the time of a file can be set back, that of its entry not."""
    part, real = photo(tmp_path / "part.png", 10), module.gather

    def gather_then_overwrite(*given: object) -> object:
        times, data = part.stat(), bytearray(part.read_bytes())
        data[-1] ^= 1
        part.write_bytes(data)
        os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
        return real(*given)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(module, "gather", gather_then_overwrite)
    with pytest.raises(ConversionError, match="changed while it was read"):
        Inspector(localizer=None).inspect(part)


def test_a_part_that_changes_before_a_later_look_at_it_is_refused(tmp_path: Path) -> None:
    inspector = Inspector(localizer=None)
    prepared = inspector.prepare(photo(tmp_path / "part.png", 10))
    step = inspector.next_step(prepared, ())
    assert step.request is not None
    look = read_look(step, ask_model(inspector.backend, step.request), 0.0)
    assert inspector.conclude(prepared, (look, look)).inspection.outcome == "REVIEW"
    photo(tmp_path / "part.png", 20)
    assert inspector.conclude(prepared, (look,)).inspection.outcome == "REVIEW"  # nothing was read again
    with pytest.raises(ConversionError, match="changed while it was read"):
        inspector.conclude(prepared, (look, look))


def test_the_state_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    photo(tmp_path / "0.png", 1)
    before = state_of(tmp_path)
    assert before == state_of(tmp_path)
    photo(tmp_path / "1.png", 1)
    assert state_of(tmp_path) != before
    assert state_of(tmp_path / "none") == ()
