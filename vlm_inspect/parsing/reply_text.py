"""The final text of a reply: without thinking and control tokens; empty, refused and truncated replies are errors."""

import re
import unicodedata

from vlm_inspect.backends.backend import Reply
from vlm_inspect.errors import ParseError

MAX_CHARS = 100_000
"""A longer reply is a runaway, not an answer."""

_THINKING = r"think|thinking|thought|reasoning|scratchpad"
_END_OF_THINKING = re.compile(rf"</(?:{_THINKING})>|◁/think▷", re.IGNORECASE)
_OPEN_THINKING = re.compile(rf"<(?:{_THINKING})>|◁think▷", re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"\A.*<\|channel\|>\s*final\s*(?:<\|[^|>]*\|>[^<]*?)?<\|message\|>", re.DOTALL)
_CONTROL_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_]{1,40}\|>|</?s>|</?(?:answer|final_answer|response|output)>", re.IGNORECASE
)

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
    if not reply.text.strip():
        raise ParseError("The model's reply is empty.", reply_text=reply.text, cause="empty")
    if len(reply.text) > MAX_CHARS:
        raise ParseError(
            f"The model's reply is a runaway of {len(reply.text)} characters.",
            reply_text=reply.text,
            cause="unreadable",
        )
    return _without_thinking(reply.text)


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
    text = raw.strip()
    if text.startswith(("{", "[")):  # an answer that only quotes such a tag
        return text
    text = _FINAL_CHANNEL.sub("", text)
    ends = [match.end() for match in _END_OF_THINKING.finditer(text)]
    text = text[ends[-1] :] if ends else text  # the opening tag may be part of the prompt
    if _OPEN_THINKING.search(text):
        raise _truncated(raw, "it ends inside the model's thinking")
    if "<|channel|>" in text:
        raise _truncated(raw, "it holds no final message")
    text = _CONTROL_TOKEN.sub(" ", text).strip()
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
