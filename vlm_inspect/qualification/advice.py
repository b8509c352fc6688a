"""What a qualification means, in words, and what would help."""

from dataclasses import replace

import numpy as np

from vlm_inspect.qualification.qualify import Qualification
from vlm_inspect.sensitivity.bounds import set_bounds
from vlm_inspect.sensitivity.normal_scores import PRIOR_DOF, NormalScores

_NUMBERS = (2, 4, 8, 12, 16, 24, 32, 48)
"""Numbers of references that are looked at."""
_ENOUGH = 0.7
"""Share of usual parts that shall come out OK before more references are no longer recommended."""


def expected_ok(qualification: Qualification, references: int) -> float:
    """Return the share of normal parts that would come out OK with that many references that differ as these do.

    What more references change of the level itself is left out, so it is a little low for more and high for fewer.
    """
    normal = project(qualification.decision.normal, references)
    responses = qualification.trial.planted.that_matter(qualification.responses)
    least = qualification.decision.prior_spread
    bounds = set_bounds(normal, *responses, least_spread=least)
    return normal_share(normal, bounds.ok_below) if bounds.earns_ok else 0.0


def normal_share(normal: NormalScores, log_score: float) -> float:
    """Return the share of normal parts that score at most this, the level taken as known."""
    from scipy.special import ndtr

    return float(ndtr((log_score - normal.mean) / normal.spread))


def project(normal: NormalScores, references: int) -> NormalScores:
    """Return the same normal scores, told from another number of references."""
    return replace(
        normal,
        n=references,
        dof=references - 1 + PRIOR_DOF,
        level_spread=0.0 if references > 1 else normal.level_spread,
    )


def recommended_references(qualification: Qualification) -> int | None:
    """Return the least number of references with which most normal parts would come out OK; None: no number does."""
    return next((n for n in _NUMBERS if expected_ok(qualification, n) >= _ENOUGH), None)


def advise(qualification: Qualification) -> str | None:
    """Return what is said before the first part where no OK can be earned; None where one can."""
    sensitivity = qualification.sensitivity
    if sensitivity.earns_ok:
        return None
    low, high = sensitivity.matters_pct
    of_ten = round(10 * sensitivity.missed)
    helps = recommended_references(qualification)
    more = f"give {helps} references, " if helps is not None and helps > sensitivity.references else ""
    these, sizes = _these(sensitivity.references), _sizes(low, high)
    why = f"would miss {of_ten} of 10 planted defects of {sizes}"
    if of_ten == 0:  # what keeps a part from OK is how little is known of normal ones
        why = f"would hold up planted defects of {sizes}, but cannot tell surely enough what is normal"
    return (
        f"No part can come out OK: {these} {why}. What helps: {more}take a closer picture, or ask a model with --model."
    )


def _sizes(low: float, high: float) -> str:
    return f"{low:.2g} % of the part" if np.isclose(low, high) else f"{low:.2g} to {high:.2g} % of the part"


def _these(references: int) -> str:
    return "this one reference" if references == 1 else f"these {references} references"
