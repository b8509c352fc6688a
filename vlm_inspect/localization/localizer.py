"""The seam for everything that makes an anomaly map out of views."""

from collections.abc import Sequence
from typing import Protocol

from converters.view import View
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject


class Localizer(Protocol):
    """Makes anomaly maps of the views of one sample, from the views of normal ones, from words, or from both."""

    @property
    def name(self) -> str:
        """Name in the record: that in `--localizer`, or of the weights that it runs on."""
        ...

    def localize(
        self, views: Sequence[View], references: Sequence[Sequence[View]], subject: Subject = ANY_SUBJECT
    ) -> list[AnomalyMap]:
        """Return one map for each view that this localizer can judge, in the order of the views.

        Args:
            views: the views of one sample.
            references: for every reference sample, its views; views compare where their keys are equal. May be empty.
            subject: what the part is called, and what may be wrong with it.

        Raises:
            LocalizerError: the backbone, its weights or a word cannot be used.
        """
        ...
