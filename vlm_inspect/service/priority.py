"""Threads that judge give way to the one that answers."""

import os
import sys
import threading
from contextlib import suppress

LOWER = 5
"""By how much the priority is lowered (nice)."""


def give_way() -> None:
    """Lower the priority of this thread, and so of those that its libraries start from now on (Linux; else nothing).

    Networks fill every core that they find: a refusal, or a page, would stand in line behind them.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with suppress(OSError):  # it may be as low as it can be
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + LOWER)
