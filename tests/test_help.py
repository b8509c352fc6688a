"""`--help`: options in groups, none of them lost, and the environment variables that the program really reads."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vlm_inspect.cli import cli
from vlm_inspect.command_options.groups import ENVIRONMENT, GROUPS

ROOT = Path(__file__).parent.parent


def help_of(*names: str) -> str:
    done = CliRunner().invoke(cli, [*names, "--help"], terminal_width=100)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", ["ask", "chat", "calibrate", "bench", "ablate"])
def test_every_option_stands_in_one_group(name: str) -> None:
    text = help_of(name).partition("\nPart and rules:")[2]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            shown = re.findall(rf"^  {re.escape(parameter.opts[0])}(?![\w-])", text, re.MULTILINE)
            assert len(shown) == 1, parameter.opts
    assert [title for title in GROUPS if f"\n{title}:\n" in text][:2] == ["Model", "Heatmap"]


def test_no_group_names_an_option_twice() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))


def test_the_environment_is_shown_and_read() -> None:
    text = help_of()
    tops = [ROOT / top for top in ("vlm_inspect", "evaluation", "converters")]
    paths = [path for top in tops for path in top.rglob("*.py") if path.name != "groups.py"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    for name in ENVIRONMENT:
        assert name in text
        assert name in source, f"{name} is shown, but nothing reads it"
    assert "VLM_INSPECT_MODEL" in help_of("ask")
