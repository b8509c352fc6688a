from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.view import ViewBudget
from tests.qualification.pictures import Difference, FittedDifference, read_plates, smooth, write_plates
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.localization.composition import fit_class
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.qualification import qualify as qualify_module
from vlm_inspect.qualification import trial as trial_module
from vlm_inspect.qualification.advice import advise, expected_ok, recommended_references
from vlm_inspect.qualification.class_decision import qualify_class
from vlm_inspect.qualification.qualify import pack_trial, qualify, unpack_trial
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.qualification.trial import run_trial
from vlm_inspect.references import ReferenceSet, load_references, present
from vlm_inspect.sensitivity.learning import ChannelPrior
from vlm_inspect.sensitivity.record import NO_SIZE, Detection
from vlm_inspect.sensitivity.smallest import parse_smallest_defect
from vlm_inspect.sensitivity.wording import tell_sensitivity

BUDGET = ViewBudget()
SETTINGS = QualificationSettings(planted=60)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))


def scored(references: ReferenceSet, sigma: float = 2.0):
    fitted = fit_class("image", references, Difference(sigma))
    members = fitted.scored
    assert members
    return fitted, members


def test_planted_defects_raise_the_score_over_that_of_their_own_reference(tmp_path: Path) -> None:
    references = read_plates(tmp_path, 4)
    _, members = scored(references)
    trial = run_trial(references, members, ANY_SUBJECT, BUDGET, count=40)
    assert trial is not None
    assert trial.level.shape == (4, 1)
    assert trial.planted.rises.shape == (40, 1)
    assert set(trial.planted.owners.tolist()) == {0, 1, 2, 3}
    assert float(np.median(trial.planted.rises)) > 0.5
    assert trial.planted.matter.sum() > 20


def test_large_photographs_are_judged_fewer_at_once_and_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    references = read_plates(tmp_path, 2)
    _, members = scored(references)
    usual = run_trial(references, members, ANY_SUBJECT, BUDGET, count=24)
    monkeypatch.setattr(trial_module, "_PIXELS_TOGETHER", 2 * 72 * 96)
    few = run_trial(references, members, ANY_SUBJECT, BUDGET, count=24)
    assert usual is not None
    assert few is not None
    assert np.array_equal(usual.planted.rises, few.planted.rises)


def test_a_trial_is_repeatable_and_survives_being_packed(tmp_path: Path) -> None:
    references = read_plates(tmp_path, 3)
    _, members = scored(references)
    one, two = (run_trial(references, members, ANY_SUBJECT, BUDGET, count=24) for _ in range(2))
    assert one is not None
    assert two is not None
    assert np.array_equal(one.planted.rises, two.planted.rises)
    back = unpack_trial(pack_trial(one), 1, 3)
    assert back is not None
    assert back.planted.kinds == one.planted.kinds
    assert np.array_equal(back.planted.rises, one.planted.rises)
    assert back.matters == one.matters
    with pytest.raises(ValueError, match="do not fit"):
        unpack_trial(pack_trial(one), 2, 3)


def test_a_class_tells_normal_parts_from_defective_ones(tmp_path: Path) -> None:
    references = read_plates(tmp_path, 6)
    fitted, _ = scored(references)
    qualified = qualify_class(fitted, references, ANY_SUBJECT, BUDGET, SETTINGS)
    assert qualified.standing_of is not None
    assert qualified.advice == ""

    def outcomes(paths):
        parts = [
            present(sample, references.stage, BUDGET) for sample in load_references(paths, "image", BUDGET).samples
        ]
        found = [qualified.members[0].localize(part).log_scores for part in parts]
        return [qualified.standing_of(scores).outcome for scores in found]

    normal = outcomes(write_plates(tmp_path, 30, first=100))
    assert normal.count("OK") > 10
    assert normal.count("NG") <= 2
    assert outcomes(write_plates(tmp_path, 1, first=200, odd=200)) == ["NG"]


def test_the_trial_is_remembered_under_the_content_of_the_references(tmp_path: Path, monkeypatch) -> None:
    references = read_plates(tmp_path, 3)
    _, members = scored(references)
    cache = ArrayCache(tmp_path / "kept")
    monkeypatch.setattr(qualify_module, "user_cache", lambda: cache)
    first = qualify(references, members, ANY_SUBJECT, BUDGET, SETTINGS)
    monkeypatch.setattr(qualify_module, "run_trial", None)  # would fail if it were called
    again = qualify(references, members, ANY_SUBJECT, BUDGET, SETTINGS)
    assert first is not None
    assert again is not None
    assert first.sensitivity == again.sensitivity
    with pytest.raises(TypeError):
        qualify(references, members, ANY_SUBJECT, BUDGET, QualificationSettings(planted=61))


