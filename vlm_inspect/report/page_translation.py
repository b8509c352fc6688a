"""A written page in another language: its texts are translated by their sentences, as on the page of the service.

What a person, a model or a file has named stays as it is: elements marked translate="no", and sentences that the
program did not say (docs/decisions/0055).
"""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import resources

import yaml

from vlm_inspect.answers.language import named_language
from vlm_inspect.answers.translation import Translation, translation_to

_TOKENS = re.compile(r"(<[^>]*>)")
_TAG = re.compile(r"<\s*(/?)\s*([a-zA-Z0-9]+)")
_TOLD = re.compile(r'\b(alt|title|aria-label|data-name)="([^"]*)"')
_VERBATIM = {"style", "script", "code"}


def translate_page(page: str, language: str | None) -> str:
    """Return a page that this program has written, in a language.

    Args:
        page: HTML, in English.
        language: by its name or code, as `--language` takes it; one without such words leaves the page in English.
    """
    code = _code_of(language)
    translation = None if code is None else _translation_of(code)
    if code is None or translation is None:
        return page
    return "".join(_translated(page.replace('<html lang="en">', f'<html lang="{code}">', 1), translation))


def _translated(page: str, translation: Translation) -> Iterator[str]:
    """Yield the tokens of a page, its texts translated but for those inside elements that stay as they are."""
    kept: str | None = None
    for token in _TOKENS.split(page):
        if token.startswith("<"):
            tag = _TAG.match(token)
            name = "" if tag is None else tag[2].lower()
            if kept is None and tag is not None and not tag[1] and (name in _VERBATIM or 'translate="no"' in token):
                kept = name
            elif kept == name and tag is not None and tag[1]:
                kept = None
            yield token if kept else _TOLD.sub(lambda found: f'{found[1]}="{_said(found[2], translation)}"', token)
        else:
            yield token if kept else _said(token, translation)


def _said(text: str, translation: Translation) -> str:
    bare = text.strip()
    if not bare:
        return text
    said = html.escape(translation(" ".join(html.unescape(bare).split())))
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{said}{after}"


def _code_of(language: str | None) -> str | None:
    spoken = named_language(language) if language else None
    codes = () if spoken is None else spoken.known_as
    return next((one for one in codes if one.isascii() and translation_to(one) is not None), None)


@cache
def _translation_of(code: str) -> Translation | None:
    """Return the sentences of the program and of its pages in one language; None: there are none of its pages."""
    known = translation_to(code)
    file = resources.files("vlm_inspect.report") / "words" / f"{code}.yaml"
    if known is None or not file.is_file():
        return None
    own = yaml.safe_load(file.read_text(encoding="utf-8"))
    return replace(known, sentences={**own, **known.sentences})
