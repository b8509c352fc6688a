"""A long clip asked about window by window: one request and one look each, and one verdict of all answers.

requests = window_requests(asked, windows, limits)     each with the views and the evidence of its window
step     = next_window(requests, looks)                what is asked next: a second look at a window follows the first
opinion  = merge_windows(answers)                      NG beats REVIEW beats OK, and an unread window is REVIEW
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from converters.view import View
from vlm_inspect.backends.backend import Request
from vlm_inspect.clip_windows import ClipWindow, unseen_share
from vlm_inspect.decision.fusion import UNSTATED
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.looks.look import Look, Seen, Step
from vlm_inspect.looks.second_look import Again
from vlm_inspect.prompting import PromptLimits, Template, build_request
from vlm_inspect.prompting.window_request import about_window
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import RuleResult, RuleStatus, Verdict

Opinion = Verdict | ParseError
_UNREAD = 0.5
"""P(anomalous) of a window of which nothing is known."""
_HOT = 0.5
"""P(anomalous) of a place beyond its tolerance."""
_LEAST_UNSEEN = 0.005
"""Share of a clip that is worth a word."""
_WORST: Mapping[RuleStatus, int] = {"fail": 0, "cannot_tell": 1, "not_checked": 2, "pass": 3}


@dataclass(frozen=True, eq=False)
class AskedOf:
    """What the requests of all windows are made from."""

    template: Template
    views: Sequence[View]
    """Of the part, those of all windows."""
    rules: RuleBook
    references: Sequence[Sequence[View]]
    evidence: Evidence
    """Of the whole clip."""
    question: str | None


def window_requests(asked: AskedOf, windows: Sequence[ClipWindow], limits: PromptLimits) -> tuple[Request, ...]:
    """Return one request a window.

    Raises:
        PromptError: see `build_request`.
    """
    return tuple(window_request(asked, one, limits) for one in windows)


def whole_request(asked: AskedOf, limits: PromptLimits) -> Request:
    """Return the one request about a part that needs no windows.

    Raises:
        PromptError: see `build_request`.
    """
    return build_request(
        asked.template, asked.views, asked.rules, asked.references, asked.evidence, asked.question, limits=limits
    )


def window_request(asked: AskedOf, window: ClipWindow, limits: PromptLimits) -> Request:
    """Return the request about one window; its views and marks are those of the window, numbered from 0.

    Raises:
        PromptError: see `build_request`.
    """
    first, end = window.views
    of_window = replace(asked, views=asked.views[first:end], evidence=evidence_within(asked.evidence, window.views))
    return about_window(whole_request(of_window, limits), window)


def evidence_within(evidence: Evidence, views: tuple[int, int]) -> Evidence:
    """Return the evidence of some views, their numbers counted from the first of them."""
    first, end = views
    return replace(
        evidence,
        maps=tuple(replace(one, view=one.view - first) for one in evidence.maps if first <= one.view < end),
        regions=tuple(replace(one, view=one.view - first) for one in evidence.regions if first <= one.view < end),
        worded=None,
    )


def next_window(
    windows: Sequence[ClipWindow], requests: Sequence[Request], looks: Sequence[Look], again: Again | None = None
) -> Step:
    """Return the step that asks about the next window; after the last one a step without a request.

    Args:
        windows: of the clip, in the order of time.
        requests: one for each of them.
        looks: what came of the steps so far.
        again: makes the request of a second look at a window, which follows the first one at once; None: no second look
            is wanted.

    Raises:
        ConversionError: a clip cannot be decoded any more.
        PromptError: the texts of a second look are missing or wrong.
    """
    number = len({look.window.number for look in looks if look.window is not None})
    if again is not None and looks and looks[-1].phase == "judge":
        step = _look_again(looks[-1], again)
        if step is not None:
            return step
    if number < len(requests):
        window = windows[number]
        return Step(requests[number], window=window, read=partial(in_clip, window=window))
    twice = sum(look.phase == "look_again" for look in looks)
    second = f" {twice} of them were looked at twice." if again is not None else ""
    return Step(note=f"{_coverage(windows)}{second}")


def _look_again(first: Look, again: Again) -> Step | None:
    """Return the step of a second look at a window; None where nothing is said of it and nothing in it is hot.

    A window that is normal to the model and to the measurements is not paid for twice.
    """
    window, request = first.window, first.request
    if window is None or request is None or first.opinion is None:
        return None
    quiet = isinstance(first.opinion, Verdict) and not first.opinion.anomalous and not first.opinion.defects
    hot = any(region.calibrated and region.score >= _HOT for region in request.evidence.regions)
    if quiet and not hot:
        return None
    begin = window.views[0]
    opinion = in_window(first.opinion, window)
    second = again(request, opinion)
    if second is None:
        return None
    saw = tuple(Seen(one.view + begin, one.box_xyxyn) for one in second.enlargements)
    return Step(second, "look_again", saw=saw, window=window, read=partial(in_clip, window=window))


def deciding(looks: Sequence[Look]) -> tuple[Look, ...]:
    """Return the last look at each window, in the order of time; see `next_window`."""
    last = {window.number: look for look in looks if (window := look.window) is not None}
    return tuple(last.values())


def prompt_digest(looks: Sequence[Look]) -> str:
    """Return the digest of what the opinion rests on: of the last request, or of those about all windows."""
    asked = [look.request.prompt_sha256 for look in looks if look.request is not None and look.opinion is not None]
    if all(look.window is None for look in looks):
        return asked[-1]
    return hashlib.sha256(" ".join(asked).encode()).hexdigest()


def in_clip(opinion: Opinion, window: ClipWindow) -> Opinion:
    """Return the opinion of a window with its views numbered as those of the part."""
    if not isinstance(opinion, Verdict):
        return opinion
    return _renumbered(opinion, window.views[0])


def in_window(opinion: Opinion, window: ClipWindow) -> Opinion:
    """Return the opinion of a window with its views numbered from the first of the window; see `in_clip`."""
    return _renumbered(opinion, -window.views[0]) if isinstance(opinion, Verdict) else opinion


def _renumbered(opinion: Verdict, by: int) -> Verdict:
    def of_part(view: int | None) -> int | None:
        return None if view is None else view + by

    return replace(
        opinion,
        rules=tuple(replace(one, view=of_part(one.view)) for one in opinion.rules),
        defects=tuple(replace(one, view=of_part(one.view)) for one in opinion.defects),
    )


def opinion_of(looks: Sequence[Look]) -> Opinion:
    """Return the opinion that counts: that of all windows together, else that of the last look that has one.

    Raises:
        ValueError: none has.
    """
    windows = [(look.window, look.opinion) for look in deciding(looks) if look.opinion is not None]
    if windows:
        return merge_windows([(window, opinion) for window, opinion in windows if window is not None])
    for look in reversed(looks):
        if look.opinion is not None and look.request is not None:
            return look.opinion
    raise ValueError("an examination needs a look with an opinion")


def merge_windows(answers: Sequence[tuple[ClipWindow, Opinion]]) -> Opinion:
    """Return one opinion of the clip.

    A window that is anomalous beyond doubt decides. Else every doubt about a window is one about the clip: answers that
    disagree, an answer that could not be read, a stretch that nobody looked at.

    Args:
        answers: of every window, in the order of time; at least one.
    """
    read = [(window, opinion) for window, opinion in answers if isinstance(opinion, Verdict)]
    unread = [(window, opinion) for window, opinion in answers if isinstance(opinion, ParseError)]
    if not read:
        window, failure = unread[0]
        told = f"No window of the clip could be read. {_named(window)}: {failure}"
        return ParseError(told, reply_text=failure.reply_text, cause=failure.cause)
    doubts = [f"{window.name} could not be read: {failure}" for window, failure in unread]
    doubts += [f"{window.name}: {doubt}" for window, opinion in read for doubt in opinion.doubts]
    doubts += _unseen([window for window, _ in answers])
    sure = [opinion for _, opinion in read if opinion.anomalous and not opinion.doubts]
    warnings = [f"{window.name}: {warning}" for window, opinion in read for warning in opinion.warnings]
    odds = [_probability(opinion) for opinion in sure or [opinion for _, opinion in read]]
    if unread and not sure:
        odds.append(_UNREAD)
    return Verdict(
        anomalous=any(opinion.anomalous for _, opinion in read),
        reasoning=_told(read, lambda opinion: opinion.reasoning),
        probability=max(odds),
        answer=_told(read, lambda opinion: opinion.answer),
        rules=tuple(_of_rules(answers, sure)),
        defects=tuple(defect for _, opinion in read for defect in opinion.defects),
        path=read[0][1].path,
        warnings=tuple(dict.fromkeys([*warnings, *(doubts if sure else [])])),
        samples=min(opinion.samples for _, opinion in read),
        doubts=() if sure else tuple(doubts),
        source=read[0][1].source,
    )


def _probability(opinion: Verdict) -> float:
    if opinion.probability is not None:
        return opinion.probability
    return UNSTATED if opinion.anomalous else 1 - UNSTATED


def _told(read: Sequence[tuple[ClipWindow, Verdict]], text: Callable[[Verdict], str]) -> str:
    """Return the texts of all windows with their times; of equal ones one, with all times."""
    spans: dict[str, list[str]] = {}
    for window, opinion in read:
        if text(opinion).strip():
            spans.setdefault(text(opinion).strip(), []).append(window.span)
    if len(spans) == 1 and len(next(iter(spans.values()))) == len(read):
        return next(iter(spans))
    return "\n".join(f"{'; '.join(times)}: {told}" for told, times in spans.items())


def _of_rules(answers: Sequence[tuple[ClipWindow, Opinion]], sure: Sequence[Verdict]) -> list[RuleResult]:
    """Return one result a rule: the worst of the windows. A window that says nothing of a rule could not tell.

    Where a window decides, what other windows leave open does not matter any more.
    """
    known = dict.fromkeys(rule.id for _, one in answers if isinstance(one, Verdict) for rule in one.rules)
    merged = []
    for rule_id in known:
        told = [
            (window, result)
            for window, opinion in answers
            if (result := _of_rule(rule_id, opinion)).status in ("fail", "pass") or not sure or opinion in sure
        ]
        worst = min(_WORST[result.status] for _, result in told)
        same = [(window, result) for window, result in told if _WORST[result.status] == worst]
        window, result = same[0]
        if len(same) == len(told) and len({one.reason for _, one in same}) == 1:
            merged.append(result)
        else:
            merged.append(replace(result, reason=f"{window.span}: {result.reason}" if result.reason else window.span))
    return merged


def _of_rule(rule_id: str, opinion: Opinion) -> RuleResult:
    if isinstance(opinion, ParseError):
        return RuleResult(rule_id, "cannot_tell", "The answer about this window could not be read.")
    found = next((one for one in opinion.rules if one.id == rule_id), None)
    return found or RuleResult(rule_id, "cannot_tell", "The model left this rule out.")


def _unseen(windows: Sequence[ClipWindow]) -> list[str]:
    """Return the doubt about a stretch that neither a model nor a measurement looked at."""
    if windows[0].measured or unseen_share(windows) < _LEAST_UNSEEN:
        return []
    return [
        f"{unseen_share(windows):.0%} of the clip lie in no window, and there is no normal clip that they were held "
        "against; ask about more windows, or give a normal clip"
    ]


def _coverage(windows: Sequence[ClipWindow]) -> str:
    """Say how much of the clip the model was asked about."""
    share = unseen_share(windows)
    rest = "" if share < _LEAST_UNSEEN else f"; the other {share:.0%} of its frames lie in none of them"
    return f"The model was asked about {len(windows)} windows of the clip, one by one{rest}."


def _named(window: ClipWindow) -> str:
    return window.name[0].upper() + window.name[1:]
