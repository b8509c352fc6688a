"""What an inspector learns of its class: once, without the part itself, by the localizers that work for the kind."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.digest import sha256_of
from converters.registry import read
from converters.sample import SampleKind
from converters.view import ViewBudget
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.composition import fit_class, localizers_for
from vlm_inspect.localization.localizer import PICTURES, FittedLocalizer, Localization
from vlm_inspect.localization.localizer_sum import LocalizerSum
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.references import Part, ReferenceSet, load_references

NOTHING_PLANTED = QualificationSettings(planted=0)


class Counting:
    """A localizer that notes what it is fitted to, and marks how many references that were."""

    name = "counting"

    def __init__(self, kinds: frozenset[SampleKind] = PICTURES) -> None:
        self.kinds = kinds
        self.fits: list[int] = []

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> FittedLocalizer:
        self.fits.append(len(references))
        return Fitted(len(references))


class Fitted:
    name = "counting"
    judged_by = "counting 1"

    def __init__(self, references: int) -> None:
        self.references = references

    def localize(self, part: Part) -> Localization:
        size = part.views[0].size_hw
        return Localization((AnomalyMap(0, np.zeros(size, np.float32), float(self.references), self.name),))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((40, 40, 3), 40 * i, np.uint8)).save(path)
    return paths


def test_the_second_part_learns_nothing(photos: Sequence[Path]) -> None:
    counting = Counting()
    inspector = Inspector(references=photos[:3], localizer=counting, qualification=NOTHING_PLANTED)
    scores = [inspector.examine(photos[3]).evidence.maps[0].score for _ in range(3)]
    assert scores == [3.0] * 3
    assert counting.fits == [3]


def test_a_part_that_is_a_reference_is_judged_by_the_others(photos: Sequence[Path]) -> None:
    counting = Counting()
    inspector = Inspector(references=photos[:3], localizer=counting, qualification=NOTHING_PLANTED)
    assert [inspector.examine(path).evidence.maps[0].score for path in photos] == [2.0, 2.0, 2.0, 3.0]
    references, _ = inspector.fit("image", without=sha256_of(photos[0]))
    assert sha256_of(photos[0]) not in references.sha256
    assert sorted(counting.fits) == [2, 2, 2, 2, 3]  # of fits without a reference the latest two are kept


def test_a_copy_of_a_reference_is_known_by_what_is_in_it(photos: Sequence[Path], tmp_path: Path) -> None:
    counting = Counting()
    inspector = Inspector(references=photos[:3], localizer=counting, qualification=NOTHING_PLANTED)
    copy = tmp_path / "copy.bmp"
    Image.open(photos[1]).save(copy)
    assert sha256_of(copy) != sha256_of(photos[1])
    found = inspector.examine(copy)
    assert found.evidence.maps[0].score == 2.0
    assert any("a copy of one" in note for note in found.inspection.notes)
    assert not any("a copy of one" in note for note in inspector.examine(photos[3]).inspection.notes)


def test_a_copy_of_a_reference_curve_is_known_in_another_format(tmp_path: Path) -> None:
    rows = [(0.01 * n, np.sin(n / 5) + seed * 0.01 * np.cos(n)) for seed in (0,) for n in range(200)]
    (tmp_path / "a.csv").write_text("time [s],force [N]\n" + "".join(f"{t:.2f},{v:.6f}\n" for t, v in rows))
    (tmp_path / "a.txt").write_text("time [s]\tforce [N]\n" + "".join(f"{t:.2f}\t{v:.6f}\n" for t, v in rows))
    references = load_references([tmp_path / "a.csv"], "series", ViewBudget())
    assert references.twin_of(read(tmp_path / "a.txt"), "0" * 64) == references.sha256[0]


def test_threads_share_one_fit(photos: Sequence[Path]) -> None:
    counting = Counting()
    inspector = Inspector(references=photos[:3], localizer=counting, qualification=NOTHING_PLANTED)
    threads = [threading.Thread(target=inspector.fit, args=("image",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.fits == [3]


@pytest.mark.parametrize(
    ("kind", "chosen", "names"),
    [
        ("image", True, ["counting"]),
        ("video", True, ["events", "counting"]),
        ("video", False, ["events"]),
        ("point_cloud", True, ["deviation", "counting"]),
        ("series", True, ["deviation"]),
        ("image", False, []),
        ("point_cloud", False, ["deviation"]),
        ("series", False, ["deviation"]),
    ],
)
def test_the_kind_says_what_judges_it(kind: SampleKind, chosen: bool, names: list[str]) -> None:
    counting = Counting() if chosen else None
    assert [one.name for one in localizers_for(kind, counting)] == names
    fitted = fit_class(kind, ReferenceSet(), counting)
    assert [one.name for one in fitted.members] == names
    assert fitted.localizer == ("counting" if "counting" in names else "none")


def test_a_sum_works_for_what_all_its_members_work_for() -> None:
    both = LocalizerSum([Counting(), Counting(frozenset({"image", "series"}))])
    assert both.kinds == {"image"}
    assert [one.name for one in localizers_for("video", both)] == ["events"]
