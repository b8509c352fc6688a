"""The one error that leaves this package."""


class ConversionError(ValueError):
    """An input file cannot become views; the message is one line that says what is wrong and what to do."""
