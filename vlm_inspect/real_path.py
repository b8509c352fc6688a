"""`real_path`: where a path leads, links followed."""

import os
from pathlib import Path


def real_path(path: str | Path) -> Path:
    """Return the absolute path with links followed.

    A link to itself stays as it is: `Path.resolve` would raise RuntimeError.
    """
    return Path(os.path.realpath(path))
