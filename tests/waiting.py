"""How long tests wait for what another thread or process does: long, because a full machine is slow, and no longer."""

import time
from collections.abc import Callable

LONGEST_S = 240.0
"""What a full machine may need for what a free one does in a second or two."""


def until(holds: Callable[[], object], told: object = "it never came to hold") -> None:
    """Wait until it holds; an assertion that shows `told` fails where it does not within `LONGEST_S`."""
    end = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < end, told
        time.sleep(0.02)
