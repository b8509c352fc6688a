"""Whether two photographs show one kind of part: each judged by the other alone.

Two references score alike by each other, whatever they show, so their spread says nothing. But what a single reference
lets expect of the next normal part is known, with its error on classes that it was not learned from
(`localization/patch_memory/levels.py`).
"""

import numpy as np

from vlm_inspect.localization.localizer import Localizer, ScoredLocalizer, is_scored
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import Part, ReferenceSet


def how_far_apart(references: ReferenceSet, localizer: Localizer, subject: Subject) -> float | None:
    """Return by how many standard errors one of two is less like the other than the next normal part would be.

    Args:
        references: two photographs, as they are judged.
        localizer: what judges them.
        subject: what the part is called.

    Returns:
        The greater of the two directions: a plain part has its like on a richer one, but not the other way round. None
        where the localizer does not tell.

    Raises:
        LocalizerError: the localizer or its weights cannot be used.
    """
    found = []
    for part, digest in zip(references.parts, references.sha256, strict=True):
        fitted = localizer.fit(references.without(digest), subject)
        found.append(_excess(fitted, part) if is_scored(fitted) and fitted.priors else np.nan)
    most = float(np.max(found))
    return most if np.isfinite(most) else None


def _excess(fitted: ScoredLocalizer, part: Part) -> float:
    """Return how far a part scores over what is expected of it, in standard errors: the mean over the channels, those
    of the surface as a whole among them."""
    errors = np.array([np.hypot(prior.spread, prior.level_spread) for prior in fitted.priors])
    return float(np.mean(fitted.score([part])[0] / errors))
