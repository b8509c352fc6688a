"""The option that takes a clip's own beginning as normal."""

import click


def _span(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse what is neither frames nor seconds."""
    if value is None:
        return None
    from vlm_inspect.clip_beginning import NormalSpan

    try:
        return str(NormalSpan.parse(value))
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


normal_until_option = click.option(
    "--normal-until",
    callback=_span,
    metavar="FRAMES|SECONDS",
    help="Take the beginning of a clip as normal: the first 60 frames (60), or its first 6 seconds (6s).",
)
