"""`vlm-inspect bench`: accuracy of a model, a prompt and a localizer on a labelled data set."""

from pathlib import Path
from typing import Any

import click

from evaluation.engine.options import limit_options
from vlm_inspect.command_options.general import PATH, common
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import model_options


def _known_format(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse a name that no data format has; which there are is read here, so that `--help` stays light."""
    from vlm_inspect.datasets.registry import AUTO, FORMATS

    if value not in (AUTO, *FORMATS):
        raise click.BadParameter(f"{value!r} is none of {AUTO}, {', '.join(FORMATS)}.")
    return value


@click.command(cls=GroupedCommand)
@click.argument("dataset", type=PATH, metavar="DATASET_DIR")
@click.option("--out", type=PATH, metavar="DIR", help="Folder of the results, new or that of the run to resume.")
@click.option(
    "--format",
    "format_name",
    callback=_known_format,
    default="auto",
    show_default=True,
    metavar="NAME",
    help="How the data set is laid out: mvtec, visa, folder, mmad, ...",
)
@click.option("--category", "categories", multiple=True, metavar="C", help="A class; repeatable. Default: all.")
@click.option(
    "--shots",
    type=click.IntRange(0, 1000),
    default=4,
    show_default=True,
    help="References a class, from its training images.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice of references.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Most test items a class. Default: all.")
@click.option("--rules-dir", type=PATH, metavar="DIR", help="Rule books by class: DIR/CLASS.yaml.")
@click.option("--template", default="inspect", show_default=True, metavar="NAME|FILE", help="Prompt template.")
@click.option(
    "--look-again",
    is_flag=True,
    help="Ask about each part twice, then with the most suspicious places enlarged; the second answer counts. Costs "
    "about twice as much.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out; nothing that is done is asked again.")
@click.option("--retry-failed", is_flag=True, help="With --resume: try items again that could not be read or asked.")
@click.option("--dry-run", is_flag=True, help="Say what was found and what would be asked; asks nothing.")
@click.option(
    "--max-failures",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Stop after so many items that could not be read or asked.",
)
@click.option("--keep-maps", is_flag=True, help="Keep the anomaly maps (OUT/maps, compressed, 16 bits).")
@click.option(
    "--aupro-200",
    is_flag=True,
    help="Also compute AUPRO by 200 thresholds, as the code of several papers does: to compare with their tables only.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where items are examined: in this process, or by the workers of a Ray cluster, one a core. There hf: models, "
    "and with GPUs winclip, alfa, dapo and promptad, have processes of their own, one a GPU, unless --device is cpu. "
    "The machines need the same vlm-inspect, the files at the same paths and the keys in their environment. With ray, "
    "--cache is not used, and --concurrency is the batch of an hf: model, else that of items, by default one a worker.",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="Ray cluster of --engine ray; one that asks for a token takes it from RAY_AUTH_TOKEN, with "
    "RAY_AUTH_MODE=token. Default: one that is started on this machine, and ends with the run.",
)
@click.option(
    "--rule-test",
    is_flag=True,
    help="Afterwards, ask about some parts of each class again with rules left out and turned round, another class "
    "name and pictures in other orders, and say whether the model follows its rules (questions: options in other "
    "orders).",
)
@click.option(
    "--rule-test-parts",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Most parts, or questions, a class of --rule-test.",
)
@click.option("--force", is_flag=True, help="Score pictures that --checkpoint was trained on, too.")
@limit_options
@model_options
@common
def bench(dataset: Path, **options: Any) -> int:
    """Score a model on DATASET_DIR, a data set as published or a folder with normal/ and anomalous/.

    Writes OUT/results.json and OUT/items.jsonl. A run that was stopped goes on with --resume. --calibration is a file,
    or a folder of CLASS.json files.

    Exit code: 0 done, 2 error or stopped.

    \b
    Example:
      vlm-inspect bench mvtec --dry-run
      vlm-inspect bench mvtec --out runs/evidence --category bottle --shots 4
      vlm-inspect bench mvtec --out runs/gpt --model openai:gpt-4o --concurrency 16 --price 2.50/10 --budget-usd 20
    """
    from evaluation.bench.options import BenchOptions
    from evaluation.bench.run import run_bench

    return run_bench(dataset, BenchOptions(**options))
