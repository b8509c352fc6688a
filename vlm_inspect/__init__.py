"""Judge one part, photo, scan, clip or curve, rule by rule: OK, NG or REVIEW, with places and reasons."""

from typing import TYPE_CHECKING, Any

from vlm_inspect.version import VERSION

if TYPE_CHECKING:
    from vlm_inspect.agent_tool import as_tool
    from vlm_inspect.inspection import Inspection
    from vlm_inspect.inspector import Inspector
    from vlm_inspect.rules import RuleBook, load_rules

__version__ = VERSION
__all__ = ["Inspection", "Inspector", "RuleBook", "as_tool", "load_rules"]

_HOME = {
    "Inspection": "vlm_inspect.inspection",
    "Inspector": "vlm_inspect.inspector",
    "RuleBook": "vlm_inspect.rules",
    "as_tool": "vlm_inspect.agent_tool",
    "load_rules": "vlm_inspect.rules",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import vlm_inspect` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
