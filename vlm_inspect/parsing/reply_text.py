"""The final text of a reply: without thinking and control tokens; empty, refused and truncated replies are errors."""

import re
import unicodedata

from vlm_inspect.backends.backend import Reply
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.answer_json import is_whole_object
from vlm_inspect.parsing.thinking import UnclosedMarkError, without_thinking

MAX_CHARS = 100_000
"""A longer reply is a runaway, not an answer."""
FINISHED = "stop"
"""The one finish reason of a whole answer; every other one is a cut or a failure."""

_FINAL_CHANNEL = re.compile(r"\A.*<\|channel\|>\s*final\s*(?:<\|[^|>]*\|>[^<]*?)?<\|message\|>", re.DOTALL)

_I = r"\b(?:i|we)\s*(?:(?:am|are|'m|'re)\s+)?(?:(?:really|very|so|truly)\s+)?(?:sorry,?\s*(?:but\s+)?(?:i\s+)?)?"
_CANNOT = (
    r"(?:can\s?not|can't|could not|couldn't|won't|will not|(?:am\s+|'m\s+)?unable to|(?:am\s+|'m\s+)?not able to|"
    r"(?:have to|must)?\s*decline(?:\s+to)?|(?:do not|don't) feel comfortable|refuse to)"
)
_DEED = (
    r"(?:be able to\s+)?(?:help|assist|provide|comply|answer|process|view|analy[sz]e|fulfil|engage|"
    r"do (?:that|this|so)|respond|evaluate|inspect|access|open|continue|offer|give|make (?:a|this|that)|perform|"
    r"complete|see (?:the|any|an) (?:image|picture|photo)|identify)"
)
_SENT = "(?:provided|attached|uploaded|received|supplied|included|given|loaded)"
_BLIND = (
    rf"\bno (?:image|picture|photo|view)s?\b[^.]{{0,30}}\b{_SENT}\b|"
    r"\b(?:image|picture|photo)s?\b[^.]{0,20}\b(?:(?:was|were|is|are|been) not|wasn't|weren't|isn't|aren't)"
    rf"[^.]{{0,10}}\b{_SENT}\b|"
    rf"{_I}{_CANNOT}\s+(?:directly\s+)?(?:see|view|access|open|process|display|analy[sz]e)\s+(?:\w+\s+){{0,2}}"
    r"(?:image|picture|photo)|"
    rf"{_I}{_CANNOT}\s+(?:help|assist|comply)\b"
)
_BLINDNESS = re.compile(_BLIND, re.IGNORECASE)
_REFUSAL = re.compile(
    rf"{_BLIND}|{_I}{_CANNOT}\s+{_DEED}|\b{_CANNOT}\s+(?:help|assist)\b|"
    r"\bas an ai\b|\bi(?:'m| am) (?:just |only )?an ai\b|"
    r"\bagainst (?:my|our|the) (?:\w+ )?(?:polic|guideline|rule|principle)|\bcontent policy\b|"
    r"\bplease (?:provide|upload|share|attach|send|supply) (?:an?|the|your|another) (?:\w+ )?(?:image|picture|photo)|"
    r"\bi must decline\b",
    re.IGNORECASE,
)


def final_text(reply: Reply) -> str:
    """Return the text that the model meant as its answer.

    Raises:
        ParseError: cut short, refused, empty, or thinking without an answer after it.
    """
    if reply.finish_reason in ("refusal", "content_filter"):
        raise ParseError(
            f"The model refused to answer (finish reason {reply.finish_reason}).",
            reply_text=reply.text,
            cause="refusal",
        )
    if reply.finish_reason == "length":
        raise _truncated(reply.text, "the token limit cut it")
    if reply.finish_reason != FINISHED:
        told = "; ".join((f"finish reason {clean_text(reply.finish_reason)[:60]}", *reply.notes))
        raise _truncated(reply.text, f"the server cut it off, or failed ({told})")
    if len(reply.text) > MAX_CHARS:
        raise ParseError(
            f"The model's reply is a runaway of {len(reply.text)} characters.",
            reply_text=reply.text,
            cause="unreadable",
        )
    if reply.text.strip():
        return _without_thinking(reply.text)
    aside = reply.reasoning.strip()
    if aside and is_whole_object(aside):
        return aside
    told = f": all it wrote, {len(aside)} characters, is in reasoning_content, and no answer after it" if aside else ""
    raise ParseError(f"The model's reply is empty{told}.", reply_text=reply.text, cause="empty")


def came_aside(reply: Reply) -> bool:
    """Return whether the answer stands where the thinking belongs: a server took the one for the other."""
    return not reply.text.strip() and bool(reply.reasoning.strip())


def clean_text(text: str) -> str:
    """Return the text without control characters and lone surrogates, which no terminal, file or page may get."""
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(char for char in paired if char in "\n\t" or not _is_control(char)).strip()


def refuse_if_refusal(text: str) -> None:
    """Raise where prose refuses.

    Raises:
        ParseError: cause "refusal".
    """
    if _REFUSAL.search(_straight(text)):
        raise ParseError("The model refused to answer.", reply_text=text, cause="refusal")


def refuse_if_blind(reasoning: str) -> None:
    """Raise where the reasoning of a well-formed answer says that the model saw no image or would not help.

    A server that forces the answer's schema makes a refusing model fill in some verdict; it means nothing.

    Raises:
        ParseError: cause "refusal".
    """
    if _BLINDNESS.search(_straight(reasoning)):
        raise ParseError(
            "The model filled in a verdict, but its reasoning says that it could not or would not look at the images.",
            reply_text=reasoning,
            cause="refusal",
        )


def _without_thinking(raw: str) -> str:
    text = _FINAL_CHANNEL.sub("", raw.strip())
    if "<|channel|>" in text and not text.startswith("{"):
        raise _truncated(raw, "it holds no final message")
    try:
        text = without_thinking(text)
    except UnclosedMarkError as unclosed:
        raise _truncated(raw, f"it ends inside {unclosed}, which is never closed") from unclosed
    if not text:
        raise ParseError("The model's reply holds thinking but no answer.", reply_text=raw, cause="empty")
    return text


def _straight(text: str) -> str:
    """Return the text with straight apostrophes and single spaces."""
    return " ".join(text.replace("’", "'").replace("‘", "'").split())


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc"


def _truncated(reply_text: str, why: str) -> ParseError:
    return ParseError(f"The model's reply is truncated: {why}.", reply_text=reply_text, cause="truncated")
