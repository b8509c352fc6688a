"""Parts made of a reference share the views that a planted defect does not change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.image import render_image
from converters.point_cloud import render_point_cloud
from converters.sample import PointCloud
from converters.view import ViewBudget
from tests.measurement.screw_parts import screw
from tests.qualification.pictures import write_plates
from vlm_inspect.localization.memory import ReferenceMemory
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.patch_memory.memory import PatchMemory
from vlm_inspect.localization.scan_localizer import ScanLocalizer
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.planting.design import Planting
from vlm_inspect.qualification.stands import StandIns, set_up
from vlm_inspect.qualification.trial import run_trial
from vlm_inspect.references import ReferenceSet, load_references, present, set_stage

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


TILED = ViewBudget(max_side=40)
"""Shows photographs of 72 x 96 whole and in six tiles."""


@pytest.mark.parametrize("ignore", [(), ((0.0, 0.0, 0.4, 0.4),)])
def test_tiles_without_a_change_are_those_of_the_sound_photograph(tmp_path: Path, ignore) -> None:
    plates = load_references(write_plates(tmp_path, 1), "image", TILED)
    stand = set_up(plates, Subject(ignore=ignore))[0]
    makes = StandIns(stand, plates.stage, TILED, Subject(ignore=ignore))
    sound = makes.sound()
    assert makes.share_views
    part, _ = makes.planted(Planting(0, "scratch", 0.15, 1.0, 5))
    shared = [own is other for own, other in zip(part.views, sound.views, strict=True)]
    assert not shared[0]
    assert 1 < shared.count(False) < len(shared)
    for own, anew in zip(part.views, render_image(part.sample, TILED), strict=True):
        assert (own.key, own.label, own.origin) == (anew.key, anew.label, anew.origin)
        assert ignore or np.array_equal(own.image, anew.image)
    everywhere, _ = makes.planted(Planting(0, "uneven", 0.9, 1.0, 5))
    assert any(own is not other for own, other in zip(everywhere.views[1:], sound.views[1:], strict=True))


def test_photographs_that_share_tiles_score_as_if_each_were_judged_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    plates = load_references(write_plates(tmp_path, 2), "image", TILED)
    fitted = ReferenceMemory(MemorySettings(eye="fast")).fit(plates)
    judged = []
    score = PatchMemory.score

    def counted(self, views, **options):
        judged.append(len(views))
        return score(self, views, **options)

    monkeypatch.setattr(PatchMemory, "score", counted)
    makes = StandIns(set_up(plates, ANY_SUBJECT)[0], plates.stage, TILED, ANY_SUBJECT)
    parts = [makes.sound(), *(makes.planted(Planting(0, "stain", 0.12, 1.0, seed))[0] for seed in range(2))]
    together = fitted.score(parts, without=0)
    again = fitted.score(parts[:2], without=0)
    with_sharing = sum(judged)
    judged.clear()
    alone = [fitted.score([replace(one, views=tuple(map(replace, one.views)))], without=0)[0] for one in parts]
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(again, together[:2], atol=1e-5)
    assert with_sharing < sum(judged)
