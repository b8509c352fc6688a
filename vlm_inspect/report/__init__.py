"""An inspection as a person or a program reads it: terminal, JSON, overlay PNG, self-contained HTML."""

from vlm_inspect.report.outputs import Outputs

__all__ = ["Outputs"]
