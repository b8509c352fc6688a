"""Names of the channels of a curve: which of them is which of its references."""

from collections import Counter
from collections.abc import Sequence

from vlm_inspect.measurement.channel_names import plain_name

_LISTED = 6


def channel_columns(names: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Return the column of each wanted channel: by name (of equal ones in order), whatever its case and blanks.

    Where one side has no names at all and both have as many, the order counts. None: a channel is missing.
    """
    if len(names) == len(wanted) and any(names) != any(wanted):
        return tuple(range(len(wanted)))
    for written in (str, plain_name):
        places = {key: k for k, key in enumerate(_numbered([written(one) for one in names]))}
        found = [places.get(key) for key in _numbered([written(one) for one in wanted])]
        if None not in found:
            return tuple(column for column in found if column is not None)
    return None


def same_names(names: Sequence[str], wanted: Sequence[str], columns: Sequence[int]) -> bool:
    """Return whether the channels in these columns have the wanted names."""
    return all(plain_name(names[column]) == plain_name(name) for column, name in zip(columns, wanted, strict=True))


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Tell equal names apart by their order."""
    seen: Counter[str] = Counter()
    keys = []
    for name in names:
        keys.append((name, seen[name]))
        seen[name] += 1
    return keys


def listed(names: Sequence[str]) -> str:
    """Return names in a row, of many the first."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
