"""What a report shows of the tests whether a model listens: tables, and how often each change moved the answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.report.charts import Plot
from evaluation.report.figures import Figure

_ROW = 19.0
_LABELS = 150.0
_WIDTH = 470.0
_LONGEST = 24
"""Characters of a label; the table beside it has the whole one."""
_LABEL = {
    "again": "the same again",
    "removed": "without {rule}",
    "negated": "{rule} turned round",
    "class": "another class",
    "references": "references reversed",
    "part first": "part first",
}


@dataclass(frozen=True)
class Listening:
    """One test: of a class, or of the parts that `rule-test` was given."""

    name: str
    """Of the class; empty for the parts of a command."""
    document: Mapping[str, Any]
    figure: Figure


def listenings(told: Mapping[str, Any] | None) -> list[Listening]:
    """Return the tests that a document holds: that of `rule-test`, or `rule_test` of a run's results."""
    if not told:
        return []
    classes = told.get("classes", {"": told} if "rows" in told else {})
    return [Listening(name, one, moves_figure(one["rows"])) for name, one in classes.items()]


def warnings_of(told: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what a reader of those tests must know, each with its class where there are several."""
    if not told:
        return
    tests = listenings(told)
    for one in tests:
        yield from (f"{one.name}: {words}" if len(tests) > 1 else words for words in one.document.get("warnings", ()))
    yield from told.get("option_order", {}).get("warnings", ())
    yield from (f"Not tested whether it listens on {name}: {why}" for name, why in told.get("untested", {}).items())


def moves_figure(rows: list[Mapping[str, Any]]) -> Figure:
    """Return the share of answers that each change moved, with 95 % intervals."""
    title = "How often the answer moved"
    known = [row for row in rows if row["interval"]]
    if not known:
        return Figure(title, None, "n/a: nothing was answered both times")
    count = len(known)
    plot = Plot(
        "share of answers that each change moved",
        "share of parts whose answer moved",
        "",
        y_range=(-0.5, count - 0.5),
        y_ticks=[(count - 1 - at, _label(row)) for at, row in enumerate(known)],
        width=_WIDTH,
        height=60.0 + _ROW * count,
        left=_LABELS,
    )
    for at, row in enumerate(known):
        y, share = float(count - 1 - at), row["answer_moved"] / row["parts"]
        kind = "s1" if row["silent"] else "s0"
        plot.reach(y, row["interval"][0], row["interval"][1], f"whisker {kind}")
        plot.dot((share, y), kind, says=f"{row['words']}: {row['answer_moved']} of {row['parts']}")
    legend = (("s0", "moved"), ("s1", "a rule that never moved it")) if any(row["silent"] for row in known) else ()
    caption = "Rules should move it; asking the very same again, and other orders of the pictures, should not."
    return Figure(title, plot.render(), caption, legend)


def _label(row: Mapping[str, Any]) -> str:
    words = _LABEL[row["change"]].format(rule=row["rule"])
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
