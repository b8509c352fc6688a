"""`vlm-inspect demo`: parts made from code, to try everything on."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.demo import DemoKind


@click.command()
@click.argument("folder", type=PATH)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Random seed. The same seed writes the same files."
)
@click.option(
    "--logic",
    is_flag=True,
    help="Write a puzzle set instead, laid out for bench: trays whose counts, order, places and label are right or "
    "wrong, clean or dirty.",
)
@click.option(
    "--scans",
    is_flag=True,
    help="Write a set of scans instead, laid out for bench: screws, gears, plates and tubes, sound and with dents, "
    "burrs, holes, bends and more, in any pose.",
)
@common
def demo(folder: Path, seed: int, logic: bool, scans: bool, quiet: bool, debug: bool) -> int:
    """Write generated demo parts (scans, photos, clips and curves), with rule books and the truth in truth.json.

    \b
    Example:
      vlm-inspect demo demo
      vlm-inspect ask demo/vibration/burst.csv --rules demo/rules/vibration.yaml
      vlm-inspect demo puzzles --logic
      vlm-inspect bench puzzles/logic --rules-dir puzzles/rules --model openai:gpt-4o --agent --out runs/puzzles
      vlm-inspect demo scanset --scans
      vlm-inspect bench scanset/scans --rules-dir scanset/rules --shots 2 --out runs/scans
    """
    from vlm_inspect.demo import write_demo

    if logic and scans:
        raise click.UsageError("--logic and --scans write different sets; name one of them")
    kind: DemoKind = "logic" if logic else "scans" if scans else "parts"
    with progress(quiet=quiet) as say:
        say(f"writing demo parts to {folder}")
        truth = write_demo(folder, seed=seed, kind=kind)
    write_line(f"{len(truth.root)} parts with rule books and truth.json in {folder}")
    return 0
