"""Everything that vlm_inspect raises on purpose; each message is one line that says what to do next.

InspectError
├── RuleError              a rule book is wrong: names the key and the line
├── ConfigError            a configuration file is wrong: names the key and the line
├── ReferenceSampleError   a reference is missing or of another kind than the source
├── MeasurementError       a check could not be measured on this sample
├── LocalizerError         a localizer or its weights cannot be used
├── DatasetError           a data folder, or a file that lays it out, cannot be used
├── TrainingError          training data, or a training run, cannot be used
├── PromptError            a template is wrong, or a variable of it is missing
├── BackendError           a model cannot be reached, or rejects the request
│   └── ToolsRefusedError  it takes no tools
├── ToolError              the model called a tool wrongly (tools/result.py)
├── CommandError           a person called a command of the chat wrongly (chat/commands.py)
├── ParseError             a reply carries no verdict; `reply_text` holds it
├── CalibrationError       a calibration file does not fit, or too few samples
├── StoreError             the store of cases cannot be used, or a case is not in it
│   ├── UnknownCaseError   no case has this id, or several begin with it
│   └── DateError          a date of a list is none
└── OutputError            a result cannot be written
"""


class InspectError(Exception):
    """Root of the errors that the command line shows as one line, with exit code 2."""


class InspectWarning(UserWarning):
    """Something was done otherwise than asked: the command line shows it as one line and goes on."""


class RuleError(InspectError):
    """A rule book is wrong; the message names the file, the line and the key."""


class ConfigError(InspectError):
    """A configuration file is wrong; the message names the file, the line and the key."""


class ReferenceSampleError(InspectError):
    """A reference is missing, unreadable or of another kind than the source."""


class MeasurementError(InspectError):
    """A check could not be measured on this sample; the rule becomes cannot_tell, never pass."""


class LocalizerError(InspectError):
    """A localizer, its backbone or its weights cannot be used."""


class DatasetError(InspectError):
    """A data folder has no known layout, or a file that describes it is wrong."""


class TrainingError(InspectError):
    """Training data cannot be used, or a training run cannot go on; what was saved before is kept."""


class PromptError(InspectError):
    """A prompt template is wrong, or a variable that it needs is missing."""


class BackendError(InspectError):
    """A model cannot be reached after bounded retries, or rejects the request."""


class ToolsRefusedError(BackendError):
    """A model, or its server, takes no tools."""


class ParseError(InspectError):
    """A reply carries no verdict (refusal, truncation, no JSON); fusion turns it into REVIEW.

    Attributes:
        reply_text: the reply as it came, for the record.
        cause: one of "empty", "refusal", "truncated", "unreadable".
    """

    def __init__(self, message: str, *, reply_text: str, cause: str) -> None:
        super().__init__(message)
        self.reply_text = reply_text
        self.cause = cause


class CalibrationError(InspectError):
    """A calibration file does not fit this rule book or localizer, or rests on too few samples."""


class StoreError(InspectError):
    """The store of cases cannot be opened, read or written, or a case or its files are not in it."""


class UnknownCaseError(StoreError):
    """No case has this id, or several begin with it."""


class DateError(StoreError):
    """A date by which cases are listed is none."""


class OutputError(InspectError):
    """A result cannot be written where it was asked for."""
