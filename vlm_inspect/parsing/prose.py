"""Yes/no answers in plain English.

Each clause of the text is a statement that the part is anomalous, a statement that it is normal, doubt, or neither.
One clause of doubt, or clauses that disagree, make the text unreadable: a wrong "normal" costs more than a second look.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.reply_text import clean_text
from vlm_inspect.verdict import Verdict

Meaning = Literal["anomalous", "normal", "doubt"]

_ANOMALY = (
    r"anomal(?:y|ies|ous)|abnormal\w*|defect(?:s|ive|ed)?|damaged?|flaw(?:s|ed)?|fault(?:s|y)?|broken|crack(?:s|ed|ing)?|"
    r"scratch(?:es|ed)?|dent(?:s|ed)?|bent|missing|misaligned|misplaced|contaminat\w+|chip(?:s|ped)|stain(?:s|ed)?|"
    r"corro\w+|rust\w*|deform\w*|deviat\w+|wrong|irregular\w*|incomplete|worn|torn|burnt|foreign|issues?|problems?|ng|"
    r"fail(?:s|ed|ures?)?|reject(?:s|ed)?|imperfections?|blemish\w*|discolou?r\w*|unacceptable|non-?conform\w*"
)
_GOOD = r"normal|intact|acceptable|good|fine|okay|ok|conform\w*|flawless|undamaged"
_COPULA = r"is|are|was|were|looks?|appears?|seems?|remains?|be|considered|deemed|in"
_HAS_ANOMALY = re.compile(rf"\b(?:{_ANOMALY})\b")
_IS_GOOD = re.compile(rf"\b(?:{_COPULA})\b(?:[\s,]+[\w-]+){{0,3}}?\s+(?P<word>{_GOOD})\b|\b(?P<verb>passes|passed)\b")
_IS_FLAWLESS = re.compile(r"\b(?:flawless|undamaged)\b")
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|shows?|exhibits?|contains?|displays?|there)\b")
_NEGATOR = re.compile(r"\b(?:no|not|never|none|nothing|without|free (?:of|from)|neither|nor|absence of)\b")
_DOUBT = re.compile(
    r"\b(?:might|may|maybe|perhaps|possib\w+|probabl[ey]|likely|unlikely|unclear|unsure|uncertain\w*|inconclusive|"
    r"ambiguous|either|insufficient|depends|assuming|if|unless|could be|not sure|hard to|difficult to|impossible to|"
    r"unable to|not able to|not visible|not possible|can not|could not|rule out|ruled out|exclude|more information|"
    r"not enough|suspect\w*|not (?:necessarily|certain|clear)|doubtful|guess|suggests?)\b"
)
_HYPOTHETICAL = re.compile(
    r"\b(?:should|must|would|ought|whether|supposed to)\b|\bthe rules? (?:says?|requires?)\b|"
    r"^(?:an? |every |all |the )?(?:normal|good|perfect|flawless|typical|reference)\b|"
    r"\b(?:references?|first (?:image|photo|picture|view))(?: \w+){0,2} (?:shows?|is|are|has|have|looks?|appears?)\b|"
    r"^(?:please|let me know|feel free|answer|respond|determine|decide|check|inspect|look|task|question|here)\b"
)
_OTHER_SUBJECT = re.compile(
    r"\b(?:image|photo|picture|lighting|illumination|quality|resolution|question|inspection|exposure|focus|references?)\b"
)
_BARE = re.compile(r"^(yes|no)\b(?=\s*(?:[.,:;!—–-]|$|\s(?:the|this|that|there|it|i|all|both)\b))[\s.,:;!—–-]*")
_SPLIT = re.compile(
    r"[.!;:\n]+(?:\s+|$)|(?:,| and|, and)\s+(?=(?:the|its?|there|this|that|one|two|some)\b)|"
    r",?\s+\b(?:but|however|although|though|except(?: for)?|apart from|aside from|other than|besides|yet|whereas|while|"
    r"nevertheless|still)\b"
)
_FIELD = re.compile(
    r"\b(?:is[_ ])?(anomalous|anomaly|defective|verdict|outcome|result|decision|conclusion|correctness|final answer)\b"
    r"\s*(?:[:=>?]|->|→)+\s*(?:</?\w+>)?\s*"
    r"(not anomalous|not defective|not ok|true|false|yes|no|anomalous|normal|defective|ng|ok|pass|fail|1|0)\b"
    r"(?!\s*[/|])"
)
_FIELD_TRUE = frozenset({"true", "yes", "anomalous", "defective", "ng", "fail", "not ok", "1"})
_ECHO = re.compile(r"\b(?:true|yes|normal|ok|pass)\s*[/|]\s*(?:false|no|anomalous|ng|fail)\b")
_GENERAL = re.compile(r"\b(?:normal|anomal\w+|defect\w*|flaw\w*|acceptable|good condition)\b", re.IGNORECASE)
_PROBABILITY = re.compile(r"\bprobability\b[^.\d%]{0,40}(\d+(?:\.\d+)?)\s*(%|per ?cent)?")


@dataclass(frozen=True)
class Statement:
    """What a text says. `bare` is True where only a yes or a no carries it."""

    anomalous: bool
    bare: bool


def read_prose(text: str, *, asked: bool) -> Verdict:
    """Return the verdict that a text in plain English states.

    Args:
        text: the reply, without thinking.
        asked: the user asked a question of their own. A bare yes or no may answer that instead, and "no scratches"
            then says nothing of other defects.

    Raises:
        ParseError: no statement, doubt, or statements that contradict each other ("unreadable").
    """
    statement = classify(text)
    if statement is None:
        raise ParseError("The model's reply states no clear verdict.", reply_text=text, cause="unreadable")
    if asked and (statement.bare or not (statement.anomalous or _GENERAL.search(text))):
        raise ParseError(
            "The model's reply may answer the question alone, and not whether the part is anomalous.",
            reply_text=text,
            cause="unreadable",
        )
    return Verdict(
        anomalous=statement.anomalous,
        reasoning=clean_text(text)[:8000],
        probability=_probability(text),
        path="prose",
    )


def classify(text: str) -> Statement | None:
    """Return what a text in plain English states about the part, or None where it is silent, unsure or at odds."""
    plain, fields = _take_fields(_plain(text))
    if plain.strip(" .!") in ("normal", "anomalous"):
        return Statement(anomalous=plain.startswith("anomalous"), bare=False)
    if _ECHO.search(plain):
        return None
    bare: list[Meaning] = []
    said: list[Meaning] = list(fields)
    for sentence in _sentences(plain):
        match = _BARE.match(sentence)
        if match:
            bare.append("anomalous" if match[1] == "yes" else "normal")
        rest = sentence[match.end() :] if match else sentence
        said.extend(meaning for clause in _SPLIT.split(rest) if (meaning := _meaning(clause)) is not None)
    meanings = {*bare, *said}
    if len(meanings) != 1 or "doubt" in meanings:
        return None
    return Statement(anomalous="anomalous" in meanings, bare=not said)


def _plain(text: str) -> str:
    """Return the text in lower case, with straight quotes, without markup, contractions and figures of speech."""
    plain = text.lower().replace("’", "'").replace("‘", "'")
    plain = re.sub(r"[*_`#>\"“”]+", " ", plain.replace("is_anomalous", "anomalous"))
    plain = re.sub(r"\bcan't\b|\bcannot\b", "can not", plain)
    plain = re.sub(r"\bwon't\b", "will not", plain)
    plain = re.sub(r"n't\b", " not", plain)
    plain = re.sub(
        r"\b(?:can|could|do|does|did) not (?:see|find|detect|identify|observe|notice|show|have|exhibit|contain)"
        r" (?:any|a|an)\b",
        "there is no",
        plain,
    )
    plain = re.sub(r"\b(?:non|not)-(defective|anomalous)\b|\bdefect-free\b", "undamaged", plain)
    plain = re.sub(r"\bno (?:doubt|question)\b|\bnot only\b|\bno longer\b|\bnot just\b|\bas expected\b", " ", plain)
    plain = re.sub(r"\bno (?:problem|worries)\s*[!,.]", " ", plain)
    plain = re.sub(r"\b(?:than|from|beyond|of) (?:the |a |an )?normal\b", " ", plain)
    return re.sub(r"[ \t]+", " ", plain).strip()


def _take_fields(plain: str) -> tuple[str, list[Meaning]]:
    """Take "anomalous: no", "verdict: NG" and the like out of the text; return the rest and what they mean."""
    meanings: list[Meaning] = []
    for match in _FIELD.finditer(plain):
        true = match[2] in _FIELD_TRUE
        if match[1] == "correctness":
            true = match[2] in ("0", "false", "no", "fail")
        elif match[1] not in ("anomalous", "anomaly", "defective") and match[2] in (
            "1",
            "0",
            "true",
            "false",
            "yes",
            "no",
        ):
            continue  # "result: yes" answers an unknown question
        elif match[2] in ("pass", "fail", "ok", "ng") and match[1] in ("anomalous", "anomaly", "defective"):
            continue
        meanings.append("anomalous" if true else "normal")
    return _FIELD.sub(" ", plain), meanings


def _sentences(plain: str) -> list[str]:
    """Return the sentences that are not questions."""
    sentences = re.findall(r"[^.!?\n]+(?:\.\d[^.!?\n]*)*[.!?]*", plain)
    return [s.strip(" -•\t") for s in sentences if not s.rstrip().endswith("?")]


def _meaning(clause: str) -> Meaning | None:
    clause = clause.strip(" ,:()-")
    if not clause or _HYPOTHETICAL.search(clause):
        return None
    if _DOUBT.search(clause):
        return "doubt"
    votes = set(_votes(clause))
    if not votes:
        return None
    return votes.pop() if len(votes) == 1 else "doubt"


def _votes(clause: str) -> Iterator[Meaning]:
    """Yield what each telling word of a clause says, turned round by a negation before it.

    A negation carries on along a list ("no dents, chips or cracks"), and ends at the next verb or negation.
    """
    end = negations = 0
    for start, stop, is_anomaly in _telling_words(clause):
        gap = clause[end:start]
        own = len(_NEGATOR.findall(gap))
        if end == 0 or own or _VERB.search(gap):
            negations = own
        end = stop
        if negations > 1:
            yield "doubt"
        yield "anomalous" if is_anomaly != (negations > 0) else "normal"


def _telling_words(clause: str) -> list[tuple[int, int, bool]]:
    """Return start, end and "is a word for an anomaly" of the telling words of a clause, in order."""
    words = [(m.start(), m.end(), True) for m in _HAS_ANOMALY.finditer(clause)]
    words += [(m.start(), m.end(), False) for m in _IS_FLAWLESS.finditer(clause)]
    if not _OTHER_SUBJECT.search(clause):
        for match in _IS_GOOD.finditer(clause):
            group = "word" if match["word"] else "verb"
            words.append((match.start(group), match.end(group), False))
    return sorted(set(words))


def _probability(text: str) -> float | None:
    match = _PROBABILITY.search(text.lower())
    if match is None:
        return None
    number = float(match[1]) / (100.0 if match[2] else 1.0)
    return number if 0.0 <= number <= 1.0 else None
