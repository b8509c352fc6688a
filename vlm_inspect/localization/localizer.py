"""The seam for everything that makes an anomaly map out of views."""

from collections.abc import Sequence
from typing import Protocol

from converters.view import View
from vlm_inspect.evidence import AnomalyMap


class Localizer(Protocol):
    """Makes anomaly maps of the views of one sample, by comparing them with the views of normal ones."""

    @property
    def name(self) -> str:
        """Name in `--localizer` and in the record."""
        ...

    def localize(self, views: Sequence[View], references: Sequence[Sequence[View]]) -> list[AnomalyMap]:
        """Return one map for each view that this localizer can judge, in the order of the views.

        Args:
            views: the views of one sample.
            references: for every reference sample, its views; views compare where their keys are equal. May be empty.

        Raises:
            LocalizerError: the backbone or its weights cannot be used.
        """
        ...
