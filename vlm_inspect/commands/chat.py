"""`vlm-inspect chat`: inspect a part, or take up a kept case, and talk it over."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.agent import agent_options, check_agent
from vlm_inspect.command_options.general import PATH, common, progress, step_watch
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.commands.judging import by_option
from vlm_inspect.commands.storing import open_store, settings_of, store_option

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend
    from vlm_inspect.chat.screen import Screen
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.store import Case, CaseStore

_CASE_ID = re.compile(r"[0-9]{8}(-[0-9a-f-]*)?")
NO_ANSWER = 2
"""Exit code where a script's question got no answer."""


@click.command(cls=GroupedCommand)
@click.argument("target", metavar="[SOURCE | CASE_ID]", required=False)
@inspector_options
@agent_options
@click.option("--question", help="A question about the part, answered with the inspection.")
@click.option(
    "--as",
    "as_kind",
    type=click.Choice(["image", "point_cloud", "video", "series"]),
    help="Type of SOURCE, where its content does not show it.",
)
@click.option("--keep-input", is_flag=True, help="Keep a copy of SOURCE with the case.")
@by_option
@click.option("--pictures", type=PATH, metavar="FOLDER", help="Folder for pictures. Default: the user's cache folder.")
@store_option
@common
def chat(target: str | None, *, config: "InspectorConfig", **options: Any) -> int:
    """Inspect SOURCE and talk about it, or continue with CASE_ID. Without either, continue with the newest case.

    Questions may be piped in, one a line; /help lists the commands that correct an inspection.

    \b
    Example:
      vlm-inspect chat part.ply --rules rules/screw.yaml
      vlm-inspect chat part.png --rules rules/plate.yaml --model openai:gpt-4o --agent
      echo "where, and how big?" | vlm-inspect chat 20260314-092600-1a2b
    """
    from vlm_inspect.chat.commands import run_command
    from vlm_inspect.chat.dialogue import Dialogue
    from vlm_inspect.chat.screen import open_screen
    from vlm_inspect.chat.session import Session

    with open_store(options["store"], create=target is not None and Path(target).exists()) as store:
        screen = open_screen(_history_file(), quiet=options["quiet"])
        case, backend = _open_case(store, target, config, options)
        dialogue = Dialogue(
            case,
            store,
            backend=backend,
            rules_path=_rules_path(case, config),
            by=options["by"],
            timeout_s=config.model.timeout_s,
            language=config.prompt.language,
        )
        session = Session(dialogue, screen, options["pictures"] or _pictures_folder(case.id), run_command)
        _greet(session.dialogue, screen)
        session.run()
    return NO_ANSWER if session.failures and not screen.interactive else 0


def _open_case(
    store: "CaseStore", target: str | None, config: "InspectorConfig", options: dict[str, Any]
) -> "tuple[Case, Backend]":
    from vlm_inspect.errors import StoreError
    from vlm_inspect.store import Filters

    is_id = target is not None and not Path(target).exists() and _CASE_ID.fullmatch(target)
    if target is not None and not is_id and not Path(target).exists() and not Path(target).suffix:
        raise StoreError(f"{target} is neither a file nor the id of a case; vlm-inspect cases lists them")
    if target is not None and not is_id:
        return _inspect(store, Path(target), config, options)
    if target is None:
        newest = store.list(Filters(limit=1))
        if not newest:
            raise StoreError("the store holds no case yet; name a part: vlm-inspect chat PART --rules RULES.yaml")
        target = newest[0].id
    backend = config.load_model()
    return store.load(target), backend


def _inspect(
    store: "CaseStore", source: Path, config: "InspectorConfig", options: dict[str, Any]
) -> "tuple[Case, Backend]":
    check_agent(config)
    with progress(quiet=options["quiet"]) as say:
        say("starting")
        inspector = config.build()
        watch = step_watch(quiet=options["quiet"])
        examination = inspector.examine(
            source, options["question"], as_kind=options["as_kind"], progress=say, watch=watch
        )
        say("keeping the case")
        settings = settings_of(config, as_kind=options["as_kind"])
        case_id = store.save(examination, source, keep_input=options["keep_input"], settings=settings)
    return store.load(case_id), inspector.backend


def _rules_path(case: "Case", config: "InspectorConfig") -> Path | None:
    """Return the rule book that corrections change: the named one, else that of the inspection, where it is there."""
    from vlm_inspect.replay.settings import config_of

    if config.rules is not None:
        return config.rules
    path = config_of(case).rules
    return path if path is not None and path.is_file() else None


def _greet(dialogue: Any, screen: "Screen") -> None:
    from vlm_inspect.report.wording import OUTCOME_MEANING, score_words
    from vlm_inspect.safe_text import plain_line

    case = dialogue.case
    told = case.inspection
    screen.aside(f"case {case.id}: {plain_line(case.source.name)}, {plain_line(case.rules.class_name)}")
    screen.aside(f"{told.outcome}  {score_words(told)}: {OUTCOME_MEANING[told.outcome]}")
    screen.aside(f"talking with {dialogue.model}; /help lists the commands")


def _history_file() -> Path | None:
    from platformdirs import user_data_path

    try:
        return user_data_path("vlm-inspect", appauthor=False, ensure_exists=True) / "chat_history"
    except OSError:
        return None  # a home that cannot be written: lines are not remembered


def _pictures_folder(case_id: str) -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("vlm-inspect", appauthor=False) / "pictures" / case_id
