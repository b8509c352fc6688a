"""Scans through the localizer: what one reference, several, a drawing, and a scan from one side allow to be decided."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.pose import ScanFrame
from converters.sample import Mesh, PointCloud
from tests.localization.scan_views import depth_views
from tests.measurement.screw_parts import LENGTH, cloud, screw
from tests.registration.test_identity import bracket
from vlm_inspect.demo.scan_files import grid_surface, scan_surface
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.gathering import gather
from vlm_inspect.localization.composition import FittedClass, fit_class
from vlm_inspect.localization.localizer import Localization, Localizer
from vlm_inspect.localization.scan_localizer import FittedScans, NominalScans, ScanLocalizer
from vlm_inspect.localization.subject import Subject, subject_of
from vlm_inspect.planting.scans import plant
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import Check, Rule, RuleBook

FRAME = ScanFrame(np.eye(4), 0.55 * LENGTH)


def part(scan: PointCloud) -> Part:
    return Part(scan, tuple(depth_views(scan, 128, FRAME)), FRAME)


def references(scans: Sequence[PointCloud]) -> ReferenceSet:
    return ReferenceSet(tuple(part(one) for one in scans), tuple(str(i) for i in range(len(scans))))


@pytest.fixture(scope="module")
def fitted() -> FittedScans:
    return ScanLocalizer().fit(references([cloud(screw(i, n=6000)) for i in range(3)]))


def test_references_score_as_a_fresh_part_does_and_a_dent_rises(fitted: FittedScans) -> None:
    assert fitted.level.shape == (3, 3)
    assert [one.network for one in fitted.priors] == ["deviation fine", "deviation coarse", "deviation pooled"]
    fresh = cloud(screw(20, n=6000))
    dented, _ = plant(fresh, "dent", 3.0, np.random.default_rng(0), depth_mm=0.5)
    sound, flawed = fitted.score([part(fresh), part(dented)])
    assert sound.max() - fitted.level.max() < np.log(2.5)
    assert flawed.max() > sound.max() + np.log(2.0)
    held = fitted.score([part(dented)], without=1)
    assert held.shape == (1, 3)
    assert held.max() > sound.max() + np.log(1.5)
    assert fitted.localize(part(fresh)).log_scores == pytest.approx(sound)


def test_one_channel_may_be_left_out_of_the_maps(fitted: FittedScans) -> None:
    centre = fitted.level.mean(axis=0)
    fine = fitted.weigh(centre, np.array([1.0, 0.0, 0.0]))
    fresh = part(cloud(screw(21, n=6000)))
    both, one = fitted.localize(fresh), fine.localize(fresh)
    assert one.log_scores == pytest.approx(both.log_scores)
    assert all((b.values <= a.values + 1e-6).all() for a, b in zip(both.maps, one.maps, strict=True))


def test_a_scan_from_one_side_is_never_ok(fitted: FittedScans) -> None:
    whole = screw(22, n=9000)
    found = fitted.localize(part(cloud(whole[whole[:, 0] > -0.2])))
    assert found.log_scores is None
    assert {one.tolerance for one in found.maps} == {None}
    share = re.search(r"a piece of the reference, about (\d+) % of its surface", found.mismatch)
    assert share is not None  # said once: no note repeats it
    assert int(share[1]) == pytest.approx(50, abs=6)


def drawing() -> PointCloud:
    """A tapered bar as a mesh, and points of it."""
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [4.0, 2.5]
    rows = [np.column_stack([corners * scale, np.full(4, z)]) for scale, z in ((0, 0), (1, 0), (0.8, 18), (0, 18))]
    surface = grid_surface(np.array(rows))
    points = scan_surface(surface, np.random.default_rng(0), count=20_000, noise_mm=0.0)
    return PointCloud(Path("drawing.stl"), points, mesh=Mesh(surface.vertices, surface.faces))


def test_with_one_drawing_the_stated_limit_decides() -> None:
    nominal = drawing()
    noisy = nominal.points[::2] + np.random.default_rng(1).normal(scale=0.01, size=(10_000, 3))
    scan = PointCloud(Path("scan.ply"), noisy)
    dented, _ = plant(scan, "dent", 3.0, np.random.default_rng(2), depth_mm=0.5)
    book = RuleBook.model_validate(
        {
            "class_name": "bar",
            "rules": [{"id": "form", "text": "as drawn", "check": {"measure": "max_deviation", "max": 0.2}}],
        }
    )
    subject = subject_of(book)
    assert subject.deviation_limit == 0.2
    own = ScanLocalizer().fit(references([nominal]), subject)
    assert isinstance(own, NominalScans)
    good, bad = own.localize(part(scan)), own.localize(part(dented))
    assert max(one.probability for one in good.maps) < 0.3
    assert max(one.probability for one in bad.maps) > 0.9
    assert max(float(one.values.max()) for one in bad.maps) == pytest.approx(0.5, abs=0.1)
    assert "allowed by the rule book: 0.2 mm" in good.notes[0]
    loose = ScanLocalizer().fit(references([nominal]), replace(subject, deviation_limit=np.inf))
    assert max(one.probability for one in loose.localize(part(scan)).maps) < 0.3
    assert isinstance(ScanLocalizer().fit(references([nominal]), Subject()), FittedScans)


def test_a_mirror_image_of_a_drawing_is_said() -> None:
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [4.0, 2.5]
    wrung = [
        [*(corner * scale + [0.6 * corner[1], 0.0]), z]
        for scale, z in ((0, 0), (1, 0), (0.8, 18), (0, 18))
        for corner in corners
    ]
    surface = grid_surface(np.array(wrung).reshape(4, 4, 3))
    nominal = PointCloud(
        Path("drawing.stl"),
        scan_surface(surface, np.random.default_rng(0), count=20_000, noise_mm=0.0),
        mesh=Mesh(surface.vertices, surface.faces),
    )
    own = ScanLocalizer().fit(references([nominal]), Subject(deviation_limit=0.1))
    noise = np.random.default_rng(1).normal(scale=0.01, size=(10_000, 3))
    sound = nominal.points[::2] + noise
    assert own.localize(part(cloud(sound))).mismatch == ""
    mirrored = own.localize(part(cloud(sound * [-1.0, 1.0, 1.0])))
    assert (mirrored.shows, mirrored.maps) == ("mirror image", ())


def test_pictures_play_no_part_beside_a_drawing() -> None:
    class Chosen(ScanLocalizer):
        name = "chosen"

    chosen: Localizer = Chosen()
    own = fit_class("point_cloud", references([drawing()]), chosen, Subject(deviation_limit=0.2))
    assert (own.localizer, len(own.members)) == ("none", 1)
    assert len(fit_class("point_cloud", references([drawing()]), chosen, Subject()).members) == 2


@pytest.mark.parametrize(("factor", "said"), [(1 / 25.4, "seems to be in inches"), (1e-3, "seems to be in metres")])
def test_a_scan_in_another_unit_is_said_first(fitted: FittedScans, factor: float, said: str) -> None:
    fresh = screw(23, n=6000)
    assert fitted.localize(part(cloud(fresh))).mismatch == ""
    found = fitted.localize(part(cloud(fresh * factor)))
    assert said in found.mismatch
    assert (found.maps, found.notes, found.surface, found.shows) == ((), (), None, "other unit")


def test_nothing_is_measured_of_a_scan_in_another_unit(fitted: FittedScans) -> None:
    book = RuleBook(
        class_name="screw", rules=(Rule(id="length", text="20 mm long.", check=Check(measure="length", min=19.7)),)
    )
    known = references([cloud(screw(i, n=6000)) for i in range(3)])
    _, evidence = gather(part(cloud(screw(23, n=6000) / 25.4)), known, book, FittedClass((fitted,)))
    (told,) = evidence.measurements
    assert (told.value, told.passed) == (None, None)
    assert "another unit" in told.reason
    assert (evidence.maps, evidence.regions, evidence.status) == ((), (), "unknown")


def test_a_mirrored_scan_is_said_and_does_not_deviate_but_is_as_long_as_the_part() -> None:
    rules = [
        Rule(id=name, text=f"{name} as drawn.", check=Check(measure=name, max=31.0))
        for name in ("length", "rms_deviation")
    ]
    known = references([cloud(bracket(0)), cloud(bracket(1))])
    mirrored = part(cloud(bracket(2) * [1.0, -1.0, 1.0]))
    own = ScanLocalizer().fit(known)
    _, evidence = gather(mirrored, known, RuleBook(class_name="bracket", rules=tuple(rules)), FittedClass((own,)))
    assert "mirror image" in evidence.mismatch
    assert (evidence.maps, evidence.regions, evidence.surface) == ((), (), None)
    length, deviation = evidence.measurements
    assert (length.passed, deviation.passed) == (True, None)
    assert deviation.reason == "the scan is a mirror image of its references: they cannot be compared"


def test_a_thread_that_runs_the_other_way_is_seen(fitted: FittedScans) -> None:
    sound, mirrored = (part(cloud(screw(23, n=12_000) * [1.0, sign, 1.0])) for sign in (1.0, -1.0))
    assert fitted.localize(sound).shows == "part"
    found = fitted.localize(mirrored)
    assert (found.shows, found.maps) == ("mirror image", ())


def test_a_piece_of_the_part_is_told_with_one_share(fitted: FittedScans) -> None:
    fresh = screw(23, n=6000)
    found = fitted.localize(part(cloud(fresh[fresh[:, 2] < np.quantile(fresh[:, 2], 0.4)])))
    told = [*filter(None, [found.mismatch]), *found.notes]
    assert len([one for one in told if " % of " in one]) == 1, told


def test_a_scan_without_any_noise_is_judged_as_well() -> None:
    plate = [cloud(np.c_[grid_plate(), 0.01 * np.random.default_rng(i).normal(size=2500)]) for i in range(2)]
    perfect = part(cloud(np.c_[grid_plate(), np.zeros(2500)]))
    found = ScanLocalizer().fit(references(plate)).localize(perfect)
    assert np.isfinite([one.score for one in found.maps]).all()


def grid_plate() -> np.ndarray:
    """(2500, 2), a grid of 50 x 50."""
    return np.stack(np.meshgrid(np.arange(50.0), np.arange(50.0)), axis=-1).reshape(-1, 2)


def test_of_several_parts_nothing_counts_and_of_a_piece_no_check_of_the_whole(fitted: FittedScans) -> None:
    rules = [
        Rule(id=name, text=f"{name} as drawn.", check=Check(measure=name, max=40.0))
        for name in ("length", "point_spacing")
    ]
    book = RuleBook(class_name="screw", rules=tuple(rules))
    known = references([cloud(screw(i, n=6000)) for i in range(3)])
    whole = screw(24, n=6000)
    piece = whole[(whole[:, 0] > 0.2) & (whole[:, 2] > np.median(whole[:, 2]))]
    two = np.concatenate([screw(seed, n=2000) + np.array([0.0, 30.0 * seed, 0.0]) for seed in (0, 1)])

    class Pictures:
        """Finds every picture unlike those of the references, as they are of a piece."""

        name = "pictures"

        def localize(self, part: Part) -> Localization:
            return Localization((AnomalyMap(0, np.ones((128, 128), np.float32), 9.0, self.name),))

    both = FittedClass((fitted, Pictures()))
    _, of_piece = gather(part(cloud(piece)), known, book, both)
    _, of_two = gather(part(cloud(two)), known, book, both)
    no_flank = whole[~((whole[:, 0] > 1.0) & (whole[:, 2] > 3.0) & (whole[:, 2] < 15.0))]
    _, of_most = gather(part(cloud(no_flank)), known, book, both)
    assert (of_most.mismatch, {one.source for one in of_most.maps}) == ("", {"deviation"})
    assert [one.passed for one in of_most.measurements] == [True, True]
    assert "a piece of the reference" in of_piece.mismatch
    assert {one.source for one in of_piece.maps} == {"deviation"}
    assert [one.passed for one in of_piece.measurements] == [None, True]
    assert "one end of it was not scanned: scan all of it" in of_piece.measurements[0].reason
    assert "2 separate parts" in of_two.mismatch
    assert [one.passed for one in of_two.measurements] == [None, None]
    assert of_two.measurements[1].reason == "the scan shows several parts: give one scan for each"
    assert of_two.maps == ()
