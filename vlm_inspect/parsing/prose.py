"""What plain English tells: that a part is anomalous, or nothing.

A reply in words never makes a part OK. English has more ways to name a fault than any list of words ("No, the plate is
split in two."), so that a text which sounds normal may be anything. Only what plainly says anomalous counts, and
nothing that is unsure, conditional or at odds with itself is plain.
"""

import re

_ANOMALY = (
    r"anomal(?:y|ies|ous)|abnormal\w*|defect(?:s|ive|ed)?|damaged?|flaw(?:s|ed)?|fault(?:s|y)?|broken|crack(?:s|ed|ing)?|"
    r"scratch(?:es|ed)?|dent(?:s|ed)?|bent|missing|misaligned|misplaced|contaminat\w+|chip(?:s|ped)|stain(?:s|ed)?|"
    r"corro\w+|rust\w*|deform\w*|deviat\w+|wrong|irregular\w*|incomplete|worn|torn|burnt|split|ng|"
    r"fail(?:s|ed|ures?)?|reject(?:s|ed)?|blemish\w*|discolou?r\w*|unacceptable|non-?conform\w*"
)
_GOOD = r"normal|intact|acceptable|good|fine|okay|ok|conform\w*|flawless|undamaged|whole|complete|correct"
_FAULT = re.compile(rf"\b(?:{_ANOMALY})\b")
_ASSERTS = re.compile(
    r"\b(?:is|are|was|were|has|have|had|shows?|exhibits?|contains?|displays?|looks?|appears?|there|sees?|finds?|found|"
    r"detect(?:s|ed)?|visible|present|crosses|runs)\b"
)
_FIELD = re.compile(
    r"\b(?:(?:is[_ ])?(?:anomalous|anomaly|defective)\s*(?:[:=>]|->|→)+\s*(?:true|yes|anomalous|defective)"
    r"|(?:verdict|outcome|result|decision|conclusion|final answer)\s*(?:[:=>]|->|→)+\s*"
    r"(?:anomalous|defective|ng|fail|not ok|reject))\b(?!\s*[/|])"
)
_FAILS = re.compile(
    rf"\b(?:is|are|looks?|appears?) not (?:{_GOOD})\b|\b(?:does|do|did) not (?:meet|match|conform|comply|pass)\b"
)
"""A negation that names a fault."""
_UNPLAIN = re.compile(
    r"\b(?:no|not|never|none|nothing|without|free (?:of|from)|neither|nor|absence of|cannot)\b|"
    rf"\b(?:{_GOOD})\b|"
    r"\b(?:might|may|maybe|perhaps|possib\w+|probabl[ey]|likely|unlikely|unclear|unsure|uncertain\w*|inconclusive|"
    r"ambiguous|either|insufficient|depends|assuming|if|unless|could|hard to|difficult to|impossible to|unable|"
    r"rule out|ruled out|exclude|suspect\w*|doubtful|guess|suggests?|should|must|would|ought|whether|supposed)\b|"
    r"\b(?:references?|question|task|rules?)\b|"
    r"\b(?:check|look|inspect|search|examine|analy[sz]e)\w*\b[^.]{0,20}\bfor\b|\blet me\b|\bi will\b"
)
"""Words beside which nothing is plain: negation, praise, doubt, condition, and other subjects than the part."""


def says_anomalous(text: str) -> bool:
    """Return whether a text in plain English plainly says that the part is anomalous; False says nothing at all."""
    plain = _FAILS.sub("is defective", _plain(text))
    if _FIELD.search(plain):
        rest = _FIELD.sub(" ", plain)
        return not re.search(rf"\b(?:no|not|never|{_GOOD})\b", rest)
    sentences = [s for s in re.findall(r"[^.!?\n]+(?:\.\d[^.!?\n]*)*[.!?]*", plain) if not s.rstrip().endswith("?")]
    told = any(_FAULT.search(sentence) and _ASSERTS.search(sentence) for sentence in sentences)
    return told and not any(_UNPLAIN.search(sentence) for sentence in sentences)


def _plain(text: str) -> str:
    """Return the text in lower case, with straight quotes, without markup, contractions and figures of speech."""
    plain = text.lower().replace("’", "'").replace("‘", "'")
    plain = re.sub(r"[*_`#>\"“”]+", " ", plain.replace("is_anomalous", "anomalous"))
    plain = re.sub(r"\bcan't\b|\bcannot\b", "can not", plain)
    plain = re.sub(r"n't\b", " not", plain)
    plain = re.sub(r"\b(?:there is )?no (?:doubt|question)\b|\bnot only\b|\bno longer\b|\bnot just\b", " ", plain)
    return re.sub(r"[ \t]+", " ", plain).strip()
