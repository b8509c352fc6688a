"""The parts of kept cases that a person judged: normal and anomalous ones to calibrate with."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from vlm_inspect.errors import StoreError
from vlm_inspect.store import CaseStore, Filters, JudgedCase


@dataclass(frozen=True)
class JudgedParts:
    """Files of judged parts; each part once, as it was judged last."""

    normal: tuple[Path, ...]
    anomalous: tuple[Path, ...]
    gone: tuple[str, ...]
    """Ids of cases whose part is neither where it was, nor kept, nor the same any more."""


def judged_parts(store: CaseStore, class_name: str, folder: Path) -> JudgedParts:
    """Return the parts of a class that somebody judged.

    Args:
        store: where the cases are.
        class_name: of the rule book.
        folder: an empty one; kept inputs are written into it, where a part is not at its place any more.

    Raises:
        StoreError: the store cannot be read, or a kept input is damaged.
    """
    parts: dict[str, list[Path]] = {"OK": [], "NG": []}
    gone = []
    for case in _latest(store.judged_cases(Filters(class_name=class_name))):
        path = _file_of(store, case, folder)
        if path is None:
            gone.append(case.line.id)
        else:
            parts[case.judgements[-1].outcome].append(path)
    return JudgedParts(tuple(parts["OK"]), tuple(parts["NG"]), tuple(gone))


def _latest(cases: tuple[JudgedCase, ...]) -> Iterator[JudgedCase]:
    """Yield one case a part, that of the last judgement: a part may have been inspected again and again."""
    known: set[str] = set()
    for case in sorted(cases, key=lambda one: (one.judgements[-1].created_at, one.line.id), reverse=True):
        if case.line.input_sha256 not in known:
            known.add(case.line.input_sha256)
            yield case


def _file_of(store: CaseStore, case: JudgedCase, folder: Path) -> Path | None:
    source = Path(case.line.source)
    try:
        if source.exists() and sha256_of(source) == case.line.input_sha256:
            return source
    except (OSError, ConversionError):
        pass  # it may be kept all the same
    kept = store.load(case.line.id)
    if not kept.input_names:
        return None
    place = folder / case.line.id
    try:
        place.mkdir()
    except OSError as error:
        raise StoreError(f"{place} cannot be written: {error.strerror or error}") from error
    return kept.write_input(place)
