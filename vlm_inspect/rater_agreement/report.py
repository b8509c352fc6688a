"""A study as tables of words: for a terminal, and as one self-contained page."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from vlm_inspect.rater_agreement.figures import Kappa, Rate
from vlm_inspect.rater_agreement.study import TOOL, AgainstStandard, Study
from vlm_inspect.safe_text import plain_line

_PIPED_WIDTH = 200


@dataclass(frozen=True)
class Block:
    """One table, with what it shows in a sentence."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def rate_words(rate: Rate) -> str:
    """Return "22 of 24, 91.7 % (73.0 to 99.0 %)"."""
    if rate.rate is None or rate.ci95 is None:
        return "no parts"
    low, high = rate.ci95
    return f"{rate.count} of {rate.n}, {100 * rate.rate:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"


def kappa_words(kappa: Kappa) -> str:
    """Return "0.78 (0.52 to 1.00)"; a dash where it is not defined."""
    if kappa.value is None:
        return "-"
    return f"{kappa.value:.2f}" + (f" ({kappa.ci95[0]:.2f} to {kappa.ci95[1]:.2f})" if kappa.ci95 else "")


def opening(study: Study) -> list[str]:
    """Return what the study rests on, in sentences."""
    names = ", ".join(plain_line(name) for name in study.people)
    parts = f"{study.parts} part{'' if study.parts == 1 else 's'}"
    lines = [f"{parts} judged by {names}." if study.people else "Nobody judged a part yet: vlm-inspect cases judge."]
    if study.nameless:
        lines.append(f"{study.nameless} judgements name nobody, and do not count.")
    return lines


def blocks(study: Study) -> Iterator[Block]:
    """Yield the tables that have something to show."""
    if rows := [(plain_line(one.rater), rate_words(one.same)) for one in study.with_itself if one.same.n]:
        note = "Parts that a rater judged several times, and always alike."
        yield Block("Each with itself", ("rater", "same"), tuple(rows), note)
    if pairs := [one for one in study.between_people if one.same.n]:
        rows_of_pairs = [
            (f"{plain_line(one.one)} and {plain_line(one.other)}", rate_words(one.same), kappa_words(one.kappa))
            for one in pairs
        ]
        note = "What each said first of the parts that both judged."
        if study.all_people.n and len(study.people) > 2:
            rows_of_pairs.append(("all", rate_words(study.all_people), f"{kappa_words(study.fleiss)} (Fleiss)"))
        yield Block("Inspector against inspector", ("raters", "same", "kappa"), tuple(rows_of_pairs), note)
    note = "Missed: the inspector says NG and the tool OK. False alarm: the reverse. REVIEW agrees with nobody."
    if found := [
        (plain_line(name), *_numbers(one))
        for name, one in zip(study.people, study.with_tool, strict=True)
        if one.right.n
    ]:
        yield Block("The tool against each inspector", ("inspector", *_HEAD), tuple(found), note)
    if found := [
        (plain_line(one.rater), *_numbers(one), one.grade or "-") for one in study.against_standard if one.right.n
    ]:
        note = (
            "Missed: anomalous parts called OK. False alarm: normal parts called NG. Grade by AIAG MSA: acceptable "
            "from 90 % right, at most 2 % missed and 5 % false alarms; marginal from 80 %, 5 % and 10 %."
        )
        title = f"Against the standard ({plain_line(study.standard)})"
        yield Block(title, ("rater", *_HEAD, "grade"), tuple(found), note)


_HEAD = ("same", "missed", "false alarms", "REVIEW", "kappa")


def _numbers(one: AgainstStandard) -> tuple[str, ...]:
    review = rate_words(one.review) if one.rater == TOOL else "-"  # people are asked for OK or NG
    rates = (one.right, one.missed, one.false_alarms)
    return (*(rate_words(rate) for rate in rates), review, kappa_words(one.kappa))


def render_agreement(study: Study) -> str:
    """Return the page; it needs nothing but itself."""
    import jinja2
    from markupsafe import Markup

    folder = resources.files("vlm_inspect.report") / "templates"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = (folder / "inspection.css").read_text(encoding="utf-8")
    template = environment.from_string((folder / "agreement.html.j2").read_text(encoding="utf-8"))
    return template.render(
        opening=opening(study),
        blocks=tuple(blocks(study)),
        style=Markup(style),  # our own file, whose digest the policy names
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


def print_study(study: Study) -> None:
    """Print the study to stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    for line in opening(study):
        console.print(Text(line), soft_wrap=True)
    for block in blocks(study):
        console.print()
        console.print(Text(block.title, style="bold"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", collapse_padding=True)
        for name in block.head:
            table.add_column(name, overflow="fold")
        for row in block.rows:
            table.add_row(*map(Text, row))
        console.print(table)
        if block.note:
            console.print(Text(block.note, style="dim"), soft_wrap=True)
