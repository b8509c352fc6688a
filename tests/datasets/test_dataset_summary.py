"""What `--dry-run` rests on: numbers of a folder, and every problem found before a run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets import data_folders as folders
from vlm_inspect.datasets.item import Problem, ProblemKind
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.datasets.summary import DatasetSummary, describe, summarise


def of_kind(summary: DatasetSummary, kind: ProblemKind) -> list[Problem]:
    return [problem for problem in summary.problems if problem.kind == kind]


def only(summary: DatasetSummary, kind: ProblemKind) -> Problem:
    assert {problem.kind for problem in summary.problems} == {kind}, summary.problems
    found = of_kind(summary, kind)
    assert len(found) == 1
    return found[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return folders.mvtec(tmp_path / "set", classes=("screw",))


def test_numbers_of_a_class(root: Path) -> None:
    summary = describe(root)
    assert (summary.name, summary.format, summary.problems) == ("set", "mvtec", ())
    screw = summary.categories[0]
    assert (screw.name, screw.train, screw.test_normal, screw.test_anomalous, screw.masks) == ("screw", 4, 2, 4, 4)
    assert screw.defects == (("crack", 2), ("hole", 2))


def test_an_item_of_two_types_counts_for_both(tmp_path: Path) -> None:
    pcb = describe(folders.visa(tmp_path)).categories[0]
    assert pcb.test_anomalous == 2
    assert pcb.defects == (("bent", 1), ("melt", 1), ("scratch", 1))


def test_questions_are_counted(tmp_path: Path) -> None:
    assert [one.questions for one in describe(folders.mmad(tmp_path)).categories] == [6]


def test_a_mask_without_image(root: Path) -> None:
    (root / "screw" / "test" / "crack" / "000.png").unlink()
    problem = only(describe(root), ProblemKind.MASK_WITHOUT_IMAGE)
    assert problem.category == "screw"
    assert problem.paths[0].name == "000_mask.png"


def test_an_image_without_mask(root: Path) -> None:
    (root / "screw" / "ground_truth" / "crack" / "000_mask.png").unlink()
    assert "screw/test/crack/000.png" in only(describe(root), ProblemKind.IMAGE_WITHOUT_MASK).message


def test_a_class_without_masks_is_told_once(root: Path) -> None:
    shutil.rmtree(root / "screw" / "ground_truth")
    assert "places cannot be scored" in only(describe(root), ProblemKind.CLASS_WITHOUT_MASKS).message


@pytest.mark.parametrize(("gone", "left"), [("good", "anomalous"), ("*", "normal")])
def test_a_class_of_one_label(root: Path, gone: str, left: str) -> None:
    for folder in (root / "screw" / "test").glob(gone):
        if gone == "good" or folder.name != "good":
            shutil.rmtree(folder)
    if left == "normal":
        shutil.rmtree(root / "screw" / "ground_truth")
    assert f"are {left}: AUROC is n/a" in only(describe(root), ProblemKind.ONE_LABEL).message


def test_duplicates_by_content_and_leaks(root: Path) -> None:
    shutil.copy(root / "screw" / "test" / "good" / "000.png", root / "screw" / "test" / "good" / "copy.png")
    assert len(only(describe(root), ProblemKind.DUPLICATE).paths) == 2
    shutil.copy(root / "screw" / "train" / "good" / "000.png", root / "screw" / "test" / "good" / "copy.png")
    assert "train/good/000.png" in only(describe(root), ProblemKind.LEAK).message


def test_unreadable_images_are_counted_and_listed(root: Path) -> None:
    whole = (root / "screw" / "test" / "good" / "000.png").read_bytes()
    cut, empty = root / "screw" / "test" / "good" / "001.png", root / "screw" / "train" / "good" / "001.png"
    cut.write_bytes(whole[: len(whole) // 2])
    empty.write_bytes(b"")
    summary = describe(root)
    assert {problem.kind for problem in summary.problems} == {ProblemKind.UNREADABLE}
    assert {path for problem in summary.problems for path in problem.paths} == {cut, empty}
    assert all("\n" not in problem.message for problem in summary.problems)
    assert describe(root, decode=False).problems == ()


def test_masks_that_cannot_serve(root: Path) -> None:
    masks = root / "screw" / "ground_truth"
    folders.mask(masks / "crack" / "000_mask.png", 0)
    (masks / "crack" / "001_mask.png").write_bytes(b"no picture")
    folders.picture(root / "screw" / "test" / "hole" / "000.png", (30, 20))
    summary = describe(root)
    assert len(of_kind(summary, ProblemKind.EMPTY_MASK)) == 1
    assert of_kind(summary, ProblemKind.UNREADABLE)[0].paths == (masks / "crack" / "001_mask.png",)
    assert "is 30 x 20 pixels, its mask 48 x 32" in of_kind(summary, ProblemKind.MASK_SIZE)[0].message


def test_files_that_a_list_names_in_vain(tmp_path: Path) -> None:
    root = folders.visa(tmp_path)
    gone = root / "pcb1" / "Data" / "Images" / "Anomaly" / "000.JPG"
    gone.unlink()
    problem = only(describe(root), ProblemKind.MISSING_FILE)
    assert problem.message == "1 of 7 files of pcb1 are missing or locked, such as 000.JPG"
    assert problem.paths == (gone,)


def test_a_question_against_its_folder(tmp_path: Path) -> None:
    root = folders.mmad(tmp_path)
    text = (root / "mmad.json").read_text()
    (root / "mmad.json").write_text(text.replace('"Answer": "A"', '"Answer": "B"'))
    assert "the folder counts" in only(describe(root), ProblemKind.AMBIGUOUS_LABEL).message


def test_a_template_that_is_asked_about(tmp_path: Path) -> None:
    root = folders.mmad(tmp_path)
    bottle = root / "MVTec-AD" / "bottle"
    text = (root / "mmad.json").read_text()
    (root / "mmad.json").write_text(text.replace('train/good/000.png"], "random', 'train/good/like.png"], "random'))
    shutil.copy(bottle / "test" / "good" / "000.png", bottle / "train" / "good" / "like.png")
    assert "like.png" in only(describe(root), ProblemKind.LEAK).message


def test_no_references(tmp_path: Path) -> None:
    root = folders.plain_folder(tmp_path / "parts")
    shutil.rmtree(root / "references")
    assert only(describe(root), ProblemKind.NO_REFERENCES).category == "parts"


def test_progress_is_told(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    dataset = read_dataset(root)
    summarise(dataset, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(at, len(dataset.items)) for at in range(1, len(dataset.items) + 1)]


def test_a_folder_that_the_data_set_calls_a_clip_is_read_as_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for clip in ("Train/Train001", "Test/Test001", "Test/Test001_gt"):
        for k in range(12):  # noise: told from its content, it would be a folder of photos
            path = tmp_path / clip / f"{k:03}.{'bmp' if clip.endswith('gt') else 'tif'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (20, 30), np.uint8)).save(path)
    assert of_kind(describe(tmp_path), ProblemKind.UNREADABLE) == []
    (tmp_path / "Test" / "Test001" / "005.tif").write_bytes(b"II*\0 no picture")
    problem = of_kind(describe(tmp_path), ProblemKind.UNREADABLE)[0]
    assert "005.tif" in problem.message


def test_curves_are_read_to_their_end(tmp_path: Path) -> None:
    for name, text in (("normal/a.csv", "t,v\n0,1\n1,2\n"), ("anomalous/b.csv", "t,v\n0,1\n1,inf\n")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    (problem,) = of_kind(describe(tmp_path), ProblemKind.UNREADABLE)
    assert "inf is not a measurement" in problem.message
