import numpy as np

from vlm_inspect.planting.design import CONTRASTS, SIZES, STRUCTURE, UNEVEN, WHOLE_KINDS, WHOLE_SIZES, design


def test_every_reference_and_kind_gets_its_share():
    plan = design([("scratch", "stain", "hole")] * 4, 96, matters=(0.03, 0.15))
    assert len(plan) == 96
    pairs = [(one.reference, one.kind) for one in plan]
    assert {pairs.count(pair) for pair in set(pairs)} == {8}
    assert len(set(pairs)) == 12
    many = design([("scratch", "stain", "hole")] * 10, 24, matters=(0.03, 0.15))
    assert len({one.reference for one in many}) == 10  # also where there are fewer rounds of kinds than references


def test_a_kind_is_planted_only_where_it_can_be():
    plan = design([("scratch",), ("scratch", "burr")], 40, matters=(0.03, 0.15))
    assert {one.reference for one in plan if one.kind == "burr"} == {1}


def test_two_thirds_have_the_sizes_that_matter_and_the_rest_cover_the_range():
    sizes = np.array([one.size for one in design([("scratch",)], 90, matters=(0.03, 0.15))])
    assert ((sizes >= 0.03) & (sizes <= 0.15)).sum() >= 60
    assert sizes.min() < 1.3 * SIZES[0]
    assert sizes.max() > 0.75 * SIZES[1]


def test_one_in_ten_of_each_kind_changes_the_whole_surface_and_the_others_stay_what_they_are_without_it():
    plan = design([("scratch", UNEVEN, STRUCTURE)] * 4, 120, matters=(0.03, 0.15))
    assert [one for one in plan if one.kind == "scratch"] == design([("scratch",)] * 4, 96, matters=(0.03, 0.15))
    for kind in WHOLE_KINDS:
        own = [one for one in plan if one.kind == kind]
        assert [one.reference for one in own] == [0, 1, 2, 3] * 3
        assert all(WHOLE_SIZES[0] <= one.size <= WHOLE_SIZES[1] for one in own)
    assert len({one.seed for one in plan}) == 120


def test_contrasts_are_spread_evenly_by_logarithm():
    contrasts = np.log([one.contrast for one in design([("scratch",)], 60, matters=(0.03, 0.15))])
    low, high = np.log(CONTRASTS)
    counts, _ = np.histogram(contrasts, np.linspace(low, high, 5))
    assert counts.min() >= 12


def test_a_plan_is_repeatable():
    kinds = [("scratch", "hole")] * 2
    assert design(kinds, 20, matters=(0.05, 0.05), seed=1) == design(kinds, 20, matters=(0.05, 0.05), seed=1)
    assert design(kinds, 20, matters=(0.05, 0.05), seed=1) != design(kinds, 20, matters=(0.05, 0.05), seed=2)