def test_where_defects_cannot_be_seen_it_says_so_and_what_would_help(tmp_path: Path) -> None:
    references = read_plates(tmp_path, 4)
    _, members = scored(references, sigma=40.0)
    found = qualify(references, members, Subject(smallest_defect=parse_smallest_defect("2 %")), BUDGET, SETTINGS)
    assert found is not None
    assert not found.sensitivity.earns_ok
    said = advise(found)
    assert said is not None
    assert "these 4 references would miss" in said
    assert "of 10 planted defects" in said
    assert "--model" in said
    seen = advise(replace(found, sensitivity=found.sensitivity.model_copy(update={"missed": 0.0})))
    assert seen is not None
    assert "cannot tell surely enough what is normal" in seen, "nothing would be missed: that is not the reason"


def test_what_matters_is_what_the_rule_book_says(tmp_path: Path) -> None:
    references = read_plates(tmp_path, 4)
    _, members = scored(references)
    found = qualify(references, members, Subject(smallest_defect=parse_smallest_defect("20 %")), BUDGET, SETTINGS)
    assert found is not None
    assert found.sensitivity.matters_pct == pytest.approx((20, 40))
    assert found.sensitivity.earns_ok
    with pytest.raises(ReferenceSampleError, match="has no scale"):
        qualify(references, members, Subject(smallest_defect=parse_smallest_defect(1.0)), BUDGET, SETTINGS)


def test_more_references_let_more_normal_parts_be_ok(tmp_path: Path) -> None:
    references = read_plates(tmp_path, 4)
    _, members = scored(references)
    found = qualify(references, members, ANY_SUBJECT, BUDGET, QualificationSettings(planted=160))
    assert found is not None
    shares = [expected_ok(found, n) for n in (2, 4, 16)]
    assert shares == sorted(shares)
    assert recommended_references(found) is not None
    assert "would have held up 9 of 10 planted defects from" in tell_sensitivity(found.sensitivity)
    never = Detection(size_pct=None, size_mm=None, found=4, planted=7, reason="4 of 7 were found: too few")
    whole = never.model_copy(update={"reason": NO_SIZE})
    known = found.sensitivity.model_copy(update={"by_kind": {"dent": never, "wear": never, "shade": whole}})
    assert tell_sensitivity(known).endswith(" on; not sure of 9 in 10 at any planted size: dent or wear")
    for reason, said in (
        ("4 of 6 were found: too few to be sure", "held up 4 of 6 planted defects: too few to be sure"),
        ("4 of 6 were found, and 9 of 10 of no size", "held up 4 of 6 planted defects, and 9 of 10 of no size"),
        ("only 6 were planted", "held up 4 of 6 planted defects: only 6 were planted"),
        ("", "held up 4 of 6 planted defects"),
    ):
        told = {"found": 4, "planted": 6, "size_pct": None, "size_mm": None, "reason": reason}
        assert tell_sensitivity(found.sensitivity.model_copy(update=told)) == f"would have {said}"


def test_views_alone_cannot_be_planted_on(tmp_path: Path) -> None:
    references = ReferenceSet.of_views(read_plates(tmp_path, 3).views)
    fitted = fit_class("image", references, None)
    assert qualify_class(fitted, references, ANY_SUBJECT, BUDGET, SETTINGS).standing_of is None


class FromOne(FittedDifference):
    """A single reference: the next part is expected to score 2 in the log, copies of the reference score less."""

    identity, priors = "from one", (ChannelPrior("difference", 0.1, level_spread=0.2),)
    level = np.array([[2.0]])

    def score(self, parts, *, without=None):
        assert without is None
        return np.array([[np.log(max(1e-9, *(one.score for one in self.localize(part).maps)))] for part in parts])

    def weigh(self, centre, weights):
        return self


def test_with_one_reference_a_defect_has_to_rise_over_the_next_part(tmp_path: Path) -> None:
    references = read_plates(tmp_path, 1)
    member = FromOne([smooth(references.parts[0], 2.0)], 2.0)
    trial = run_trial(references, [member], ANY_SUBJECT, BUDGET, count=40)
    assert trial is not None
    assert set(trial.planted.owners.tolist()) == {0}
    highest = member.score([present(sample, references.stage, BUDGET) for sample in references.samples])[0, 0]
    assert highest < 2.0
    assert (trial.planted.rises < 3.6).all()  # a grey value of 255 at most, in the log, over 2
    assert (trial.planted.rises > 0).any()
