"""The JSON of one inspection, in the shape that the contract gives."""

from vlm_inspect.inspection import Inspection
from vlm_inspect.safe_text import escape_invisible


def render_json(inspection: Inspection) -> str:
    """Return the inspection as indented JSON (UTF-8 text, a newline at its end)."""
    return escape_invisible(inspection.model_dump_json(indent=2)) + "\n"
