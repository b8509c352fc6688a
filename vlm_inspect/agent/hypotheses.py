"""What became of each hypothesis, from the looks alone: proposed, looked at, and then kept, dropped or left open.

A hypothesis is settled by a step that comes after a look made for it: the model's word alone settles nothing. Hot
places of the evidence are hypotheses from the beginning (m1 is the place of mark 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from converters.view import BoxXyxyn
from vlm_inspect.agent.texts import load_texts
from vlm_inspect.agent.turns import Hypothesis, Turn, read_turn
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.looks.look import HotPlace, Look, Seen
from vlm_inspect.rules import RuleBook

OPEN_P = 0.3
"""P(anomalous) from which what was measured is not cleared by a model's word alone."""
MOST_PLACES = 4
"""Most places of the evidence that have to be looked at, the hottest first."""
MOST_HYPOTHESES = 20
SHOWS_NOTHING = frozenset({"rule_text"})
"""Tools that show nothing of the part."""
_PERMILLE = 1000


@dataclass(frozen=True)
class Tried:
    """One hypothesis, and what became of it."""

    id: str
    claim: str
    rule: str = ""
    """Id of the rule that it would break; "": it is of none, or of an unknown one."""
    view: int | None = None
    box_xyxyn: BoxXyxyn | None = None
    expected: str = ""
    status: Literal["kept", "dropped", "open"] = "open"
    reason: str = ""
    proposed: int = 0
    """The step that proposed it; 0: the evidence did."""
    steps: tuple[int, ...] = ()
    """The steps that looked at it."""

    @property
    def is_settled(self) -> bool:
        """Whether a look was made for it and the reason for what came of it was given."""
        return bool(self.steps and self.reason)


def try_hypotheses(looks: Sequence[Look], rules: RuleBook) -> tuple[Tried, ...]:
    """Return the hypotheses in the order that they came, and what became of each.

    Args:
        looks: the steps so far, without the verdict; the first says whether hypotheses are asked for, who settles
            them, and which hot places of the evidence are among them.
        rules: those that a hypothesis may be of.
    """
    if not looks or looks[0].refutation == "off":
        return ()
    found = {f"m{one.mark}": _of_place(one) for one in looks[0].places}
    before: Turn | None = None
    for number, look in enumerate(looks, start=1):
        if before is not None and shows_something(look):
            for key in before.tests:
                if key in found and _bears_on(look.saw, found[key]):
                    found[key] = replace(found[key], steps=(*found[key].steps, number))
        before = _turn_of(look)
        if before is None:
            continue
        settles = look.by_refuter or looks[0].refutation == "own"
        for said in before.hypotheses:
            _take(said, found, number, rules, settles=settles)
    return tuple(found.values())


def places_of(evidence: Evidence) -> tuple[HotPlace, ...]:
    """Return the places of the evidence that have to be looked at.

    Raises:
        PromptError: the texts are missing or wrong.
    """
    texts = load_texts()
    hot = [(n, one) for n, one in enumerate(evidence.regions, start=1) if not one.calibrated or one.score >= OPEN_P]
    return tuple(
        HotPlace(
            mark,
            one.view,
            one.box_xyxyn,
            texts.say("place", mark=mark, source=one.source, kind=one.defect_type or ""),
        )
        for mark, one in hot[:MOST_PLACES]
    )


def shows_something(look: Look) -> bool:
    """Return whether a look's tool showed something of the part."""
    return look.tool is not None and not look.note and look.tool not in SHOWS_NOTHING


def _of_place(place: HotPlace) -> Tried:
    return Tried(f"m{place.mark}", place.claim, view=place.view, box_xyxyn=place.box_xyxyn)


def _turn_of(look: Look) -> Turn | None:
    if look.opinion is not None:
        return None
    try:
        return read_turn(look.replies)
    except ParseError:
        return None


def _take(said: Hypothesis, found: dict[str, Tried], number: int, rules: RuleBook, *, settles: bool) -> None:
    """Take in what a step says of one hypothesis: it is new, or something came of it."""
    key = said.key
    known = found.get(key)
    if not key or (known is None and len(found) >= MOST_HYPOTHESES):
        return
    if known is None:
        rule = said.rule.strip() if rules.rule(said.rule.strip()) is not None else ""
        found[key] = Tried(key, said.claim or key, rule, said.view, _fractions(said), said.expected, proposed=number)
        return
    if known.steps and settles and said.reason.strip():
        found[key] = replace(known, status=said.status, reason=said.reason.strip())


def _fractions(said: Hypothesis) -> BoxXyxyn | None:
    if said.box is None:
        return None
    x0, y0, x1, y1 = (min(1.0, max(0.0, value / _PERMILLE)) for value in said.box)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _bears_on(saw: Sequence[Seen], tried: Tried) -> bool:
    """Return whether a look may show a hypothesis wrong: a box elsewhere on the same view does not."""
    own = tried.box_xyxyn
    for one in saw:
        if one.view != tried.view or one.box_xyxyn is None or own is None:
            continue
        x0, y0, x1, y1 = one.box_xyxyn
        if x0 >= own[2] or x1 <= own[0] or y0 >= own[3] or y1 <= own[1]:
            return False
    return True
