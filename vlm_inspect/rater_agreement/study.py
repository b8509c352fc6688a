"""`study_agreement`: every comparison of one study."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from pydantic import BaseModel, ConfigDict

from vlm_inspect.rater_agreement.figures import Kappa, Rate, cohen, fleiss
from vlm_inspect.rater_agreement.ratings import Rating, Ratings, Truth, paired

TOOL = "the tool"
Grade = Literal["acceptable", "marginal", "unacceptable"]
_LIMITS: tuple[tuple[Grade, float, float, float], ...] = (
    ("acceptable", 0.90, 0.02, 0.05),
    ("marginal", 0.80, 0.05, 0.10),
)
"""Least share of right decisions, largest miss rate and largest false alarm rate (AIAG MSA, 4th edition, III C)."""


class _Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WithItself(_Result):
    """Whether a rater says of a part what it said of it before; of parts with several trials."""

    rater: str
    same: Rate


class Pair(_Result):
    """Two raters, over the parts that both judged."""

    one: str
    other: str
    same: Rate
    """A REVIEW of the tool agrees with nobody."""
    kappa: Kappa


class AgainstStandard(_Result):
    """One rater against what the parts are, or against what one person says that they are."""

    rater: str
    right: Rate
    """Of all parts; a REVIEW is not right."""
    missed: Rate
    """Anomalous parts called OK, of all anomalous ones."""
    false_alarms: Rate
    """Normal parts called NG, of all normal ones."""
    review: Rate
    """Parts left to people; of the tool only."""
    kappa: Kappa
    grade: Grade | None
    """By the limits of AIAG; None where the standard has no part of one kind."""


class Study(_Result):
    """Attribute agreement over the cases of a store."""

    parts: int
    """Parts that somebody judged."""
    people: tuple[str, ...]
    nameless: int
    """Judgements without a name, which count nowhere."""
    with_itself: tuple[WithItself, ...]
    between_people: tuple[Pair, ...]
    all_people: Rate
    """Parts that everybody judged, and alike; of two people or more."""
    fleiss: Kappa
    """Over the parts that everybody judged."""
    with_tool: tuple[AgainstStandard, ...]
    """The tool against each person: misses are parts that the person calls NG and the tool OK."""
    standard: str
    """Where the standard is from; empty: there is none."""
    against_standard: tuple[AgainstStandard, ...]
    """Each person, then the tool."""


def study_agreement(ratings: Ratings, truth: Truth | None = None, *, standard: str = "") -> Study:
    """Return all comparisons; those for which nobody judged have n = 0.

    Args:
        ratings: from `collect_ratings`.
        truth: what the parts truly are; None: nobody says.
        standard: where that is from.

    Raises:
        ConfigError: statsmodels is not installed.
    """
    names = ratings.names
    everybody = [[part.people[name][0] for name in names] for part in ratings.parts if set(part.people) >= set(names)]
    several = everybody if len(names) > 1 else []
    return Study(
        parts=sum(bool(part.people) for part in ratings.parts),
        people=names,
        nameless=ratings.nameless,
        with_itself=(*(_person_itself(ratings, name) for name in names), _tool_itself(ratings)),
        between_people=tuple(_pair(one, other, paired(ratings, one, other)) for one, other in combinations(names, 2)),
        all_people=Rate.of(sum(len(set(row)) == 1 for row in several), len(several)),
        fleiss=fleiss(several),
        with_tool=tuple(_against(TOOL, _tool_pairs(ratings, name)) for name in names),
        standard=standard if truth is not None else "",
        against_standard=() if truth is None else tuple(_all_against(ratings, truth, standard)),
    )


def _all_against(ratings: Ratings, truth: Truth, standard: str) -> list[AgainstStandard]:
    """Return each person but the one who is the standard, then the tool."""
    known = [(part, truth[index]) for index, part in enumerate(ratings.parts) if index in truth]
    found = []
    for name in (one for one in ratings.names if one != standard):
        said = [(part.first(name), true) for part, true in known]
        found.append(_against(name, [(one, true) for one, true in said if one is not None]))
    tool = [(part.first_tool, true) for part, true in known]
    return [*found, _against(TOOL, [(one, true) for one, true in tool if one is not None])]


def _person_itself(ratings: Ratings, name: str) -> WithItself:
    return _itself(name, [part.people[name] for part in ratings.parts if name in part.people])


def _tool_itself(ratings: Ratings) -> WithItself:
    """The tool with the same model and localizer: another one is another rater."""
    return _itself(TOOL, [outcomes for part in ratings.parts for outcomes in part.tool.values()])


def _itself(rater: str, trials: Sequence[Sequence[Rating]]) -> WithItself:
    repeated = [one for one in trials if len(one) > 1]
    return WithItself(rater=rater, same=Rate.of(sum(len(set(one)) == 1 for one in repeated), len(repeated)))


def _pair(one: str, other: str, pairs: Sequence[tuple[Rating, Rating]]) -> Pair:
    same = sum(first == second for first, second in pairs)
    return Pair(one=one, other=other, same=Rate.of(same, len(pairs)), kappa=cohen(pairs))


def _tool_pairs(ratings: Ratings, name: str) -> list[tuple[Rating, Rating]]:
    both = ((part.first_tool, part.first(name)) for part in ratings.parts)
    return [(tool, person) for tool, person in both if tool is not None and person is not None]


def _against(
    rater: str,
    pairs: Sequence[tuple[Rating, Rating]],
) -> AgainstStandard:
    """Compare what a rater said with what is true; kappa is over the parts that it decided."""
    anomalous = [said for said, true in pairs if true == "NG"]
    normal = [said for said, true in pairs if true == "OK"]
    right = Rate.of(sum(said == true for said, true in pairs), len(pairs))
    missed = Rate.of(anomalous.count("OK"), len(anomalous))
    false_alarms = Rate.of(normal.count("NG"), len(normal))
    return AgainstStandard(
        rater=rater,
        right=right,
        missed=missed,
        false_alarms=false_alarms,
        review=Rate.of(sum(said == "REVIEW" for said, _ in pairs), len(pairs)),
        kappa=cohen([pair for pair in pairs if pair[0] != "REVIEW"]),
        grade=_grade(right, missed, false_alarms),
    )


def _grade(right: Rate, missed: Rate, false_alarms: Rate) -> Grade | None:
    if right.rate is None or missed.rate is None or false_alarms.rate is None:
        return None
    for grade, least_right, most_missed, most_alarms in _LIMITS:
        if right.rate >= least_right and missed.rate <= most_missed and false_alarms.rate <= most_alarms:
            return grade
    return "unacceptable"
