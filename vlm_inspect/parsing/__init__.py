"""`parse_verdict`: what a model answered, as a `Verdict`, or a `ParseError` that says why there is none.

    reply_text.py   the final text of a reply; empty, refused and truncated replies
    answer_json.py  the answer object in that text: strict, fenced, embedded in prose, or broken and repaired
    prose.py        yes/no answers in plain English
    fields.py       the answer object -> Verdict, field by field; what is mended becomes a warning
    boxes.py        boxes in whatever convention -> fractions of the view
    token_odds.py   P(anomalous) from the probabilities of the tokens
    samples.py      several answers -> one verdict

The rule throughout: a reply is never read as "normal" by accident. What is not clearly an answer is unreadable.
"""

from collections.abc import Sequence
from dataclasses import replace

from converters.view import View
from vlm_inspect.backends.backend import Reply
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.answer_json import find_answer
from vlm_inspect.parsing.fields import read_answer
from vlm_inspect.parsing.prose import read_prose
from vlm_inspect.parsing.reply_text import final_text, refuse_if_blind, refuse_if_refusal
from vlm_inspect.parsing.samples import combine
from vlm_inspect.parsing.token_odds import token_probability
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict

__all__ = ["parse_verdict"]


def parse_verdict(
    replies: Reply | Sequence[Reply], rules: RuleBook, views: Sequence[View], *, question: str | None = None
) -> Verdict:
    """Return the opinion that one reply, or several answers to the same request, carry.

    Args:
        replies: one reply, or one per sample. Several give the majority, with their share as probability. One that
            brings its verdict along is not read again.
        rules: the book that rule ids are checked against.
        views: the pictures that view numbers and boxes refer to.
        question: the user's own question, if any. A bare "No." may answer that one and not "is it anomalous?",
            so with a question it is unreadable unless a sentence supports it.

    Raises:
        ParseError: no reply carries a verdict; `cause` is "empty", "refusal", "truncated" or "unreadable".
    """
    several = [replies] if isinstance(replies, Reply) else list(replies)
    if several and several[0].verdict is not None:
        return several[0].verdict
    if not several:
        raise ParseError("The model returned no reply.", reply_text="", cause="empty")
    verdicts: list[Verdict] = []
    odds: list[float] = []
    failures: list[ParseError] = []
    for reply in several:
        try:
            verdict, from_tokens = _parse_one(reply, rules, views, question)
            verdicts.append(verdict)
            odds += [] if from_tokens is None else [from_tokens]
        except ParseError as failure:
            failure.reply_text = reply.text
            failures.append(failure)
    if not verdicts:
        raise failures[0]
    return combine(verdicts, failures, odds)


def _parse_one(
    reply: Reply, rules: RuleBook, views: Sequence[View], question: str | None
) -> tuple[Verdict, float | None]:
    """Return the verdict of one reply, and P(anomalous) by its tokens where they tell."""
    text = final_text(reply)
    answer = find_answer(text)
    if answer is None:
        refuse_if_refusal(text)
        verdict = read_prose(text, asked=question is not None)
    else:
        verdict = read_answer(answer, rules, views)
        refuse_if_blind(verdict.reasoning)
    odds = token_probability(reply.tokens, prose=answer is None, anomalous=verdict.anomalous)
    return (verdict if odds is None else replace(verdict, probability=odds)), odds
