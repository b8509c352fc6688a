"""Names of the channels of a curve, as they are compared."""

import re


def plain_name(name: str) -> str:
    """Return a name as it is compared, whatever its case, blanks and underscores."""
    return " ".join(re.split(r"[\s_\-.]+", name.strip().casefold())).strip()
