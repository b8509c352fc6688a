"""Fit and localize in one call, over views alone: what most tests of a method look at."""

from collections.abc import Sequence

from converters.view import View
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet


def localize(
    localizer: Localizer,
    views: Sequence[View],
    references: Sequence[Sequence[View]] = (),
    subject: Subject = ANY_SUBJECT,
) -> list[AnomalyMap]:
    """Return the maps of views after fitting to the views of references."""
    return list(localizer.fit(ReferenceSet.of_views(references), subject).localize(Part(None, tuple(views))).maps)
