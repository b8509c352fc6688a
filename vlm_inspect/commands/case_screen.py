"""Cases as a terminal shows them: a list, the head of one, what people said and judged of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from vlm_inspect.store import Case, CaseLine, Correction, Judgement, Turn

_PIPED_WIDTH = 200
_STYLES = {"OK": "green", "NG": "bold red", "REVIEW": "yellow"}


def open_console() -> "Console":
    """Return the console that results go to."""
    from rich.console import Console

    return Console(highlight=False)


def print_lines(lines: "Sequence[CaseLine]") -> None:
    """Print a list of cases, a line each where stdout is no terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from vlm_inspect.safe_text import plain_line
    from vlm_inspect.significant_digits import probability_words

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", collapse_padding=True)
    table.add_column("id", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("class", max_width=20, overflow="fold")
    table.add_column("part", overflow="fold")
    judged = any(line.judged for line in lines)
    if judged:
        table.add_column("judged", overflow="fold")
    talked = any(line.turns for line in lines)
    if talked:
        table.add_column("turns", justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.id,
            Text(line.outcome, style=_STYLES[line.outcome]),
            probability_words(line.score),
            Text(plain_line(line.class_name)),
            Text(plain_line(Path(line.source).name)),
            *([Text(_judged(line), style=_STYLES.get(line.judged or "", ""))] if judged else []),
            *([str(line.turns or "")] if talked else []),
        )
    screen = open_console()
    if not screen.is_terminal:
        screen.width = _PIPED_WIDTH  # a line a case, for grep and its like
    screen.print(table)


def print_head(case: "Case") -> None:
    """Print what a case is; its inspection, printed next, names part and time."""
    from rich.text import Text

    from vlm_inspect.safe_text import plain_line

    screen = open_console()
    kept = "; input kept" if case.input_names else ""
    screen.print(Text(f"case {case.id}", style="bold"))
    screen.print(Text(f"class {plain_line(case.rules.class_name)}{kept}", style="dim"))
    if case.question:
        screen.print(Text(f"question: {plain_line(case.question)}"))


def print_dialogue(turns: "Sequence[Turn]", corrections: "Sequence[Correction]") -> None:
    """Print what was said over a case, and what changes came of it."""
    from rich.text import Text

    from vlm_inspect.safe_text import plain, plain_line

    screen = open_console()
    for turn in turns:
        screen.print(Text(f"\n{turn.number} {plain_line(turn.role)}", style="bold"))
        screen.print(Text(plain(turn.text), overflow="fold"))
    for correction in corrections:
        decided = {None: "open", True: "accepted", False: "turned down"}[correction.accepted]
        told = plain_line(json.dumps(correction.payload, ensure_ascii=False))
        screen.print(Text(f"\ncorrection {correction.number}, {decided}: {plain_line(correction.kind)} {told}"))


def print_judgements(judgements: "Sequence[Judgement]") -> None:
    """Print what people judged of a part; the last one counts."""
    from rich.text import Text

    from vlm_inspect.safe_text import plain_line

    screen = open_console()
    for judgement in judgements:
        by = plain_line(judgement.by) or "somebody"
        reason = f": {plain_line(judgement.reason)}" if judgement.reason else ""
        screen.print(Text(f"\njudged {judgement.outcome} by {by}, {judgement.created_at}{reason}"), soft_wrap=True)


def _judged(line: "CaseLine") -> str:
    from vlm_inspect.safe_text import plain_line

    if line.judged is None:
        return ""
    return " ".join(
        part for part in (line.judged, plain_line(line.judged_by or ""), (line.judged_at or "")[:10]) if part
    )
