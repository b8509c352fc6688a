"""What a report shows of tests whether a model follows its rules: how often each change moved the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.report.charts import Plot
from evaluation.report.figures import Figure
from evaluation.runs.results import PromptTests, RuleTestDocument, RuleTestRow

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
class RuleTestFigure:
    """One test: of a class, or of the parts that `rule-test` was given."""

    name: str
    """Of the class; empty for the parts of a command."""
    document: RuleTestDocument
    figure: Figure


def figures_of_tests(tests: PromptTests | None) -> list[RuleTestFigure]:
    """Return the tests of a run, each with its chart."""
    told = {} if tests is None else tests.classes
    return [RuleTestFigure(name, one, moves_figure(one.rows)) for name, one in told.items()]


def moves_figure(rows: Sequence[RuleTestRow]) -> Figure:
    """Return the share of answers that each change moved, with 95 % intervals."""
    title = "How often the answer moved"
    known = [row for row in rows if row.interval]
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
        y, share = float(count - 1 - at), row.answer_moved / row.parts
        kind = "s1" if row.silent else "s0"
        if row.interval is not None:
            plot.reach(y, *row.interval, f"whisker {kind}")
        plot.dot((share, y), kind, says=f"{row.words}: {row.answer_moved} of {row.parts}")
    legend = (("s0", "moved"), ("s1", "a rule that never moved it")) if any(row.silent for row in known) else ()
    caption = "Rules should move it; asking the very same again, and other orders of the pictures, should not."
    return Figure(title, plot.render(), caption, legend)


def _label(row: RuleTestRow) -> str:
    words = _LABEL[row.change].format(rule=row.rule)
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
