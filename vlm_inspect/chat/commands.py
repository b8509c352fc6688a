"""The slash commands: what an engineer corrects without a model in between."""

from collections.abc import Callable, Mapping
from typing import Any

from vlm_inspect.chat.places import hot_box, number_places
from vlm_inspect.chat.session import Session
from vlm_inspect.citation import PERMILLE
from vlm_inspect.errors import InspectError
from vlm_inspect.file_patterns import in_home

HELP = """\
Ask in plain words, or:
  /show N                     show region N at full resolution, beside the references
  /ok                         this part is normal: keep that, and propose it as a reference
  /ok N                       region N is fine: propose to ignore its place
  /ng WORDS                   this part has a defect: keep that, and propose WORDS as a kind of defect
  /rule ID                    show a rule
  /rule ID: TEXT              propose a rule, or another text; before the colon also a severity
                              (critical, major, minor) and a check (measure=length min=19.7 max=20.3)
  /rule -ID                   propose to remove a rule
  /ignore N                   propose to ignore the place of region N
  /ignore V X0 Y0 X1 Y1       the same for a box of view V, in per mille
  /reference [FILE]           propose this part, or FILE, as a known-normal reference
  /help  /quit
Nothing is changed before you say yes."""
_SEVERITIES = ("critical", "major", "minor")
_BOUNDS = ("min", "max")


class CommandError(InspectError):
    """A slash command cannot be understood."""


def run_command(session: Session, line: str) -> None:
    """Run one slash command.

    Raises:
        CommandError: it is unknown, or what follows it cannot be read.
        InspectError: what it asks for cannot be done.
    """
    name, _, rest = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        raise CommandError(f"unknown command {name}; the commands are {', '.join(COMMANDS)}, /quit")
    command(session, rest.strip())


def _help(session: Session, rest: str) -> None:
    del rest
    session.screen.say(HELP)


def _show(session: Session, rest: str) -> None:
    session.show(_number(rest, "/show 1"))


def _ok(session: Session, rest: str) -> None:
    if rest.isdecimal():
        _ignore(session, rest)
        return
    session.dialogue.judge("OK", rest)
    session.screen.say("kept: you judge this part normal")
    session.put(session.dialogue.corrector.propose_reference(reason=rest))


def _ng(session: Session, rest: str) -> None:
    session.dialogue.judge("NG", rest)
    session.screen.say("kept: you judge this part anomalous")
    known = {word.lower() for word in session.dialogue.corrector.current().defects}
    if rest and rest.lower() not in known:
        session.put(session.dialogue.corrector.propose_defect(rest))


def _rule(session: Session, rest: str) -> None:
    corrector = session.dialogue.corrector
    head, colon, text = rest.partition(":")
    words = head.split()
    if not words:
        raise CommandError("name the rule: /rule ID, /rule ID: TEXT, or /rule -ID")
    if words[0].startswith("-"):
        session.put(corrector.propose_removal(words[0].removeprefix("-")))
        return
    if not colon and len(words) == 1:
        book = corrector.current()
        rule = book.rule(words[0])
        if rule is None:
            known = ", ".join(one.id for one in book.rules) or "none"
            raise CommandError(f"there is no rule {words[0]!r}; the rules are: {known}")
        check = "" if rule.check is None else f" [{_check_words(rule.check.model_dump(exclude_none=True))}]"
        session.screen.say(f"{rule.id} ({rule.severity}): {rule.text}{check}")
        return
    severity, check_given = _read_head(words[1:])
    session.put(corrector.propose_rule(words[0], text.strip() or None, severity=severity, check=check_given))


def _ignore(session: Session, rest: str) -> None:
    words = rest.split()
    corrector, case = session.dialogue.corrector, session.dialogue.case
    if len(words) == 1:
        places = number_places(case)
        number = _number(words[0], "/ignore 1")
        if not 1 <= number <= len(places):
            known = f"the regions are 1 to {len(places)}" if places else "no region was found"
            raise CommandError(f"there is no region {number}; {known}")
        place = places[number - 1]
        session.put(corrector.propose_ignore(place.view, hot_box(case, place)))
        return
    try:
        view, x0, y0, x1, y1 = (int(word) for word in words)
    except ValueError as error:
        raise CommandError("write /ignore N, or /ignore V X0 Y0 X1 Y1 with a box in per mille") from error
    lies_on_it = 0 <= x0 < x1 <= PERMILLE and 0 <= y0 < y1 <= PERMILLE
    if not (lies_on_it and 0 <= view < len(case.views)):
        raise CommandError(
            f"this box does not lie on a view; the views are 0 to {len(case.views) - 1}, per mille 0 to 1000"
        )
    box = (x0 / PERMILLE, y0 / PERMILLE, x1 / PERMILLE, y1 / PERMILLE)
    session.put(corrector.propose_ignore(view, box, margin=0.0))


def _reference(session: Session, rest: str) -> None:
    session.put(session.dialogue.corrector.propose_reference(in_home(rest) if rest else None))


def _number(text: str, example: str) -> int:
    if not text.isdecimal():
        raise CommandError(f"give the number of a region, as in {example}")
    return int(text)


def _read_head(words: list[str]) -> tuple[str | None, dict[str, Any]]:
    """Read the severity and the check of a rule, as /rule takes them."""
    severity: str | None = None
    check: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if word in _SEVERITIES:
            severity = word
        elif equals and name in _BOUNDS:
            try:
                check[name] = float(value)
            except ValueError as error:
                raise CommandError(f"{word}: {value!r} is not a number") from error
        elif equals and name in {"measure", "channel"}:
            check[name] = value
        else:
            raise CommandError(f"{word!r} is neither a severity nor measure=, min=, max= or channel=; see /help")
    return severity, check


def _check_words(check: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in check.items()
    )


COMMANDS: Mapping[str, Callable[[Session, str], None]] = {
    "/help": _help,
    "/show": _show,
    "/ok": _ok,
    "/ng": _ng,
    "/rule": _rule,
    "/ignore": _ignore,
    "/reference": _reference,
}
