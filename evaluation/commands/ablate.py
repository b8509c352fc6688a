"""`vlm-inspect ablate`: what each part of the prompt is worth, by variants that add one after another."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from evaluation.commands.bench import bench
from evaluation.engine.options import with_asking
from vlm_inspect.command_options.agent import check_agent
from vlm_inspect.command_options.general import PATH
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import with_config
from vlm_inspect.safe_text import write_line

_OWN = frozenset(
    {"dataset", "out", "model", "dry_run", "calibration_path", "look_again", "agent", "rule_test", "rule_test_parts"}
)
"""Parameters of `bench` that are other ones here: a calibration holds for one rule book, and each variant has its own;
to look again is a variant."""


@click.command(cls=GroupedCommand)
@click.argument("dataset", type=PATH, metavar="DATASET_DIR")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for the runs, the table and the plot.")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="PROVIDER:NAME",
    help="Language model, as for bench; repeatable.",
)
@click.option(
    "--agent",
    is_flag=True,
    help="Also run the variants 'agent without refutation' and 'agent', which cost several times as much.",
)
@with_config
@with_asking
def ablate(dataset: Path, out: Path, models: tuple[str, ...], **options: Any) -> int:
    """Score prompts on DATASET_DIR that add one part each: task, class, rules, references, evidence, look again.

    Each variant is a bench run over the same items. Writes OUT/ablation.json and OUT/ablation.html, and the runs with
    their reports below OUT. The other options are those of bench; --budget-usd is for all variants together.

    Exit code: 0 done, 2 error or stopped.

    \b
    Example:
      vlm-inspect ablate mvtec --out runs/ablation --model openai:gpt-4o --rules-dir rules --limit 40
    """
    from evaluation.ablation.run import PAGE, run_ablation
    from evaluation.bench.options import BenchOptions

    check_agent(options["config"].with_changes(look_again=False))
    told = BenchOptions(**options)

    def watch(model: str, variant: Any) -> None:
        if not told.quiet:
            write_line(f"{model}: variant {variant.name}", err=True)

    document = run_ablation(dataset, out, models, told, watch)
    write_line("\n".join(_lines(document)))
    write_line(f"{out / PAGE}")
    return 0


ablate.params += [parameter for parameter in bench.params if parameter.name not in _OWN]


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    from vlm_inspect.safe_text import plain_line

    for row in document["rows"]:
        auroc = "n/a" if row["image_auroc"] is None else f"{row['image_auroc']:.4f}"
        around = "" if row["interval"] is None else " ({:.4f} to {:.4f})".format(*row["interval"])
        gain = ""
        if row["gain"] is not None:
            told = row["gain"]
            gain = f", gain {told['value']:+.4f} ({told['low']:+.4f} to {told['high']:+.4f})"
        cost = "" if row["usd_an_item"] is None else f", {1000 * row['usd_an_item']:.2f} USD per 1000 items"
        yield plain_line(
            f"{row['model']}, {row['variant']}: image_auroc {auroc}{around}{gain}, "
            f"{row['tokens_an_item']:.0f} tokens an item{cost}"
        )
    for name, reason in document["left_out"].items():
        yield plain_line(f"left out: {name} ({reason})")
