"""`make results`: runs to a section of a page; clips laid out; figures that are not ours stand apart."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.real_results.data_set import DataSet, Published, read_data_sets
from benchmarks.real_results.runs import command_of, find_runs
from benchmarks.real_results.section import BEGIN, END, put_chapters, put_into, section_of
from evaluation.errors import RunError
from evaluation.runs.plan import Task
from evaluation.scoring.pixel_draws import write_draws
from tests.evaluation.finished_runs import failed, write_run
from vlm_inspect.datasets.registry import read_dataset

_THEIRS = Published(of="widgets", method="Other", references="1", image_auroc="0.123", source="X")
_PARTS = DataSet(
    name="parts",
    title="Parts",
    folder="parts",
    shots=(0,),
    in_mean=True,
    text="Some parts.",
    caution="Not the same parts.",
    published=(_THEIRS,),
    sources={"X": "a paper, table 1"},
)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for label, count in (("normal", 4), ("anomalous", 6)):
        for number in range(count):
            _picture(tmp_path / "parts" / label / f"{number}.png", number)
    return tmp_path / "parts"


def _picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(path)


def test_a_section_tells_runs_with_intervals_and_others_figures_apart(parts: Path, tmp_path: Path) -> None:
    def said(task: Task) -> Mapping[str, Any]:
        number = int(task.item.path.stem)
        if task.item.anomalous:
            return failed() if number == 5 else {"score": 0.6}
        return {"score": (0.1, 0.2, 0.3, 0.7)[number]}

    out = tmp_path / "runs"
    document = write_run(out / "parts-0", read_dataset(parts), said)
    runs = find_runs([_PARTS], out)
    lines = section_of([_PARTS], runs).splitlines()

    # Five of six anomalous beat three of four normal ones, the failed one beats none: 15 of 24 pairs.
    (ours,) = [line for line in lines if line.startswith("| parts | 0 | 4 / 6 |")]
    low, high = document["ci95"]["parts"]["image_auroc"]
    assert f"| 0.625 ({low:.3f} to {high:.3f}) |" in ours
    (decided,) = [line for line in lines if line.endswith(", 1 failed |")]
    assert decided.split(" | ")[2].startswith("0.167 (")  # one of six missed
    assert decided.split(" | ")[3].startswith("0.250 (")  # one of four
    (mean,) = [line for line in lines if line.startswith("| 0 | 1 | 0.625 (")]
    assert mean.startswith(f"| 0 | 1 | 0.625 ({low:.3f} to {high:.3f}) |")
    assert "10 items, 1 of them failed" in " ".join(lines)

    theirs = lines.index("| widgets | Other | 1 | 0.123 | – | – | X |")
    heads = lines[theirs - 2]
    assert heads.startswith("| published | method |")
    assert lines[theirs - 4].startswith("**Published by others, not measured here.** Not the same parts.")
    assert "- X: a paper, table 1" in lines


def test_the_mean_of_pixel_metrics_leaves_out_classes_without_masks(parts: Path, tmp_path: Path) -> None:
    dataset = read_dataset(parts)
    shutil.copytree(parts, tmp_path / "others")
    two = [_PARTS, _PARTS.model_copy(update={"name": "others", "title": "Others"})]
    write_run(tmp_path / "parts-0", dataset, lambda task: {"score": 0.5})
    write_run(tmp_path / "others-0", read_dataset(tmp_path / "others"), lambda task: {"score": 0.5})
    path = tmp_path / "parts-0" / "results.json"
    document = json.loads(path.read_text())
    document["categories"]["parts"]["pixel_auroc"] = 0.75
    path.write_text(json.dumps(document))
    write_draws(tmp_path / "parts-0", {"parts": {"pixel_auroc": np.linspace(0.5, 0.9, 401)}})

    (mean,) = [line for line in section_of(two, find_runs(two, tmp_path)).splitlines() if line.startswith("| 0 | 2 |")]
    assert mean.split(" | ")[4:6] == ["0.750 (0.510 to 0.890), 1 of 2 classes", "n/a"]


def test_what_was_not_run_is_said(parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = _PARTS.model_copy(update={"shots": (0, 4)})
    write_run(tmp_path / "runs" / "parts-0", read_dataset(parts), lambda task: {"score": 0.5})
    lines = section_of([two], find_runs([two], tmp_path / "runs")).splitlines()
    assert lines.count("| parts | 4 | not run |") == 2
    assert "| 4 | not all run |" in lines
    assert "parts-4: no such folder" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no run is finished"):
        section_of([two], {})


def test_a_folder_with_another_number_of_references_is_refused(parts: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "parts-0", read_dataset(parts), lambda task: {"score": 0.5}, shots=4)
    with pytest.raises(RunError, match="4 references; move it"):
        find_runs([_PARTS], tmp_path)


def test_only_what_stands_between_the_marks_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(page, "new")
    put_into(page, "newer")
    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"
    for wrong in ("none", f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"):
        page.write_text(wrong)
        with pytest.raises(ValueError, match="needs the line"):
            put_into(page, "new")
        assert page.read_text() == wrong


def test_a_data_set_alone_changes_its_own_chapter(parts: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_run(runs / "parts-0", read_dataset(parts), lambda task: {"score": 0.5})
    page, old = tmp_path / "page.md", f"## Mean\n\n| 1 |\n\n## {_PARTS.title}\n\nold\n\n## Others\n\nkept"
    page.write_text(f"before\n{BEGIN}\n\n{old}\n\n{END}\nafter\n")
    put_chapters(page, [_PARTS], find_runs([_PARTS], runs))
    told = page.read_text()
    assert told.startswith(f"before\n{BEGIN}\n\n## Mean\n\n| 1 |\n\n## {_PARTS.title}\n\n")
    assert told.endswith(f"\n\n## Others\n\nkept\n\n{END}\nafter\n")
    assert "old" not in told
    put_chapters(page, [_PARTS], find_runs([_PARTS], runs))
    assert page.read_text() == told
    with pytest.raises(ValueError, match="no run of parts is finished"):
        put_chapters(page, [_PARTS], {})
    page.write_text(f"{BEGIN}{END}")
    with pytest.raises(ValueError, match="needs one chapter"):
        put_chapters(page, [_PARTS], find_runs([_PARTS], runs))


def test_every_published_figure_has_its_source_and_is_a_fraction(tmp_path: Path) -> None:
    for one in read_data_sets():
        for row in one.published:
            told = [float(text.split(" ")[0]) for text in (row.image_auroc, row.pixel_auroc, row.aupro) if text]
            assert told, row
            assert all(0.3 < value <= 1.0 for value in told), row
            assert one.sources[row.source]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "[{name: a, title: a, folder: a, shots: [0], in_mean: true, text: a,"
        " published: [{of: a, method: m, references: '0', image_auroc: '0.9', source: Y}]}]"
    )
    with pytest.raises(ValueError, match="figures and sources do not fit: Y"):
        read_data_sets(wrong)


def test_a_run_there_is_gone_on_with() -> None:
    assert command_of(Path("d"), Path("o"), 4, resume=False) == ["bench", "d", "--out", "o", "--shots", "4"]
    command = command_of(Path("d"), Path("o"), 0, resume=True, normal_until="60")
    assert command[-3:] == ["--normal-until", "60", "--resume"]


def test_the_page_of_the_project_has_its_marks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "results" / "bench.md").read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1


def test_the_command_says_what_is_missing(parts: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}")
    write_run(tmp_path / "runs" / "deeppcb-1", read_dataset(parts), lambda task: {"score": 0.5}, shots=1)
    command = [sys.executable, "-m", "benchmarks.real_results", "--write-only", "--out", str(tmp_path / "runs")]
    done = subprocess.run([*command, "--page", str(page)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "1 runs; missing: mvtec-0" in done.stdout
    assert "Traceback" not in done.stderr
    assert "| parts | 1 | 4 / 6 |" in page.read_text()
