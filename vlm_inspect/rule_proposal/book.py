"""`write_book`: a proposal as a rule book in YAML, with comments that say where each line is from."""

import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.measured_checks import shown_number
from vlm_inspect.measurement.registry import MEASURES
from vlm_inspect.real_path import real_path
from vlm_inspect.rule_proposal.proposal import KIND_WORDS, Proposal
from vlm_inspect.rule_proposal.ranges import FEWEST, Range
from vlm_inspect.rules import RuleBook, parse_rules
from vlm_inspect.safe_text import plain_line
from vlm_inspect.sensitivity.wording import tell_sensitivity

if TYPE_CHECKING:
    from vlm_inspect.class_reports.class_report import ClassReport

_EXAMPLES = {
    "image": ("zinc-plated bracket, seen from above in ring light", "scratch, dent, contamination, missing part"),
    "point_cloud": ("M4 x 20 countersunk screw, scanned from all sides", "dent, bent, missing material, contamination"),
    "video": ("belt with one bottle a second, camera at the side", "toppled, missing, too slow"),
    "series": ("motor current of one cycle, 1 kHz", "spike, drift, missing peak"),
}


def book_text(proposal: Proposal, place: Path, report: "ClassReport | None" = None, *, why_none: str = "") -> str:
    """Return the rule book as YAML; it is one that `load_rules` reads.

    Args:
        proposal: from `propose_rules`.
        place: where it will be written; the references are relative to that.
        report: what the references can tell; None: nobody asked, or it cannot be told.
        why_none: why it cannot be told.

    Raises:
        RuleError: the references lie where a rule book cannot name them.
    """
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["json"] = lambda text: json.dumps(plain_line(text), ensure_ascii=False)
    template = resources.files("vlm_inspect.rule_proposal") / "rule_book.yaml.j2"
    example, defects = _EXAMPLES[proposal.kind]
    smallest = None if report is None else report.sensitivity.size_pct
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        count=len(proposal.files),
        measured=proposal.measured,
        kind=KIND_WORDS[proposal.kind],
        class_name=proposal.class_name,
        example=example,
        unit=proposal.unit if proposal.kind == "point_cloud" else "",
        size=_size_words(proposal),
        references=reference_pattern(proposal, place),
        ranges=[_shown(one) for one in proposal.ranges],
        defects=defects,
        sensitivity=_sensitivity_lines(report, why_none),
        smallest=None if smallest is None else f"{smallest:.2g} %",
    )
    text = text.rstrip() + "\n"
    parse_rules(text, name=str(place), folder=real_path(place).parent)
    return text


def proposed_rules(proposal: Proposal, place: Path) -> RuleBook:
    """Return the rule book as it will be read from its place; raises RuleError as `book_text` does."""
    return parse_rules(book_text(proposal, place), name=str(place), folder=real_path(place).parent)


def reference_pattern(proposal: Proposal, place: Path) -> str:
    """Return the pattern that names the parts, from the folder of the rule book."""
    try:
        folder = Path(os.path.relpath(real_path(proposal.folder), real_path(place).parent)).as_posix()
    except ValueError:  # another drive
        folder = real_path(proposal.folder).as_posix()
    endings = {path.suffix for path in proposal.files}
    deep = any(real_path(path.parent) != real_path(proposal.folder) for path in proposal.files)
    return f"{folder}/{'**/' if deep else ''}*{endings.pop() if len(endings) == 1 else '.*'}"


def _shown(one: Range) -> dict[str, str]:
    measure = MEASURES[one.measure]
    unit = f" {one.unit}" if one.unit else ""
    whose = f" of {plain_line(one.channel)}" if one.channel else ""
    bounds = {name: value for name, value in (("min", one.min), ("max", one.max)) if value is not None}
    channel = f", channel: {json.dumps(plain_line(one.channel), ensure_ascii=False)}" if one.channel else ""
    limits = "".join(f", {name}: {value:.12g}" for name, value in bounds.items())
    low, high = shown_number(one.low, ()), shown_number(one.high, ())
    return {
        "description": f"{measure.description}{whose}",
        "seen": f"{low}{unit}" if low == high else f"{low} to {high}{unit}",
        "id": _id(one),
        "text": f"{measure.description[:1].upper()}{measure.description[1:]}{whose}: {_limits_in_words(bounds, unit)}.",
        "check": f"{{measure: {one.measure}{channel}{limits}}}" if bounds else "",
        "reason": f"it takes {FEWEST} parts" if one.n < FEWEST else "all parts have the same value",
    }


def _limits_in_words(bounds: dict[str, float], unit: str) -> str:
    if len(bounds) == 2 and bounds["min"] == bounds["max"]:
        return f"{bounds['min']:.12g}{unit}"
    if len(bounds) == 2:
        return f"{bounds['min']:.12g} to {bounds['max']:.12g}{unit}"
    if "min" in bounds:
        return f"at least {bounds['min']:.12g}{unit}"
    return f"at most {bounds.get('max', 0):.12g}{unit}"


def _id(one: Range) -> str:
    name = one.measure.replace("_", "-")
    channel = re.sub(r"[^A-Za-z0-9]+", "-", one.channel).strip("-").lower()
    return f"{name}-{channel}"[:64].rstrip("-") if channel else name


def _size_words(proposal: Proposal) -> str:
    longest = next((one for one in proposal.ranges if one.measure == "length"), None)
    return "" if longest is None else f"; the parts are {shown_number(longest.high, ())} long"


def _sensitivity_lines(report: "ClassReport | None", why_none: str) -> list[str]:
    if report is None:
        return [
            f"Sensitivity: {plain_line(why_none)}" if why_none else "Sensitivity: vlm-inspect sensitivity tells it."
        ]
    found = report.sensitivity
    lines = [
        f"Sensitivity: an OK from these {found.references} reference{'' if found.references == 1 else 's'} "
        f"{plain_line(tell_sensitivity(found))}."
    ]
    shares = [f"{number}: {100 * share:.0f} %" for number, share in report.expected_ok.items()]
    lines.append(f"Normal parts that come out OK, about, by the number of references: {', '.join(shares)}.")
    return [*lines, *([plain_line(report.advice)] if report.advice else [])]
