"""Which sign parts whole numbers from fractions, and which only groups thousands: one answer for a table.

"1.200" is 1.2 in one country and 1200 in the next. What other cells show decides: "0,95", "12,5" and "1.005,4" can be
read in one way only. Where no cell shows it, a column of "900" and "1.200" is refused rather than guessed.
"""

import re
from collections.abc import Iterable, Sequence

_SIGNS = (".", ",")
_OTHER = {".": ",", ",": "."}
_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?"),
    ",": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"),
}
_SINGLE = re.compile(r"[+-]?(?P<whole>\d*)[.,](?P<fraction>\d*)(?P<exponent>[eE][+-]?\d+)?")
_SPACED = re.compile("(?<=\\d)[ '\u2019\u00a0\u2009\u202f](?=\\d{3}(?!\\d))")
UNTOLD = "?"


def shown_sign(cell: str) -> str:
    """Return the decimal sign that a cell shows: "." or ",", "" where it has none, `UNTOLD` for "1.200" or "12,345"."""
    dot, comma = cell.rfind("."), cell.rfind(",")
    if dot < 0 and comma < 0:
        return ""
    if dot >= 0 and comma >= 0:
        return "." if dot > comma else ","
    sign = "." if dot >= 0 else ","
    if cell.count(sign) > 1:
        return _OTHER[sign] if _GROUPED[sign].fullmatch(cell) else ""
    found = _SINGLE.fullmatch(cell)
    if found is None:
        return ""
    whole, fraction = found["whole"], found["fraction"]
    is_told = found["exponent"] or len(fraction) != 3 or whole.startswith("0") or not 1 <= len(whole) <= 3
    return sign if is_told else UNTOLD


def with_point(cell: str, decimal: str) -> str:
    """Return the cell as Python writes numbers; in a table of decimal commas "1.5" is none, and becomes no number.

    Thousands may be grouped by the other sign, a blank or an apostrophe.
    """
    if not cell.isascii() or " " in cell or "'" in cell:
        cell = _SPACED.sub("", cell)
    other = _OTHER[decimal]
    if other in cell:
        if not _GROUPED[other].fullmatch(cell):
            return cell if decimal == "." else cell.replace(".", "·")
        cell = cell.replace(other, "")
    return cell.replace(",", ".") if decimal == "," else cell


def sign_of_rows(rows: Iterable[Sequence[str]]) -> tuple[str, int | None]:
    """Return the decimal sign of a table, and the column (from 0) that could be read in two ways.

    The sign is "" where no cell needs one. A column is in doubt where nothing in the table tells the sign, and "1.200"
    stands below "900": fractions of a fixed length would stand in every row.
    """
    doubtful: dict[int, set[str]] = {}
    for row in rows:
        for column, cell in enumerate(row):
            sign = shown_sign(cell)
            if sign in _SIGNS:
                return sign, None
            if cell and cell[-1].isdigit():
                doubtful.setdefault(column, set()).add("," if "," in cell else "." if "." in cell else "")
    signs = {sign for found in doubtful.values() for sign in found if sign}
    for column, found in doubtful.items():
        if found - {""} and (len(found) > 1 or len(signs) > 1):
            return "", column
    return next(iter(signs), ""), None
