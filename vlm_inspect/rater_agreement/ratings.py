"""`collect_ratings`: from the cases of a store to what each person, and the tool, said of each part.

A part is told by its serial number, where it has one, else by the content of its file. Judgements of one person on one
case are one trial, of which the last counts: people correct themselves. Their judgements on several cases of a part are
several trials: the first is held against others, all of them against each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vlm_inspect.store import CaseLine, JudgedCase

Rating = str
"""OK or NG; of the tool also REVIEW."""


@dataclass
class PartRatings:
    """All that was said of one part, each in the order of time."""

    people: dict[str, list[Rating]] = field(default_factory=lambda: defaultdict(list))
    """Name -> one rating a trial."""
    tool: dict[str, list[Rating]] = field(default_factory=lambda: defaultdict(list))
    """Model and localizer -> one outcome a case."""
    first_tool: Rating | None = None
    """Outcome of the first case."""
    sha256: set[str] = field(default_factory=set)
    serial: str = ""
    sources: set[str] = field(default_factory=set)

    def first(self, name: str) -> Rating | None:
        """Return what a person said first; None: nothing."""
        trials = self.people.get(name)
        return trials[0] if trials else None


@dataclass(frozen=True)
class Ratings:
    """What was said of the parts of one class or several."""

    parts: Sequence[PartRatings]
    names: tuple[str, ...]
    """Of the people, as they wrote them first, sorted."""
    nameless: int = 0
    """Judgements without a name, which count nowhere."""


def collect_ratings(lines: Iterable[CaseLine], judged: Iterable[JudgedCase], *, only: Sequence[str] = ()) -> Ratings:
    """Return the ratings of all parts.

    Args:
        lines: the cases.
        judged: those that were judged, with every judgement.
        only: names of the people who count; none: all.
    """
    wanted = {_key(name) for name in only}
    judgements = {one.line.id: one for one in judged}
    parts: dict[tuple[str, str], PartRatings] = defaultdict(PartRatings)
    written: dict[str, str] = {}
    nameless = 0
    for line in sorted(lines, key=lambda one: (one.created_at, one.id)):
        part = parts[line.class_name, line.serial or line.input_sha256]
        part.sha256.add(line.input_sha256)
        part.serial = line.serial or ""
        part.sources.add(line.source)
        part.tool[f"{line.model}, {line.localizer}"].append(line.outcome)
        part.first_tool = part.first_tool or line.outcome
        last: dict[str, Rating] = {}
        for judgement in judgements[line.id].judgements if line.id in judgements else ():
            name = _key(judgement.by)
            if not name:
                nameless += 1
            elif not wanted or name in wanted:
                last[written.setdefault(name, judgement.by.strip())] = judgement.outcome
        for name, rating in last.items():
            part.people[name].append(rating)
    return Ratings(tuple(parts.values()), tuple(sorted(written.values(), key=str.casefold)), nameless)


def paired(ratings: Ratings, one: str, other: str) -> list[tuple[Rating, Rating]]:
    """Return what two people said first of each part that both judged."""
    both = ((part.first(one), part.first(other)) for part in ratings.parts)
    return [(first, second) for first, second in both if first is not None and second is not None]


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()


Truth = Mapping[int, Rating]
"""Index of a part in `Ratings.parts` -> what it truly is."""
