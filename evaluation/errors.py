"""What this package raises on purpose, beside the ValueError of a metric that is given nonsense.

InspectError
├── DatasetError           a data folder, or a file that lays it out, cannot be used; the command line exits with 2
└── RunError               a benchmark run cannot start or go on
    └── RunStoppedError         it stopped by a limit of its own, and --resume goes on
"""

from vlm_inspect.errors import InspectError


class DatasetError(InspectError):
    """A data folder has no known layout, or a file that describes it is wrong; one line that says what to do."""


class RunError(InspectError):
    """A run cannot start or go on as asked: the output folder is another run's, references are scored, ..."""


class RunStoppedError(RunError):
    """A run stopped by its own limit (failures, budget); what is done is in the journal, and --resume goes on."""
