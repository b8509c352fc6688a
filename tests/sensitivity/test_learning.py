import numpy as np
import pytest

from vlm_inspect.decision.bounds import between
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.sensitivity.bounds import OVERKILL, defects_bound
from vlm_inspect.sensitivity.learning import ChannelPrior, MoreNormals, learn_decision, with_normals
from vlm_inspect.sensitivity.normal_scores import NormalScores
from vlm_inspect.sensitivity.planted_scores import PlantedScores, respond
from vlm_inspect.sensitivity.record import record_sensitivity
from vlm_inspect.sensitivity.standing import standing_of
from vlm_inspect.sensitivity.whole_surface import WholeLay, combined, normal_wholes, odd_whole, usual_whole
from vlm_inspect.sensitivity.wording import tell_whole


def some_sensitivity():
    found = np.ones(8, bool)
    sizes = np.array([0.1] * 7 + [np.nan])
    return record_sensitivity(
        ["stain"] * 7 + ["uneven"],
        sizes,
        found,
        references=4,
        earns_ok=True,
        matters=(0.05, 0.2),
        missed=0.0,
        unit_per_share=None,
    )


PRIORS = [ChannelPrior("a", 0.09), ChannelPrior("b", 0.2)]


FAINT = np.concatenate([np.full(10, -np.inf), np.linspace(0.05, 0.4, 50)])
"""Responses to planted defects of which a sixth is not seen."""


def planted(rises, n=4, whole=0):
    """Rises by the channels, the last `whole` of them of changes of the whole surface."""
    m = len(rises)
    return PlantedScores(
        kinds=("stain",) * m,
        sizes=np.full(m, 0.05),
        matter=np.ones(m, bool),
        owners=np.arange(m) % n,
        rises=np.asarray(rises, float),
        whole=np.arange(m) >= m - whole,
    )


SURFACE = [ChannelPrior("a", 0.1), ChannelPrior("a", 0.1, whole=True)]
"""One channel that looks for odd places, one that looks at the surface as a whole."""


def spots_and_shades(shade=(0.02, 0.8), spot=0.8):
    """60 spots that raise the first channel alone, and 12 shades."""
    return planted([(spot, 0.01)] * 60 + [shade] * 12, whole=12)


