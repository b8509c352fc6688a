"""Secrets from the environment, or from files that it names: what containers and service managers hand over."""

import os
from pathlib import Path

from vlm_inspect.errors import ConfigError

FILE = "_FILE"
"""NAME_FILE names a file that holds what NAME would."""
_MOST_BYTES = 1 << 16


def secret_value(name: str) -> str | None:
    """Return what the variable NAME holds, or the text of the file that NAME_FILE names, its last line end apart.

    Raises:
        ConfigError: both are set, or the file cannot be read or is empty; what is in it is never told.
    """
    value, path = os.environ.get(name), os.environ.get(name + FILE)
    if not path:
        return value
    if value:
        raise ConfigError(f"{name} and {name + FILE} are both set; leave one out")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigError(f"{path}, which {name + FILE} names, cannot be read: {reason}") from error
    if not text or len(content) > _MOST_BYTES:
        raise ConfigError(f"{path}, which {name + FILE} names, holds no secret: it is empty or longer than 64 KB")
    return text
