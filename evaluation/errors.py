"""What this package raises on purpose, beside the ValueError of a metric that is given nonsense.

InspectError
└── RunError               a benchmark run cannot start or go on
    └── RunStoppedError         it stopped by a limit of its own, and --resume goes on
"""

from vlm_inspect.errors import InspectError


class RunError(InspectError):
    """A run cannot start or go on as asked: the output folder is another run's, references are scored, ..."""


class RunStoppedError(RunError):
    """A run stopped by its own limit (failures, budget); what is done is in the journal, and --resume goes on."""
