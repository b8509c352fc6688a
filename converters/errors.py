"""The one error that leaves this package.

ConversionError
└── MissingLibraryError    an optional library is not installed; the message names the extra
"""


class ConversionError(ValueError):
    """An input file cannot become views; the message is one line that says what is wrong and what to do."""


class MissingLibraryError(ConversionError):
    """Reading this input needs a library that is not installed; the message names the extra to install."""
