"""What servers say about pictures: how many they take, or that the model takes none."""

import re

_NUMBERS = {"one": 1, "a single": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_NUMBER = r"(\d{1,4}|one|a single|single|two|three|four|five)"
_PICTURE = r"(?:images?|pictures?|image\(s\)|image_urls?|image inputs?|visual inputs?)"
_BOUNDS = "|".join(
    (
        r"at most|up to|maximum(?: number)?(?: of)?|max(?:imum)?(?: is| of)?|limit(?:ed)?(?: to| of| is)?",
        r"only(?: supports?| allows?| accepts?)?|(?:no )?more than|exceeds?(?: the)?(?: limit| maximum)?(?: of)?",
        r"fewer than|allows?|accepts?|supports?",
    )
)
_LIMIT = re.compile(
    rf"(?:{_BOUNDS})[ :=]*{_NUMBER} {_PICTURE}\b|"
    rf"{_PICTURE}\b[^.;]{{0,60}}?(?:{_BOUNDS}|>|<=?|allowed)[^.;\d]{{0,24}}{_NUMBER}\b"
)
_TOO_MANY = re.compile(
    rf"too many {_PICTURE}|(?:number|count) of {_PICTURE}[^.]{{0,40}}(?:exceed|too)|multiple {_PICTURE}"
)
_NOT = r"(?:(?:is|are) not|isn't|aren't|not) (?:supported|enabled|allowed|accepted)"
_NONE = re.compile(
    "|".join(
        (
            rf"(?:image|vision|visual|multi-?modal)[ _](?:inputs?|contents?|urls?)\b[^.]{{0,30}}{_NOT}",
            rf"\b(?:images|pictures|vision|multi-?modality) {_NOT}",
            r"(?:does|do|can) ?(?:not|n't) (?:support|accept|take|process|handle|read|have)[^.]{0,20}"
            r"\b(?:images?|pictures?|vision|visual|multi-?modal)\b(?! (?:format|type|size|larger|of|in))",
            r"cannot (?:process|take|read|handle)[^.]{0,20}\bimages\b",
            r"no (?:allowed )?(?:endpoints?|providers?)[^.]{0,40}\bimages?\b",
            r"not (?:a )?(?:multi-?modal|vision)|text[- ]only model|at most 0 image|mmproj",
            r"unknown variant .?image_url|image_url.{0,20} is only supported by|content.{0,30}must be a string",
        )
    )
)


def refuses_pictures(message: str) -> bool:
    """Return whether a server's message says that the model takes no picture at all."""
    text = message.lower()
    return bool(_NONE.search(text)) and not _TOO_MANY.search(text)


def allowed_pictures(message: str, sent: int) -> int | None:
    """Return how many pictures a server's refusal allows, or None where it is about something else.

    Args:
        message: the server's message.
        sent: how many pictures the refused request held; where the message names no number, half of them.
    """
    text = message.lower()
    named = [found for match in _LIMIT.finditer(text) for found in match.groups() if found]
    fitting = [count for count in (_NUMBERS.get(n) or int(n) for n in named) if 0 < count < sent]
    if fitting:
        return max(fitting)
    if sent > 1 and _TOO_MANY.search(text):
        return 1 if "multiple" in text else sent // 2
    return None
