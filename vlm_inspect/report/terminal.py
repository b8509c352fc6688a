"""One inspection on a terminal: outcome, answer, rules, defects; reads the same without colour, at 80 columns.

Text of models, rules and files is shown as it is: never read as rich markup, and free of terminal escapes.
"""

from typing import TYPE_CHECKING

from vlm_inspect.inspection import DefectOutcome, Inspection
from vlm_inspect.report.said_once import SaidOnce
from vlm_inspect.report.timeline import hypothesis_line, step_line
from vlm_inspect.report.wording import (
    OUTCOME_MEANING,
    SOURCE_WORDS,
    STATUS_WORDS,
    measured_words,
    origin_words,
    part_words,
    place_words,
    rule_reason,
    score_words,
)
from vlm_inspect.safe_text import plain, plain_line
from vlm_inspect.sensitivity.wording import tell_sensitivity
from vlm_inspect.significant_digits import probability_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_OUTCOME_STYLE = {"OK": "bold white on green", "NG": "bold white on red", "REVIEW": "bold black on yellow"}
_STATUS_STYLE = {"pass": "green", "fail": "bold red", "cannot_tell": "yellow", "not_checked": "dim"}


def print_inspection(inspection: Inspection, console: "Console") -> None:
    """Print one inspection."""
    _print_outcome(inspection, console)
    if inspection.sensitivity is not None and inspection.sensitivity.earns_ok:
        _print_text(tell_sensitivity(inspection.sensitivity).capitalize(), console, style="dim")
    said = SaidOnce()
    _print_list("Why a person must look", inspection.review_reasons, said, console)
    if answer := said.rest(plain(inspection.answer)):
        console.print()
        _print_text(answer, console)
    if inspection.defects:
        _print_heading("Defects", console)
    for number, defect in enumerate(inspection.defects, start=1):
        _print_defect(number, defect, inspection, said, console)
    if inspection.rules:
        _print_heading("Rules", console)
        console.print(_rule_table(inspection, said))
    if reasoning := said.rest(plain(inspection.reasoning)):
        _print_heading("Reasoning", console)
        _print_text(reasoning, console)
    if any(step.window is not None for step in inspection.steps):
        _print_list("Windows", tuple(step_line(step) for step in inspection.steps), said, console)
    elif any(step.phase not in ("judge", "look_again") for step in inspection.steps):
        _print_list("Steps", tuple(step_line(step) for step in inspection.steps), said, console)
        _print_list("Hypotheses", tuple(hypothesis_line(one) for one in inspection.hypotheses), said, console)
    _print_list("Notes", inspection.notes, said, console)
    console.print()
    _print_text(origin_words(inspection), console, style="dim")


def _print_outcome(inspection: Inspection, console: "Console") -> None:
    from rich.text import Text

    line = Text(f" {inspection.outcome} ", style=_OUTCOME_STYLE[inspection.outcome])
    line.append(f"  {score_words(inspection)}", style="bold")
    line.append(f": {OUTCOME_MEANING[inspection.outcome]}", style="default not bold")
    console.print()
    console.print(line)
    _print_text(part_words(inspection), console, style="dim")


def _rule_table(inspection: Inspection, said: SaidOnce) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", collapse_padding=True)
    table.add_column("", width=11)
    table.add_column("rule", max_width=24, overflow="fold")
    table.add_column("severity", width=8)
    table.add_column("measured", max_width=14, overflow="fold")
    table.add_column("reason", min_width=20, overflow="fold")
    for rule in inspection.rules:
        row = (
            STATUS_WORDS[rule.status],
            plain_line(rule.id),
            rule.severity,
            measured_words(rule),
            rule_reason(rule, inspection.rules, said),
        )
        _add_row(table, row, first_style=_STATUS_STYLE[rule.status])
    return table


def _print_defect(
    number: int, defect: DefectOutcome, inspection: Inspection, said: SaidOnce, console: "Console"
) -> None:
    """Print one defect: what and how sure on the first line, where below it, then its description."""
    from rich.padding import Padding
    from rich.text import Text

    line = Text(f"{number}  {plain_line(defect.type)}", style="bold")
    score = probability_words(defect.score)
    line.append(f"  {defect.severity}, {score}, {SOURCE_WORDS[defect.source]}", style="not bold")
    console.print(line)
    for words in (place_words(defect, inspection.views), said.rest(plain_line(defect.description))):
        if words:
            console.print(Padding(Text(words, overflow="fold"), (0, 0, 0, 3), expand=False))


def _add_row(table: "Table", cells: tuple[str, ...], *, first_style: str) -> None:
    from rich.text import Text

    first, *rest = cells
    table.add_row(Text(first, style=first_style), *(Text(cell) for cell in rest))


def _print_list(title: str, lines: tuple[str, ...], said: SaidOnce, console: "Console") -> None:
    new = [line for line in map(plain_line, lines) if said.is_new(line)]
    if new:
        _print_heading(title, console)
    for line in new:
        _print_text(f"- {line}", console)


def _print_heading(title: str, console: "Console") -> None:
    from rich.text import Text

    console.print()
    console.print(Text(title, style="bold"))


def _print_text(text: str, console: "Console", *, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(text, style=style, overflow="fold"))
