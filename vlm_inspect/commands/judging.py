"""`vlm-inspect cases judge`: what a person says of a part, kept beside the inspection; and who that person is."""

import click

from vlm_inspect.command_options.general import common
from vlm_inspect.commands.storing import open_store, store_option
from vlm_inspect.safe_text import write_line

LONGEST_NAME = 200


def _name(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """Return the name of who judges: the one given, else that of the login; empty where neither is known."""
    name = " ".join((_login_name() if value is None else value).split())
    if not name and value is not None:
        raise click.BadParameter("nobody is named; say who judges.")
    if len(name) > LONGEST_NAME:
        raise click.BadParameter(f"it is longer than {LONGEST_NAME} characters.")
    return name


def _login_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as containers have
        return ""


by_option = click.option("--by", metavar="NAME", callback=_name, help="Who judges the part. Default: the login name.")


@click.command("judge")
@click.argument("case_id", metavar="ID")
@click.argument("outcome", type=click.Choice(["ok", "ng"], case_sensitive=False), metavar="ok|ng")
@by_option
@click.option("--reason", default="", metavar="TEXT", help="Why, in a few words.")
@store_option
@common
def judge(case_id: str, outcome: str, by: str, reason: str, store: str | None, quiet: bool, debug: bool) -> int:
    """Keep your own judgement of a part beside the inspection's. The newest of a case counts; earlier ones stay.

    \b
    Example:
      vlm-inspect cases judge 20260314-0926 ng --by anna --reason "burr at the neck"
    """
    with open_store(store) as opened:
        found = opened.find(case_id)
        kept = opened.judge(found, "OK" if outcome.lower() == "ok" else "NG", by=by, reason=reason)
    write_line(f"case {found} judged {kept.outcome} by {kept.by}")
    return 0
