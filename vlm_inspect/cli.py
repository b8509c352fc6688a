"""The command line. Results go to stdout, everything else to stderr; exit codes: OK 0, NG 1, REVIEW 3, error 2."""

import atexit
import errno
import gc
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from functools import cache

import click

from converters.errors import ConversionError
from vlm_inspect.command_options.groups import write_environment
from vlm_inspect.commands.agreement import agreement
from vlm_inspect.commands.ask import ask
from vlm_inspect.commands.batch import batch
from vlm_inspect.commands.cache import cache as cache_command
from vlm_inspect.commands.calibrate import calibrate
from vlm_inspect.commands.cases import cases
from vlm_inspect.commands.chat import chat
from vlm_inspect.commands.demo import demo
from vlm_inspect.commands.doctor import doctor
from vlm_inspect.commands.init import init
from vlm_inspect.commands.references import references
from vlm_inspect.commands.replay import replay
from vlm_inspect.commands.sensitivity import sensitivity
from vlm_inspect.commands.serve import serve, token
from vlm_inspect.commands.watch import watch
from vlm_inspect.errors import InspectError, InspectWarning
from vlm_inspect.training.command import train
from vlm_inspect.version import VERSION

ERROR = 2
"""Exit code of every failure, bugs included: never 1, which would read as NG."""
INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EIO, errno.EFBIG)


class _Commands(click.Group):
    """The commands of this package, and those that live above it and are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ABOVE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ABOVE:
            command: click.Command = getattr(importlib.import_module(_ABOVE[cmd_name]), cmd_name.replace("-", "_"))
            return command
        return super().get_command(ctx, cmd_name)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say what is read from the environment."""
        write_environment(formatter)
        super().format_epilog(ctx, formatter)


_ABOVE = {
    "ablate": "evaluation.commands.ablate",
    "bench": "evaluation.commands.bench",
    "compare": "evaluation.commands.compare",
    "option-order": "evaluation.commands.option_order",
    "rule-test": "evaluation.commands.rule_test",
    "shift": "evaluation.commands.shift",
}


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="vlm-inspect")
def cli() -> None:
    """Judge one part (photo, 3-D scan, video or sensor curve) and say why: OK, NG or REVIEW, rule by rule.

    Works offline from the first minute: without --model nothing leaves this machine.

    \b
    Example:
      vlm-inspect demo demo
      vlm-inspect ask demo/screw/missing_thread.ply --rules demo/rules/screw.yaml
    """


for _command in (
    agreement,
    ask,
    batch,
    cache_command,
    replay,
    cases,
    calibrate,
    chat,
    train,
    demo,
    doctor,
    init,
    references,
    sensitivity,
    watch,
    serve,
    token,
):
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if not debug:
        warnings.simplefilter("ignore")  # a library's remark is not for the person at the line
        warnings.simplefilter("default", InspectWarning)
        warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a sign still gets the result
    _end_quickly()
    sys.exit(_run(arguments, debug=debug))


@cache
def _end_quickly() -> None:
    """Keep the interpreter from searching everything for garbage as it ends: 0.4 s with the libraries loaded."""
    atexit.register(gc.freeze)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from vlm_inspect.safe_text import plain_line

    click.echo(f"vlm-inspect: warning: {plain_line(str(message))}", err=True)


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        return int(cli.main(args=arguments or ["--help"], prog_name="vlm-inspect", standalone_mode=False) or 0)
    except SystemExit:  # how click and rich leave a pipe that its reader closed: with 1, which would read as NG
        return _fail("stdout was closed before the whole result was written; let its reader read on", debug=debug)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None and error.message == error.ctx.get_help():
            return _show_help(error.message)  # a group without its command, as `references`
        return _fail(_usage_fault(error), debug=debug)
    except (click.Abort, KeyboardInterrupt):
        click.echo("vlm-inspect: interrupted", err=True)
        return INTERRUPTED
    except (InspectError, ConversionError) as error:
        return _fail(str(error), debug=debug)
    except MemoryError:
        return _fail("out of memory: give a smaller file, or fewer references", debug=debug)
    except OSError as error:
        place = error.filename or ("stdout" if error.errno in _FULL else "system")
        return _fail(f"{place}: {error.strerror or error}", debug=debug)
    except Exception as error:  # noqa: BLE001 - a bug must exit with 2: Python's own 1 would read as NG
        return _fail(f"internal error, please report it with --debug: {type(error).__name__}: {error}", debug=debug)


def _show_help(text: str) -> int:
    from vlm_inspect.safe_text import write_line

    write_line(text)
    return 0


def _usage_fault(error: click.ClickException) -> str:
    """Return what is wrong with a command; of a word where a number belongs, click says that it is no "range"."""
    text = error.format_message()
    if isinstance(error, click.NoSuchOption) and (named := _file_like_an_option()):
        return f"{text.rstrip('.')}; if {named} is a file, write ./{named}"
    command = error.ctx.command.name if isinstance(error, click.UsageError) and error.ctx is not None else None
    if text.startswith("Got unexpected extra argument") and command == "ask":
        return f"{text.rstrip('.')}: ask takes one part; give several to vlm-inspect batch"
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param is not None else None
    if not isinstance(kind, click.IntRange | click.FloatRange):
        return text
    number = "whole number" if isinstance(kind, click.IntRange) else "number"
    least = "" if kind.min is None else f" {'above' if kind.min_open else 'from'} {kind.min}"
    most = "" if kind.max is None else f" {'below' if kind.max_open else 'to'} {kind.max}"
    return text.replace(f"is not a valid {kind.name}.", f"is not a {number}; give one{least}{most}.")


def _file_like_an_option() -> str:
    """Return the first argument that reads like an option and is a file's name; "" where there is none."""
    return next((one for one in sys.argv[1:] if one.startswith("-") and os.path.lexists(one)), "")


def _fail(message: str, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    from vlm_inspect.safe_text import plain_line

    click.echo(f"vlm-inspect: error: {plain_line(message)}", err=True)
    return ERROR


if __name__ == "__main__":
    main()
