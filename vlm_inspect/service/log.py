"""The log of the service: dated lines on stderr, without anything that drives a terminal."""

import logging
import time

from vlm_inspect.safe_text import write_line

NAME = "vlm_inspect.service"


class LineHandler(logging.Handler):
    """Prints every record through the one way to the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, the lines of a traceback below it."""
        try:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
            write_line(f"{when} {self.format(record)}", err=True)
        except Exception:  # noqa: BLE001 - a log that cannot be written must not end what is logged
            self.handleError(record)


def is_no_hurried_end(record: logging.LogRecord) -> bool:
    """Tell whether a record of the server is more than that it was told twice to end, which it logs as a traceback."""
    told = record.getMessage()
    return not ("KeyboardInterrupt" in told and "CancelledError" in told)


def open_log(*, quiet: bool) -> None:
    """Print what the service logs; a quiet one tells of trouble only."""
    log = logging.getLogger(NAME)
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    if not any(isinstance(handler, LineHandler) for handler in log.handlers):
        log.addHandler(LineHandler())
    log.propagate = False
    server = logging.getLogger("uvicorn.error")
    if is_no_hurried_end not in server.filters:
        server.addFilter(is_no_hurried_end)
