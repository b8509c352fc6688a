from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.view import ViewBudget
from tests.qualification.pictures import Difference, read_plates, write_plates
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.localization.composition import fit_class
from vlm_inspect.localization.subject import ANY_SUBJECT
from vlm_inspect.qualification import more_normals
from vlm_inspect.qualification.more_normals import plant_on_normals, with_more_normals
from vlm_inspect.qualification.qualify import qualify
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.references import load_references

BUDGET = ViewBudget()
SETTINGS = QualificationSettings(planted=60)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ArrayCache:
    own = ArrayCache(tmp_path / "cache")
    monkeypatch.setattr("vlm_inspect.qualification.qualify.user_cache", lambda: own)
    monkeypatch.setattr(more_normals, "user_cache", lambda: own)
    return own


def test_more_normal_parts_are_planted_on_and_draw_the_bounds_anew(tmp_path: Path, cache, monkeypatch) -> None:
    references = read_plates(tmp_path, 3)
    members = fit_class("image", references, Difference()).scored
    assert members
    found = qualify(references, members, ANY_SUBJECT, BUDGET, SETTINGS)
    assert found is not None
    paths = write_plates(tmp_path, 35, first=50)
    said: list[str] = []
    tried = plant_on_normals(paths, references, members, ANY_SUBJECT, BUDGET, SETTINGS, found.trial, said.append)
    assert tried is not None
    assert tried.level.shape == (30, 1)  # of 35 parts thirty are planted on
    assert tried.planted.rises.shape == (60, 1)
    assert set(tried.planted.owners.tolist()) == set(range(30))
    assert "planted on normal parts" in said[-1]
    parts = load_references(paths, "image", BUDGET).parts
    scores = members[0].score(parts)
    assert set(tried.level.ravel().round(9)) < set(scores.ravel().round(9))  # nothing is left out to judge them
    judged = found.decision.judged(scores)
    again = with_more_normals(found, judged, tried, settings=SETTINGS)
    assert again.decision.normal.mean == pytest.approx(float(judged[:, 0].mean()))
    assert again.decision.normal.n == 35
    assert len(again.responses) == again.sensitivity.planted == 120
    assert again.sensitivity.references == 3
    alone = with_more_normals(found, judged, None, settings=SETTINGS)
    assert alone.sensitivity.planted == 60
    worse = with_more_normals(found, judged, tried, anomalous=judged[:20], settings=SETTINGS)
    assert worse.decision.bounds.defects_above < again.decision.bounds.defects_above

    monkeypatch.setattr(more_normals, "try_on_normals", None)  # would fail if it were called
    kept = plant_on_normals(paths[::-1], references, members, ANY_SUBJECT, BUDGET, SETTINGS, found.trial)
    assert kept is not None
    assert np.array_equal(kept.planted.rises, tried.planted.rises)


def test_only_photographs_are_planted_on_where_defects_are_wanted(tmp_path: Path, cache) -> None:
    references = read_plates(tmp_path, 3)
    members = fit_class("image", references, Difference()).scored
    assert members
    found = qualify(references, members, ANY_SUBJECT, BUDGET, SETTINGS)
    assert found is not None
    paths = write_plates(tmp_path, 3, first=50)
    views = replace(references, parts=tuple(replace(part, sample=None) for part in references.parts))
    for given, settings in ((references, QualificationSettings(planted=0)), (views, SETTINGS)):
        assert plant_on_normals(paths, given, members, ANY_SUBJECT, BUDGET, settings, found.trial) is None
