"""`parse_verdict`: what a model answered, as a `Verdict`, or a `ParseError` that says why there is none.

    reply_text.py   the final text of a reply; empty, refused and truncated replies
    thinking.py     what was written on the way to the answer, taken off
    answer_json.py  the answer object in that text: strict, fenced, embedded in prose, or broken and repaired
    prose.py        whether plain English says "anomalous"; it never says "normal"
    fields.py       the answer object -> Verdict, field by field; what is mended becomes a warning
    boxes.py        boxes in whatever convention -> fractions of the view
    token_odds.py   P(anomalous) from the probabilities of the tokens
    samples.py      several answers -> one verdict

The rule throughout: a reply is never read as "normal" by accident. What is not clearly an answer is unreadable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from converters.view import View
from vlm_inspect.backends.backend import Reply
from vlm_inspect.backends.box_conventions import BoxFrame, usual_convention
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.answer_json import LOOKS_LIKE_JSON, find_answer
from vlm_inspect.parsing.fields import MAX_TEXT, read_answer
from vlm_inspect.parsing.prose import says_anomalous
from vlm_inspect.parsing.reply_text import came_aside, clean_text, final_text, refuse_if_blind, refuse_if_refusal
from vlm_inspect.parsing.samples import combine
from vlm_inspect.parsing.token_odds import token_probability
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict

__all__ = ["needs_form", "parse_verdict"]


def parse_verdict(
    replies: Reply | Sequence[Reply], rules: RuleBook, views: Sequence[View], *, boxes: BoxFrame | None = None
) -> Verdict:
    """Return the opinion that one reply, or several answers to the same request, carry.

    Args:
        replies: one reply, or one per sample. Several give the majority, with their share as probability. One that
            brings its verdict along is not read again.
        rules: the book that rule ids are checked against.
        views: the pictures that view numbers and boxes refer to.
        boxes: how the request asked for boxes; None: as the contract says, per mille.

    Raises:
        ParseError: no reply carries a verdict; `cause` is "empty", "refusal", "truncated" or "unreadable".
    """
    several = [replies] if isinstance(replies, Reply) else list(replies)
    if several and several[0].verdict is not None:
        return several[0].verdict
    if not several:
        raise ParseError("The model returned no reply.", reply_text="", cause="empty")
    frame = boxes or BoxFrame(usual_convention())
    verdicts: list[Verdict] = []
    odds: list[float] = []
    failures: list[ParseError] = []
    for reply in several:
        try:
            verdict, from_tokens = _parse_one(reply, rules, views, frame.within(reply.sent_side))
            verdicts.append(verdict)
            odds += [] if from_tokens is None else [from_tokens]
        except ParseError as failure:
            failure.reply_text = reply.text
            failures.append(failure)
    if not verdicts:
        raise failures[0]
    return combine(verdicts, failures, odds)


def needs_form(reply: Reply) -> bool:
    """Return whether a reply was finished, but holds no answer object that can be read: worth asking for the form."""
    if reply.verdict is not None:
        return False
    try:
        text = final_text(reply)
        answer = find_answer(text)
        if answer is None:
            refuse_if_refusal(text)
        return answer is None
    except ParseError as failure:
        return failure.cause == "unreadable" and len(reply.text) <= MAX_TEXT
    except RecursionError:
        return True


def _parse_one(reply: Reply, rules: RuleBook, views: Sequence[View], frame: BoxFrame) -> tuple[Verdict, float | None]:
    """Return the verdict of one reply, and P(anomalous) by its tokens where they tell."""
    try:
        verdict, odds = _read_object(reply, rules, views, frame)
    except ParseError as failure:
        words = _words_of(reply.first_text or reply.text)
        if failure.cause != "unreadable" or LOOKS_LIKE_JSON.search(reply.text + words) or not says_anomalous(words):
            raise
        verdict, odds = Verdict(anomalous=True, reasoning=clean_text(words)[:MAX_TEXT], path="prose"), None
    warnings = tuple(dict.fromkeys((*verdict.warnings, *reply.notes, *_remarks(reply, verdict))))
    return replace(verdict, warnings=warnings, probability=verdict.probability if odds is None else odds), odds


def _read_object(reply: Reply, rules: RuleBook, views: Sequence[View], frame: BoxFrame) -> tuple[Verdict, float | None]:
    try:
        text = final_text(reply)
        answer = find_answer(text)
        if answer is None:
            refuse_if_refusal(text)
            twice = ", not even when it was asked for it once more" if reply.first_text else ""
            told = f"The model's reply holds no answer object{twice}."
            raise ParseError(told, reply_text=text, cause="unreadable")
        verdict = read_answer(answer, rules, views, frame)
    except RecursionError as error:
        told = "The model's reply is nested too deeply to be an answer."
        raise ParseError(told, reply_text=reply.text, cause="unreadable") from error
    refuse_if_blind(verdict.reasoning)
    words = (answer.beside, _words_of(reply.first_text))
    if not verdict.anomalous and any(map(says_anomalous, words)):
        raise ParseError(
            "The model's words say that the part is anomalous, and its answer object that it is normal.",
            reply_text=reply.text,
            cause="unreadable",
        )
    return verdict, token_probability(reply.tokens, anomalous=verdict.anomalous)


def _words_of(text: str) -> str:
    """Return a text without thinking; "" where it ends in the middle of it."""
    try:
        return final_text(Reply(text))
    except ParseError:
        return ""


def _remarks(reply: Reply, verdict: Verdict) -> Iterator[str]:
    if came_aside(reply):
        yield "the answer came as reasoning_content, where the thinking belongs; it was used"
    if reply.first_text:
        found = "stood in words alone, too" if verdict.path == "prose" else "is the one that counts"
        yield f"the model's first answer held no answer object; it was asked once more, and its second answer {found}"
