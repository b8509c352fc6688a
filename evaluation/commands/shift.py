"""`vlm-inspect shift`: a data set as another light or another camera would have taken it."""

from pathlib import Path

import click

from evaluation.shifts.shifts import SHIFTS
from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.safe_text import write_line


@click.command("shift")
@click.argument("dataset", type=PATH, metavar="DATASET_DIR")
@click.argument("out", type=PATH, metavar="OUT_DIR")
@click.option("--by", "name", type=click.Choice(tuple(SHIFTS)), required=True, help="What changes.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 5),
    default=1.0,
    show_default=True,
    help="How much of it. 1 is what an inspection line sees between two days.",
)
@click.option(
    "--format", "format_name", default="auto", show_default=True, metavar="NAME", help="Layout, as for bench."
)
@common
def shift(dataset: Path, out: Path, *, name: str, strength: float, format_name: str, quiet: bool, debug: bool) -> int:
    """Copy DATASET_DIR to OUT_DIR with its test pictures in another light or seen by another camera.

    Masks move with what moves. Training pictures stay as they are: `bench` on both folders tells what is lost.

    \b
    Example:
      vlm-inspect shift mvtec mvtec-darker --by darker
      vlm-inspect bench mvtec-darker --out runs/darker --shots 4
    """
    from evaluation.shifts.copying import shift_dataset
    from vlm_inspect.datasets.registry import read_dataset

    with progress(quiet=quiet) as say:
        count = shift_dataset(
            read_dataset(dataset, format=format_name), dataset, out, SHIFTS[name], strength=strength, say=say
        )
    write_line(f"{count} test pictures, {name} at strength {strength:g}, in {out}")
    return 0
