import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.view import ViewBudget
from tests.qualification.pictures import Difference, write_plates
from vlm_inspect import cli
from vlm_inspect.class_reports.reference_check import ReferenceCheck, check_references
from vlm_inspect.class_reports.two_references import how_far_apart
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.memory import ReferenceMemory
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.subject import ANY_SUBJECT
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.references import load_references


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))


def inspector(paths: list[Path]) -> Inspector:
    return Inspector(references=paths, localizer=Difference(), qualification=QualificationSettings(planted=24))


def test_alike_references_agree(tmp_path: Path) -> None:
    found = check_references(inspector(write_plates(tmp_path, 8)))
    assert found.odd == ()
    assert not found.disagree
    assert "they agree" in found.lines()


def test_one_odd_of_sixteen_is_named(tmp_path: Path) -> None:
    found = check_references(inspector(write_plates(tmp_path, 16, odd=5)))
    assert [Path(path).name for path in found.odd] == ["5.png"]
    assert any("5.png" in line and "may be defective" in line for line in found.lines())
    assert json.loads(json.dumps(found.as_json()))["odd"] == list(found.odd)


def test_two_references_of_another_kind_each_disagree(tmp_path: Path) -> None:
    """Each scores by the other as the other by it, so that a spread says nothing of two."""
    localizer = ReferenceMemory(MemorySettings(eye="fast"))
    paths = write_plates(tmp_path, 2)
    alike = how_far_apart(load_references(paths, "image", ViewBudget()), localizer, ANY_SUBJECT)
    wood = np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    Image.fromarray(wood).save(paths[1])
    other = how_far_apart(load_references(paths, "image", ViewBudget()), localizer, ANY_SUBJECT)
    assert alike is not None
    assert other is not None
    assert alike < 1.0
    assert other > 2.1
    lines = ReferenceCheck({"a.png": 0.0, "b.png": 0.0}, (), True, 0.0, 0.0, None).lines()
    assert any("the two references disagree" in line for line in lines)
    assert "they agree" not in lines
    assert not any("least like" in line for line in lines)


def test_the_photos_of_a_folder_are_its_references(tmp_path: Path) -> None:
    paths = write_plates(tmp_path, 5)
    found = check_references(inspector([tmp_path]))
    assert sorted(found.log_scores) == sorted(str(path) for path in paths)


def test_an_odd_reference_is_to_be_removed_before_others_are_added() -> None:
    lines = ReferenceCheck({"a.png": 0.0, "b.png": 0.1, "c.png": 9.0}, ("c.png",), False, 1.5, 0.2, None).lines()
    assert any("first remove the odd one" in line for line in lines)
    assert not any("more of them alone" in line for line in lines)


def test_of_references_that_disagree_the_one_to_look_at_first_is_named() -> None:
    scores = {"a.png": -0.2, "b.png": 0.0, "c.png": 0.7}
    lines = ReferenceCheck(scores, (), True, 1.9, 0.2, None).lines()
    assert any("c.png" in line and "look at it first" in line for line in lines)
    named = ReferenceCheck(scores, ("c.png",), True, 1.9, 0.2, None).lines()
    assert sum("c.png" in line for line in named) == 1


def test_the_commands_say_it_in_words_and_numbers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pattern = str(write_plates(tmp_path, 3)[0].parent / "*.png")
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    options = ["--reference", pattern, "--eye", "fast"]
    for command in (
        ["references", "check", *options],
        ["sensitivity", *options, "--planted", "20", "--html", str(page), "--json", str(figures)],
    ):
        with pytest.raises(SystemExit) as left:
            cli.main(command)
        assert left.value.code == 0, capfd.readouterr()
    told = capfd.readouterr().out
    assert "normal parts OK, about" in told
    found = json.loads(figures.read_text())["sensitivity"]
    assert found["planted"] == 20
    assert set(found) >= {"pod", "confidence", "size_pct", "size_mm", "by_kind"}
    html = page.read_text()
    assert "<svg" in html
    assert html.count("<figure>") >= 7
    assert "http" not in html.replace("http-equiv", "")


def test_without_references_it_is_one_clear_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["sensitivity"])
    assert left.value.code == 2
    assert "there are no references" in capfd.readouterr().err
