"""`Material`: what the tools draw on."""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.image import ImageOrigin
from converters.registry import read
from converters.sample import Sample, SampleKind
from converters.view import BoxXyxyn, View
from vlm_inspect.citation import PERMILLE
from vlm_inspect.rules import RuleBook
from vlm_inspect.store.case import Case
from vlm_inspect.store.case_store import CaseStore
from vlm_inspect.tools.result import ToolError


@dataclass(eq=False)
class Material:
    """A case and all that can be looked up around it; files are read when a tool first needs them."""

    case: Case
    store: CaseStore
    rules: RuleBook
    """The rules that hold now; those of the case, until a correction is accepted."""

    @property
    def views(self) -> Sequence[View]:
        """The views of the part."""
        return self.case.views

    def view(self, number: int) -> View:
        """Return a view.

        Raises:
            ToolError: there is none of that number.
        """
        if not 0 <= number < len(self.views):
            raise ToolError(f"there is no view {number}; the views are 0 to {len(self.views) - 1}")
        return self.views[number]

    def box(self, view: int, box_permille: Sequence[int]) -> BoxXyxyn:
        """Return a box of a view as fractions.

        Raises:
            ToolError: there is no such view, or the box does not lie on it.
        """
        self.view(view)
        x0, y0, x1, y1 = box_permille
        if not (0 <= x0 < x1 <= PERMILLE and 0 <= y0 < y1 <= PERMILLE):
            raise ToolError(
                f"the box {list(box_permille)} does not lie on view {view}; a box is x0, y0, x1, y1 in per mille, "
                "0 to 1000, with x0 < x1 and y0 < y1"
            )
        return x0 / PERMILLE, y0 / PERMILLE, x1 / PERMILLE, y1 / PERMILLE

    @property
    def kind(self) -> SampleKind:
        """What was inspected."""
        origin = self.views[0].origin
        if isinstance(origin, ImageOrigin):
            return "image"
        kind = self.views[0].kind
        return "video" if kind == "frames" else "series" if kind == "plot" else "point_cloud"

    @cached_property
    def sample(self) -> Sample:
        """The part as it was inspected, at full resolution.

        Raises:
            ToolError: the file is gone or another one, and the case keeps no copy.
        """
        try:
            if self._unchanged(self.case.source):
                return read(self.case.source, as_kind=self.kind)
            return read(self._kept_input, as_kind=self.kind)
        except ConversionError as error:
            raise ToolError(str(error)) from error

    def _unchanged(self, path: Path) -> bool:
        return path.exists() and sha256_of(path) == self.case.inspection.provenance.input_sha256

    @cached_property
    def _kept_input(self) -> Path:
        if not self.case.input_names:
            raise ToolError(
                f"{self.case.source} is gone or has changed since, and the case keeps no copy of it; only its views "
                "can be looked at"
            )
        folder = Path(tempfile.mkdtemp(prefix="vlm-inspect-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return self.case.write_input(folder)

    @cached_property
    def references(self) -> tuple[tuple[View, ...], ...]:
        """Views of every reference; empty for one that the case does not keep."""
        return self.case.references


def around(point_permille: Sequence[int]) -> BoxXyxyn:
    """Return the smallest box around a point of a view."""
    x, y = (min(max(value, 0), PERMILLE) / PERMILLE for value in point_permille)
    half = 0.5 / PERMILLE
    return max(0.0, x - half), max(0.0, y - half), min(1.0, x + half), min(1.0, y + half)
