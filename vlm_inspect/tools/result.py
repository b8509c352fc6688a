"""What one call of a tool gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import InspectError

Picture = NDArray[np.uint8]
"""uint8 (H, W, 3) RGB."""


class ToolError(InspectError):
    """A tool cannot do what it was called for; the message is the one line that its caller gets."""


@dataclass(frozen=True, eq=False)
class ToolResult:
    """Text, and the pictures that it speaks of."""

    text: str
    pictures: tuple[Picture, ...] = ()
    failed: bool = False
