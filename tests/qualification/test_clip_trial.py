"""Enough is planted on clips for an OK that does not hang on the seed; a planted clip shows its reference's frames."""

import numpy as np
import pytest

from converters.view import ViewBudget
from tests.localization.clip_events.belts import belt, references_of
from vlm_inspect.localization.subject import ANY_SUBJECT
from vlm_inspect.planting.clips import kinds_of
from vlm_inspect.planting.design import STANDARD_SIZES, Planting, design
from vlm_inspect.qualification.stands import StandIns, set_up
from vlm_inspect.qualification.trial import PLANTED
from vlm_inspect.sensitivity.bounds import set_bounds
from vlm_inspect.sensitivity.normal_scores import normal_scores

ON_CLIPS = PLANTED["video"]
"""As users have it; tests plant fewer."""


@pytest.mark.parametrize("seed", range(6))
def test_where_every_planted_defect_is_found_normal_clips_set_the_bound_of_ok(seed: int) -> None:
    plan = design([kinds_of(None)] * 4, ON_CLIPS, matters=STANDARD_SIZES, seed=seed)
    matter = [one for one in plan if STANDARD_SIZES[0] <= one.size <= STANDARD_SIZES[1]]
    normal = normal_scores([-0.19, -0.37, -0.53, -0.41], prior_spread=0.2)
    bounds = set_bounds(normal, np.full(len(matter), 2.0))
    assert bounds.ok_below == bounds.usual_below < bounds.defects_above


def test_a_planted_clip_shows_the_frames_of_its_reference_and_a_sound_one_is_it() -> None:
    stand = set_up(references_of(belt(1, 60), belt(2, 60)), ANY_SUBJECT)[0]
    makes = StandIns(stand, references_of().stage, ViewBudget(max_frames=9), ANY_SUBJECT)
    assert makes.sound().views[0] is stand.reference.views[0]
    part, made = makes.planted(Planting(0, "contamination", 0.2, 1.0, seed=3))
    shown = [[cell.frame for cell in view.origin.cells] for view in (*part.views, *stand.reference.views)]  # type: ignore[attr-defined]
    assert shown[: len(part.views)] == shown[len(part.views) :]
    assert made.size > 0
    changed = [not np.array_equal(a.image, b.image) for a, b in zip(part.views, stand.reference.views, strict=True)]
    assert any(changed)
