"""Numbers and foreign words as a page prints them."""

from markupsafe import Markup

from vlm_inspect.safe_text import plain


def number(value: float | None) -> str:
    """Return a metric in three digits; None is n/a."""
    return "n/a" if value is None else f"{value:.3f}"


def share(value: float | None) -> str:
    """Return a share as a percentage; None is n/a."""
    return "n/a" if value is None else f"{value:.1%}"


def breakable(text: str) -> Markup:
    """Return a path or an id that may break after its separators, and nowhere inside a word that fits a line."""
    escaped = str(Markup.escape(plain(text)))
    return Markup(escaped.replace("/", "/<wbr/>").replace("_", "_<wbr/>"))
