"""`demo --scans`: scans of four classes with their truth, laid out for `bench`."""

from pathlib import Path

import numpy as np
import pytest

from converters.point_cloud import read_point_cloud
from vlm_inspect.cli import main
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.demo import DemoTruth
from vlm_inspect.demo.folder import write_rules
from vlm_inspect.demo.generated_scans import FLAWS, Scanner
from vlm_inspect.demo.scan_set import CLASSES, write_scan_set
from vlm_inspect.rules import load_rules


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoTruth]:
    """A set of coarse scans, written as the command does."""
    home = tmp_path_factory.mktemp("set")
    (home / "rules").mkdir()
    coarse = Scanner(points=(3000, 3100), partial=0.0)
    cases = [case for one in write_scan_set(home, 0, scanner=coarse) for case in one]
    for case in {case.rules: case for case in cases}.values():
        write_rules(home / case.rules, case.references)
    return home, DemoTruth(tuple(cases))


def test_every_class_has_every_flaw_with_place_and_size(folder: tuple[Path, DemoTruth]) -> None:
    home, truth = folder
    for kind, class_name in CLASSES.items():
        cases = [case for case in truth.root if case.rules == f"rules/{class_name}.yaml"]
        assert [case.outcome for case in cases] == ["OK"] * 2 + ["NG"] * len(FLAWS[kind])
        assert [defect.type for case in cases for defect in case.defects] == list(FLAWS[kind])
        assert set(FLAWS[kind]) <= set(load_rules(home / cases[0].rules).defects)
        for case in cases[2:]:
            points = read_point_cloud(home / case.source).points
            (defect,) = case.defects
            assert defect.point_mm is not None
            assert defect.size_mm is not None
            near = np.linalg.norm(points - defect.point_mm, axis=1).min()
            assert near < max(1.0, defect.size_mm)


def test_bench_reads_it(folder: tuple[Path, DemoTruth]) -> None:
    data = read_dataset(folder[0] / "scans")
    assert {item.category for item in data.items} == set(CLASSES.values())
    assert sum(item.split == "train" for item in data.items) == 8
    assert sum(item.anomalous is True for item in data.items) == sum(map(len, FLAWS.values()))


def test_one_set_is_written_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", str(tmp_path / "x"), "--scans", "--logic"])
    assert ended.value.code == 2
    assert not (tmp_path / "x").exists()
