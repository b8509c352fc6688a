"""The verdict as far as steps bear it: rules and hypotheses that no step looked at, limits, open evidence."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vlm_inspect.agent.hypotheses import OPEN_P, Tried, shows_something, try_hypotheses
from vlm_inspect.agent.texts import AgentTexts, load_texts
from vlm_inspect.agent.turns import read_turn
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.looks.look import Look
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import RuleResult, Verdict


def read_judgement(
    opinion: Verdict | ParseError, rules: RuleBook, evidence: Evidence, looks: Sequence[Look], limit: str
) -> Verdict | ParseError:
    """Return the verdict as far as steps bear it.

    Rules that no step looked at are not checked. A limit that was reached, a hypothesis that is open or was kept
    against a verdict of normal, and evidence that leaves it open are doubts. A verdict of anomalous on what no look
    tried to refute says so.

    Args:
        opinion: what was read from the answer.
        rules: those of the part.
        evidence: what was measured; where it leaves it open, the model's word alone makes no OK.
        looks: the steps before it.
        limit: which limit was reached, in a sentence; "": none.
    """
    if not isinstance(opinion, Verdict):
        return opinion
    rested = _steps_of_rules(looks)
    texts = load_texts()
    told = tuple(
        replace(one, reason=texts.say("resting", reason=one.reason, steps=rested[one.id]))
        if one.id in rested
        else RuleResult(one.id, "not_checked", texts.not_checked)
        for one in opinion.rules
    )
    unseen = [rule.id for rule in rules.rules if rule.id not in rested and rule.id not in {one.id for one in told}]
    told += tuple(RuleResult(rule_id, "not_checked", texts.not_checked) for rule_id in unseen)
    tried = try_hypotheses(looks, rules)
    doubts = [*opinion.doubts, *([limit] if limit else [])]
    warnings = list(opinion.warnings)
    if opinion.anomalous:
        warnings += _unrefuted(tried, looks, texts)
    else:
        doubts += _against_normal(tried, rules, texts)
    open_p = evidence.probability or 0.0
    if not opinion.anomalous and open_p >= OPEN_P:
        doubts.append(texts.say("open_evidence", probability=f"{open_p:.2f}"))
    return replace(opinion, rules=told, doubts=tuple(doubts), warnings=tuple(warnings))


def _against_normal(tried: Sequence[Tried], rules: RuleBook, texts: AgentTexts) -> Iterator[str]:
    """Yield what keeps a part that is called normal from OK."""
    for one in tried:
        rule = rules.rule(one.rule)
        if one.status == "dropped" or (rule is not None and rule.severity == "minor"):
            continue
        which = "kept_hypothesis" if one.status == "kept" else "open_hypothesis"
        yield texts.say(which, id=one.id, claim=one.claim, rule=one.rule, reason=open_reason(one))


def _unrefuted(tried: Sequence[Tried], looks: Sequence[Look], texts: AgentTexts) -> Iterator[str]:
    """Yield what a verdict of anomalous rests on that no look could have shown wrong."""
    if not looks or looks[0].refutation == "off":
        return
    for one in tried:
        if not one.steps:
            yield texts.say("unrefuted", id=one.id, claim=one.claim, rule=one.rule)
    if not any(one.status == "kept" for one in tried):
        yield texts.nothing_kept


def open_reason(one: Tried) -> str:
    """Return why a hypothesis stands as it does, in words."""
    if one.reason:
        return one.reason
    texts = load_texts()
    return texts.no_reason if one.steps else texts.not_tried


def _steps_of_rules(looks: Sequence[Look]) -> Mapping[str, list[str]]:
    """Return rule -> the steps whose tool looked at it; a call that failed showed nothing."""
    found: dict[str, list[str]] = {}
    for number, (asked, shown) in enumerate(itertools.pairwise(looks), start=2):
        if not shows_something(shown):
            continue
        for rule_id in dict.fromkeys(read_turn(asked.replies).rules):
            found.setdefault(rule_id, []).append(f"step {number}")
    return found