def test_a_shade_that_no_place_shows_counts_by_the_whole_surface_and_a_spot_by_its_place():
    level = np.random.default_rng(3).normal(0, 0.1, (4, 2))
    decision, responses = learn_decision(level, spots_and_shades(), SURFACE)
    assert decision.weights.tolist() == [1.0, 0.0]
    assert decision.whole.heard
    assert (responses > decision.bounds.ok_below).all()
    of_channels = decision.combine(decision.level + np.array([[0.8, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    assert (of_channels[:2] > decision.bounds.ng_above).all()
    assert of_channels[2] <= decision.bounds.ok_below
    told = [
        tell_whole(standing_of(decision.level + np.array(over), decision, some_sensitivity()))
        for over in ([0.0, 0.8], [0.8, 0.0], [0.0, 0.0])
    ]
    assert "whole surface is odd" in told[0]
    assert told[1:] == ["", ""]
    odd = standing_of(decision.level + np.array([0.0, 0.3]), decision, some_sensitivity())
    assert odd.outcome == "REVIEW"
    assert between(0.5, Thresholds(), odd).endswith("; the whole surface is odd")


def test_a_layer_that_sees_another_structure_does_not_share_its_say_with_one_that_does_not():
    level = np.random.default_rng(3).normal(0, [0.1, 0.02, 0.02], (4, 3))
    priors = [*SURFACE, ChannelPrior("b", 0.1, whole=True)]
    seen_by_both = planted([(0.8, 0.01, 0.01)] * 60 + [(0.02, 0.4, 0.4)] * 12, whole=12)
    decision, _ = learn_decision(level, seen_by_both, priors)
    assert all(lay is not None for lay in decision.whole.lays)
    for over in ([0.0, 0.15, 0.0], [0.0, 0.0, 0.15]):  # a real change, seen by one of them alone
        assert standing_of(decision.level + np.array(over), decision, some_sensitivity()).outcome == "REVIEW"
    seen_by_one, _ = learn_decision(
        level, planted([(0.8, 0.01, 0.01)] * 60 + [(0.02, 0.4, 0.0)] * 12, whole=12), priors
    )
    assert [lay is not None for lay in seen_by_one.whole.lays] == [True, False]


def test_more_normal_parts_set_the_bounds_of_the_whole_anew():
    level = np.random.default_rng(3).normal(0, [0.1, 0.01], (4, 2))
    shades = spots_and_shades(shade=(0.02, 0.8))
    decision, _ = learn_decision(level, shades, SURFACE)
    rng = np.random.default_rng(4)
    scores = decision.level + rng.normal([0.0, 0.2], [0.1, 0.05], (60, 2))  # four references happened to lie low
    held_up = (decision.combine(scores) > decision.bounds.ok_below).mean()
    assert held_up > 0.9
    judged = decision.judged(scores)
    again, _, tried = with_normals(decision, level, shades, MoreNormals(judged, level[:0]))
    assert len(tried.kinds) == 72
    shares = [lay.share for one in (decision, again) for lay in one.whole.lays if lay is not None]
    assert shares == pytest.approx([4 / 16, 60 / 72])
    held_up = (again.combine(scores) > again.bounds.ok_below).mean()
    assert 0.1 < held_up < 0.4
    usual = usual_whole(normal_wholes(judged[:, 1], mutual=False))
    at_bound, beyond = (decision.level + np.array([-9.0, usual + more]) for more in (-1e-6, 1e-3))
    assert again.combine(at_bound) == pytest.approx(-9.0)
    assert again.combine(beyond) > again.bounds.ok_below
    standing = standing_of(beyond, decision, some_sensitivity())
    assert standing.log_score == pytest.approx(float(decision.combine(beyond)))
    relaid = standing.relaid(again.whole.lays)
    assert again.bounds.ok_below < relaid.log_score < again.bounds.ng_above
    assert relaid.by_whole
    assert relaid.relaid(None) == relaid
    assert not relaid.relaid([None]).by_whole
    assert relaid.relaid([None]).log_score == pytest.approx(-9.0)
    older = standing.model_copy(update={"places": None, "wholes": ()})
    assert older.relaid(again.whole.lays) == older


def test_a_change_of_the_whole_surface_has_no_size_and_stands_in_no_curve():
    told = some_sensitivity()
    assert told.by_kind["uneven"].size_pct is None
    assert "no size" in told.by_kind["uneven"].reason
    assert (told.planted, told.found) == (8, 8)
    assert [point.size_pct for point in told.curve] == pytest.approx([10.0] * len(told.curve))


def test_the_whole_surface_is_not_heard_where_places_hold_up_the_same_shades():
    level = np.random.default_rng(3).normal(0, 0.1, (4, 2))
    alone, _ = learn_decision(level[:1], planted([(0.02, 0.8)] * 12, n=1, whole=12), SURFACE)
    assert not alone.whole.heard  # of a single reference the levels are known too vaguely
    decision, _ = learn_decision(level, spots_and_shades(shade=(0.4, 0.4)), SURFACE)
    assert not decision.whole.heard
    assert decision.combine(decision.level + np.array([0.0, 5.0])) == 0.0


@pytest.mark.parametrize("far", [False, True])
def test_both_scores_have_bounds_of_their_own_and_share_the_overkill(far):
    level = np.random.default_rng(3).normal(0, 0.1, (4, 2))
    decision, _ = learn_decision(level, spots_and_shades() if far else spots_and_shades(spot=0.4), SURFACE)
    assert (decision.bounds.defects_above >= decision.bounds.ng_above) == far
    own = level[:, 1] - level[:, 1].mean()
    ends = usual_whole(normal_wholes(own, mutual=True), defects_far=far), odd_whole(own, OVERKILL / 2)
    around = [decision.level + np.array([-9.0, end + more]) for end in ends for more in (-1e-4, 1e-4)]
    outcomes = [standing_of(one, decision, some_sensitivity()).outcome for one in around]
    assert outcomes == ["OK", "REVIEW", "REVIEW", "NG"]
    alone, _ = learn_decision(level[:, :1], planted([(0.8,)] * 72, whole=12), SURFACE[:1])
    assert decision.bounds.ng_above > alone.bounds.ng_above


def test_parts_of_one_outcome_are_ranked_by_their_places_and_by_a_whole_that_is_unusual():
    lay = WholeLay(scale=2.0, shift=0.0, passing=0.2, ng_above=1.0, share=0.5)  # OK up to 0.1, NG above 0.5

    def stand(places, whole):
        return float(combined(np.array(places), np.array([whole]), [lay]))

    assert stand(0.1, 0.05) == stand(0.1, 0.099) == 0.1  # a whole that is usual says nothing
    assert 0.2 < stand(0.1, 0.15) < stand(0.15, 0.15) < stand(0.15, 0.3) < 1.0
    assert stand(0.7, 0.05) < stand(0.7, 0.4) < stand(0.95, 0.4) < stand(0.99, 0.49) < 1.0
    assert 1.0 < stand(0.1, 0.6) < stand(1.1, 0.6) < stand(1.2, 0.9)
    assert stand(-np.inf, 0.15) > 0.2
    assert stand(-np.inf, 0.05) == -np.inf
    assert combined(np.array(0.7), np.array([9.0]), [None]) == 0.7
    spots, wholes = np.meshgrid(np.linspace(-1, 2, 61), np.linspace(-1, 1, 61))
    joined = combined(spots, wholes[..., None], [lay])
    assert (np.diff(joined, axis=0) >= 0).all()
    assert (np.diff(joined, axis=1) >= 0).all()
    highest = np.maximum(spots, lay.laid(wholes))
    for bound in (lay.passing, lay.ng_above):  # the outcome is that of the higher one
        assert np.array_equal(joined > bound, highest > bound)


def test_surfaces_that_hardly_differ_as_a_whole_are_held_to_that():
    level = np.random.default_rng(3).normal(0, [0.1, 0.01], (4, 2))
    decision, _ = learn_decision(level, spots_and_shades(shade=(0.02, 0.2)), SURFACE)
    assert decision.whole.heard
    scores = decision.combine(decision.level + np.array([[0.0, 0.1], [0.0, 2.0]]))
    assert decision.bounds.ok_below < scores[0] <= decision.bounds.ng_above < scores[1]
    assert decision.combine(decision.level + np.array([0.1, 0.0])) <= decision.bounds.ok_below


def test_references_that_judged_one_another_say_less_of_the_whole_than_parts_that_did_not():
    own = np.random.default_rng(3).normal(0, 0.05, 16)
    lost = [
        usual_whole(normal_wholes(o, mutual=False)) - usual_whole(normal_wholes(o, mutual=True)) for o in (own[:4], own)
    ]
    assert lost[0] > 1.5 * lost[1] > 0


def test_shades_that_nobody_sees_lower_the_bound_of_an_ok():
    level = np.random.default_rng(3).normal(0, 0.1, (4, 2))
    seen, _ = learn_decision(level, spots_and_shades(), SURFACE)
    blind, responses = learn_decision(level, spots_and_shades(shade=(0.0, 0.0)), SURFACE)
    assert (responses[-12:] == -np.inf).all()
    assert blind.bounds.defects_above < seen.bounds.defects_above


def test_a_class_whose_defects_stand_out_decides():
    rng = np.random.default_rng(0)
    level = np.array([1.0, -2.0]) + rng.normal(0, [0.08, 0.15], (4, 2))
    decision, responses = learn_decision(level, planted(rng.uniform(0.3, 1.0, (80, 2))), PRIORS)
    new = np.array([1.0, -2.0]) + rng.normal(0, [0.08, 0.15], (500, 2))
    scores = decision.combine(new)
    assert 0.4 < (scores <= decision.bounds.ok_below).mean() < 0.98
    assert (scores > decision.bounds.ng_above).mean() < 0.05
    assert (decision.combine(new + 0.8) > decision.bounds.ng_above).mean() > 0.9
    assert (responses > decision.bounds.ok_below).mean() > 0.9


@pytest.mark.parametrize(("count", "outcome"), [(120, "OK"), (4, "REVIEW")])
def test_one_odd_reference_keeps_no_clean_part_from_ok_but_too_few_planted_defects_do(count, outcome):
    rng = np.random.default_rng(0)
    level = np.concatenate([rng.normal(0, [0.05, 0.08], (4, 2)), [[1.0, 1.2]]])  # one of five has a spot
    decision, _ = learn_decision(level, planted(rng.uniform(0.3, 1.5, (count, 2)), n=5), PRIORS)
    for clean in ([0.0, 0.0], [0.1, 0.1]):
        assert standing_of(np.array(clean), decision, some_sensitivity()).outcome == outcome


def test_a_class_whose_defects_do_not_rise_earns_no_ok():
    rng = np.random.default_rng(1)
    level = rng.normal(0, 0.1, (4, 2))
    decision, _ = learn_decision(level, planted(np.abs(rng.normal(0, 0.01, (80, 2)))), PRIORS)
    assert not decision.bounds.earns_ok


def test_one_reference_decides_with_the_width_of_the_prior():
    wide = [ChannelPrior("a", 0.09, level_spread=0.2), ChannelPrior("b", 0.2, level_spread=0.2)]
    rises = np.full((60, 2), 1.0)
    narrow, _ = learn_decision(np.zeros((1, 2)), planted(rises, 1), PRIORS)
    unsure, _ = learn_decision(np.zeros((1, 2)), planted(rises, 1), wide)
    assert unsure.bounds.ng_above > narrow.bounds.ng_above
    assert unsure.bounds.ok_below <= narrow.bounds.ok_below
    tolerances = [one.normal.lower_tolerance(0.9, 0.9) for one in (unsure, narrow)]
    assert tolerances[0] == tolerances[1]  # what the level may be off by is in D
    assert defects_bound(unsure.normal, FAINT, 0.1) < defects_bound(narrow.normal, FAINT, 0.1)


def test_the_probability_rises_from_normal_scores_to_planted_ones():
    rng = np.random.default_rng(2)
    decision, responses = learn_decision(rng.normal(0, 0.1, (4, 2)), planted(rng.uniform(0.5, 1, (80, 2))), PRIORS)
    odds = decision.odds
    assert odds.probability(decision.normal.mean) < 0.1
    assert odds.probability(float(np.median(responses))) > 0.9
    assert odds.probability(-np.inf) == 0.0
    assert odds.probability(odds.even) == pytest.approx(0.5)


def test_a_rise_on_a_reference_that_scores_high_counts_as_the_rise_alone():
    normal = NormalScores(mean=0.0, spread=0.1, dof=6, n=2)
    responses = respond(np.array([0.3, -0.3]), np.array([0.1, 0.1, 0.01]), np.array([0, 1, 0]), normal)
    assert responses == pytest.approx([0.1, -0.2, -np.inf])
