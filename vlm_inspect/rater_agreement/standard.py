"""`read_standard`: what parts truly are, from a CSV; and `standard_of`, from what one person judged."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from vlm_inspect.errors import ConfigError
from vlm_inspect.rater_agreement.ratings import PartRatings, Rating, Ratings, Truth

_KEYS = ("serial", "sha256", "source")
_MOST_BYTES = 64 << 20
_WORDS = {"ok": "OK", "pass": "OK", "good": "OK", "normal": "OK", "0": "OK"}
_WORDS |= {"ng": "NG", "fail": "NG", "bad": "NG", "nok": "NG", "anomalous": "NG", "1": "NG"}


def read_standard(path: Path, ratings: Ratings) -> Truth:
    """Return what a file says of the parts.

    Args:
        path: a CSV with a column `outcome` (OK or NG) and one of `serial`, `sha256` and `source`.
        ratings: the parts.

    Raises:
        ConfigError: it cannot be read, contradicts itself, or names none of the parts.
    """
    told: dict[tuple[str, str], Rating] = {}
    for number, key, value, outcome in _rows(path):
        if told.setdefault((key, value), outcome) != outcome:
            raise ConfigError(f"{path}, line {number}: {value} is OK and NG; the standard says one thing of a part")
    found: dict[int, Rating] = {}
    for index, part in enumerate(ratings.parts):
        said = {told[name] for name in _names(part) if name in told}
        if len(said) > 1:
            raise ConfigError(f"{path}: it says OK and NG of the part {part.serial or min(part.sources)}")
        if said:
            found[index] = said.pop()
    if not found:
        raise ConfigError(f"{path} names none of the parts in the store; check the column serial, sha256 or source")
    return found


def standard_of(name: str, ratings: Ratings) -> tuple[str, Truth]:
    """Return what one person said first, as the standard, and how the person is written.

    Raises:
        ConfigError: nobody of this name judged.
    """
    known = next((one for one in ratings.names if one.casefold() == " ".join(name.split()).casefold()), None)
    if known is None:
        raise ConfigError(f"{name} judged no part; these did: {', '.join(ratings.names) or 'nobody'}")
    firsts = ((index, part.first(known)) for index, part in enumerate(ratings.parts))
    return known, {index: rating for index, rating in firsts if rating is not None}


def _names(part: PartRatings) -> Iterator[tuple[str, str]]:
    yield "serial", part.serial
    yield from (("sha256", digest) for digest in sorted(part.sha256))
    for source in sorted(part.sources):
        yield "source", source
        yield "source", Path(source).name


def _rows(path: Path) -> Iterator[tuple[int, str, str, Rating]]:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} is not a CSV; name a file with the columns outcome and serial, sha256 or source")
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        keys = [name for name in _KEYS if name in columns]
        if "outcome" not in columns or not keys:
            raise ConfigError(f"{path}, line 1: the columns are outcome, and one of serial, sha256 and source")
        for row in reader:
            outcome = _WORDS.get((row["outcome"] or "").strip().lower())
            if outcome is None:
                raise ConfigError(f"{path}, line {reader.line_num}, outcome: {row['outcome']!r} is neither OK nor NG")
            for key in keys:
                if value := (row[key] or "").strip():
                    yield reader.line_num, key, value, outcome
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is no CSV in UTF-8: {error}") from error
