"""Parts made of a reference scan share the views that a planted defect does not change."""

from pathlib import Path

import numpy as np
import pytest

from converters.point_cloud import render_point_cloud
from converters.sample import PointCloud
from converters.view import ViewBudget
from tests.measurement.screw_parts import screw
from vlm_inspect.localization.scan_localizer import ScanLocalizer
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.planting.design import Planting
from vlm_inspect.qualification.stands import StandIns, set_up
from vlm_inspect.qualification.trial import run_trial
from vlm_inspect.references import ReferenceSet, present, set_stage

BUDGET = ViewBudget(scan_size=96)


@pytest.fixture(scope="module")
def references() -> ReferenceSet:
    scans = [PointCloud(Path(f"{seed}.ply"), screw(seed, n=6000)) for seed in range(2)]
    stage = set_stage(scans)
    # the scans lie in one frame already
    parts = tuple(present(scan, stage, BUDGET) for scan in scans)
    return ReferenceSet(parts, ("a", "b"), stage)


@pytest.mark.parametrize("ignore", [(), ((0.0, 0.0, 0.3, 0.3),)])
def test_views_of_sides_that_did_not_change_are_those_of_the_reference(references: ReferenceSet, ignore) -> None:
    stand = set_up(references, ANY_SUBJECT)[1]
    makes = StandIns(stand, references.stage, BUDGET, Subject(ignore=ignore))
    sound = makes.sound()
    part, made = makes.planted(Planting(1, "extra", 0.1, 1.0, 5))
    assert made.change is part.change is not None
    assert len(part.views) == len(sound.views)
    shared = [own.key for own, other in zip(part.views, sound.views, strict=True) if own is other]
    assert 0 < len(shared) < len(part.views)
    assert isinstance(part.sample, PointCloud)
    anew = {view.key: view for view in render_point_cloud(part.sample, BUDGET, part.frame)}
    for view in part.views:
        if not ignore or view.key in shared:
            assert np.mean(view.image != anew[view.key].image) < 0.002, view.key


def test_sides_that_show_little_of_a_change_keep_their_views(references: ReferenceSet) -> None:
    stand = set_up(references, ANY_SUBJECT)[0]
    makes = StandIns(stand, references.stage, BUDGET, ANY_SUBJECT)
    own = {view.key: view for view in stand.reference.views}
    for seed in range(4):
        part, _ = makes.planted(Planting(0, "extra", 0.15, 1.0, seed))
        anew = {view.key: view for view in render_point_cloud(part.sample, BUDGET, part.frame)}
        depths = [key for key in own if key.startswith("depth")]
        changed = {key: np.mean((anew[key].image != own[key].image).any(axis=2)) for key in depths}
        taken = [key for key in depths if any(view is own[key] for view in part.views)]
        assert max(changed[key] for key in taken) <= 0.3 * max(changed.values())
        assert max(changed, key=changed.get) not in taken


def test_a_trial_of_scans_finds_what_is_planted(references: ReferenceSet) -> None:
    fitted = ScanLocalizer().fit(references)
    trial = run_trial(references, [fitted], ANY_SUBJECT, BUDGET, count=8)
    assert trial is not None
    big = trial.planted.sizes > 0.06
    assert (trial.planted.rises[big].max(axis=1) > 0.2).all()
    assert (trial.planted.rises > -0.05).all()
