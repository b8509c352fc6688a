"""Templates to HTML; everything foreign is escaped, control signs are taken out."""

import datetime
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from vlm_inspect.safe_text import plain, plain_line
from vlm_inspect.version import VERSION

if TYPE_CHECKING:
    import jinja2


@cache
def _environment(free: Callable[[str], str]) -> "jinja2.Environment":
    import jinja2

    folder = resources.files("vlm_inspect.page") / "templates"
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: plain(free(value)) if type(value) is str else value,
    )
    made.filters.update(line=plain_line, day_time=day_time)
    made.globals.update(version=VERSION)
    return made


def render(name: str, free: Callable[[str], str], **values: Any) -> str:
    """Return the page of a template; `free` takes the paths of this machine out of what is shown."""
    return _environment(free).get_template(name).render(**values)


def day_time(text: str) -> str:
    """Return a moment of ISO 8601 as people read it, in UTC; what is none as it stands."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return plain_line(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC)
    return f"{moment:%Y-%m-%d %H:%M}"
