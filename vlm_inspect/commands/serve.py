"""`vlm-inspect serve`: inspections over HTTP, and `vlm-inspect token`: who may ask for them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.agent import agent_options, check_agent
from vlm_inspect.command_options.general import PATH, common
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import model_options
from vlm_inspect.commands.delivering import worker_count
from vlm_inspect.commands.receivers import receiver_options, receivers_of
from vlm_inspect.commands.serial_options import serial_finder, serial_options
from vlm_inspect.commands.storing import store_option
from vlm_inspect.safe_text import write_line
from vlm_inspect.secret_values import secret_value

if TYPE_CHECKING:
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.service.settings import ServiceSettings
    from vlm_inspect.service.tokens import Tokens

_MB = 1 << 20
_SWITCH_S = 0.001
"""How soon a thread that judges lets the one go on that answers, in seconds: a refusal must not wait."""


@click.command(cls=GroupedCommand)
@click.option(
    "--rules",
    "rules_folder",
    type=PATH,
    required=True,
    metavar="FOLDER|FILE",
    help="Folder of the rule books, NAME.yaml, and of their calibrations, NAME.calibration.json; or one rule book.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--tokens", "tokens_path", type=PATH, metavar="FILE", help="Who may use it; vlm-inspect token adds.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name under which it is reached from elsewhere, as by a proxy; repeatable, needs tokens.",
)
@click.option(
    "--data",
    "data_folder",
    type=PATH,
    metavar="FOLDER",
    help="Where accepted parts, the audit trail and coloured scans are; default: the user's data folder.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Parts judged at the same time. Default: one a core, at most 8, without a language model; otherwise 1.",
)
@click.option(
    "--queue", type=click.IntRange(1, 100_000), default=64, show_default=True, help="Most parts that wait; then 429."
)
@click.option(
    "--max-upload", type=click.IntRange(1, 4096), default=64, show_default=True, metavar="MB", help="Largest part."
)
@click.option(
    "--rate", type=click.IntRange(1, 1_000_000), default=600, show_default=True, help="Requests a minute and token."
)
@click.option("--forget-input", is_flag=True, help="Do not keep the bytes of the parts with their cases.")
@receiver_options
@serial_options
@click.option(
    "--move-to",
    "move_dir",
    type=PATH,
    metavar="DIR",
    help="Put the file of each judged part into DIR/OK, DIR/NG or DIR/REVIEW.",
)
@model_options
@agent_options
@store_option
@common
def serve(*, config: "InspectorConfig", **options: Any) -> int:
    """Judge parts that are sent over HTTP, with the page at http://HOST:PORT and the API at /v1.

    It listens on this machine alone unless --host says otherwise, which takes tokens: --tokens FILE, or
    VLM_INSPECT_TOKEN for one engineer.

    \b
    Example:
      vlm-inspect serve --rules demo/rules
      vlm-inspect serve --rules bracket.yaml
      vlm-inspect serve --rules rules --host 0.0.0.0 --tokens tokens.txt --store postgresql://USER@HOST/DATABASE
      vlm-inspect serve --rules rules --webhook http://mes.local/parts --mqtt mqtt://broker/line/1
    """
    check_agent(config)
    _check_installed()
    from vlm_inspect.page import error_page, router
    from vlm_inspect.service.app import make_app

    tokens, settings = _tokens(options), _settings(config, options)
    app = make_app(settings, tokens, further=[router], error_page=error_page)
    audit = app.state.station.audit
    for name in app.state.station.books.left_out():
        told = "is not served: a rule book is called NAME.yaml, of letters, digits, . _ and -"
        write_line(f"vlm-inspect: warning: {name} {told}", err=True)
    if not options["quiet"]:
        write_line(f"audit trail: {audit.head}", err=True)
    return _listen(app, options)


@click.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["operator", "engineer"]), default="operator", show_default=True)
@click.option("--tokens", "tokens_path", type=PATH, required=True, metavar="FILE", help="The file of `serve --tokens`.")
@common
def token(name: str, role: Any, tokens_path: Path, quiet: bool, debug: bool) -> int:
    """Make a token for NAME, add its digest to a file, and print it: it is kept nowhere else.

    An operator inspects, talks and judges; an engineer also changes rule books and calibrations, and reads the audit.

    \b
    Example:
      vlm-inspect token line-3 --tokens tokens.txt
      vlm-inspect token anna --role engineer --tokens tokens.txt
    """
    from vlm_inspect.errors import OutputError
    from vlm_inspect.service.tokens import entry_line, new_token

    made = new_token()
    line = entry_line(name, role, made)
    try:
        descriptor = os.open(tokens_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise OutputError(f"{tokens_path} cannot be written: {error.strerror or error}") from error
    write_line(made)
    return 0


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client") if not find_spec(name)]
    if missing:
        raise click.UsageError(f"serve needs {missing[0]}, which is not installed: pip install 'vlm-inspect[serve]'")


def _tokens(options: dict[str, Any]) -> "Tokens":
    """Return who may use the service; one that is reached from elsewhere has somebody who may."""
    from vlm_inspect.service.settings import LOCAL_HOSTS
    from vlm_inspect.service.tokens import ENVIRONMENT, Tokens

    tokens = Tokens(options["tokens_path"], token=secret_value(ENVIRONMENT))
    elsewhere = options["host"] not in LOCAL_HOSTS or bool(options["hosts"])
    if elsewhere and not tokens.are_asked_for:
        raise click.UsageError(
            f"whoever reaches this address could use the service: name --tokens FILE, or set {ENVIRONMENT}"
        )
    return tokens


def _settings(config: "InspectorConfig", options: dict[str, Any]) -> "ServiceSettings":
    from platformdirs import user_data_path

    from vlm_inspect.service.settings import LOCAL_HOSTS, Limits, ServiceSettings
    from vlm_inspect.sinks.folders import OutcomeFolders

    local = options["host"] in LOCAL_HOSTS
    folders = None if options["move_dir"] is None else OutcomeFolders(options["move_dir"])
    if folders is not None:
        folders.check()
    return ServiceSettings(
        rules=options["rules_folder"],
        data=options["data_folder"] or user_data_path("vlm-inspect", appauthor=False) / "service",
        config=config,
        store=options["store"],
        tokens=options["tokens_path"],
        workers=worker_count(config, options["workers"]),
        keep_input=not options["forget_input"],
        hosts=(*LOCAL_HOSTS, *options["hosts"]) if local or options["hosts"] else (),  # a health check asks from here
        limits=Limits(
            waiting=options["queue"],
            upload_bytes=options["max_upload"] * _MB,
            requests_per_minute=options["rate"],
        ),
        receivers=receivers_of(options),
        folders=folders,
        serial=serial_finder(options),
    )


def _listen(app: Any, options: dict[str, Any]) -> int:
    """Serve until it is told to stop; says where once it listens."""
    import socket
    import sys

    import uvicorn

    from vlm_inspect.service.connections import PatientProtocol
    from vlm_inspect.service.log import open_log

    open_log(quiet=options["quiet"])
    sys.setswitchinterval(_SWITCH_S)
    family = socket.AF_INET6 if ":" in options["host"] else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((options["host"], options["port"]))
        port = listener.getsockname()[1]
        host = f"[{options['host']}]" if family == socket.AF_INET6 else options["host"]
        if not options["quiet"]:
            write_line(f"listening on http://{host}:{port}", err=True)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                log_level="warning",
                access_log=options["debug"],
                server_header=False,
                limit_concurrency=512,
                timeout_keep_alive=15,
                timeout_graceful_shutdown=5,
            )
        )
        server.run(sockets=[listener])
    return 0
