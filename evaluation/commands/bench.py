"""`vlm-inspect bench`: accuracy of a model, a prompt and a localizer on a labelled data set."""

from pathlib import Path
from typing import Any

import click

from evaluation.engine.options import limit_options
from vlm_inspect.command_options.agent import agent_options, check_agent
from vlm_inspect.command_options.clips import clip_options
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
@click.option("--out", type=PATH, metavar="DIR", help="Folder of the results: a new one, or that of the run to resume.")
@click.option(
    "--format",
    "format_name",
    callback=_known_format,
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Layout of the data set: mvtec, visa, folder, mmad, ...",
)
@click.option("--category", "categories", multiple=True, metavar="C", help="Class to score; repeatable. Default: all.")
@click.option(
    "--shots",
    type=click.IntRange(0, 1000),
    default=4,
    show_default=True,
    help="Number of references per class, chosen from its training images.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed for choosing references."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Limit of test items per class. Default: all.")
@clip_options
@click.option("--rules-dir", type=PATH, metavar="DIR", help="Folder of rule books: DIR/CLASS.yaml.")
@click.option("--template", default="inspect", show_default=True, metavar="NAME|FILE", help="Prompt template.")
@click.option(
    "--look-again",
    is_flag=True,
    help="Ask about each part a second time, with the hottest places enlarged; the second answer counts. Costs "
    "about twice as much.",
)
@agent_options
@click.option("--resume", is_flag=True, help="Continue the run in --out. Finished items are not asked again.")
@click.option("--retry-failed", is_flag=True, help="With --resume: also retry items that could not be read or asked.")
@click.option("--dry-run", is_flag=True, help="Show what was found and what would be asked, without asking.")
@click.option(
    "--max-failures",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Stop after this many items that could not be read or asked.",
)
@click.option("--keep-maps", is_flag=True, help="Keep the anomaly maps in OUT/maps (compressed, 16 bits).")
@click.option(
    "--figures",
    is_flag=True,
    help="Draw every item in OUT/visualization_results/CLASS/DEFECT: picture, mask and heatmap side by side, and with "
    "alfa the phrases nearest to it as bars.",
)
@click.option(
    "--aupro-200",
    is_flag=True,
    help="Also compute AUPRO with 200 thresholds, as the code of several papers does. Only for "
    "comparison with their tables.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where items are examined. local: in this process. ray: on the workers of a Ray cluster, one per core; hf: "
    "models (with GPUs also winclip, alfa, dapo and promptad) get processes of their own, one per GPU, unless --device "
    "is cpu. All machines require the same version of vlm-inspect, the files at the same paths, and the keys in their "
    "environment. With ray, --cache is not used, and --concurrency is the batch size of an hf: model, otherwise the "
    "number of items at a time (default: one per worker).",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="Address of the Ray cluster for --engine ray. A cluster that asks for a token requires RAY_AUTH_TOKEN and "
    "RAY_AUTH_MODE=token. Default: a cluster on this machine that ends with the run.",
)
@click.option(
    "--rule-test",
    is_flag=True,
    help="After the run, ask again about some parts of each class with rules left out or reversed, with another class "
    "name and with pictures in other orders, and report whether the model follows its rules. For questions: with the "
    "options in other orders.",
)
@click.option(
    "--rule-test-parts",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Limit of parts, or questions, per class for --rule-test.",
)
@click.option("--force", is_flag=True, help="Also score pictures that --checkpoint was trained on.")
@limit_options
@model_options
@common
def bench(dataset: Path, **options: Any) -> int:
    """Score a model on DATASET_DIR, a data set as published or a folder with normal/ and anomalous/.

    Writes OUT/results.json and OUT/items.jsonl. A run that was stopped goes on with --resume. --calibration is a file,
    or a folder of CLASS.json files, made with the references that --shots and --seed draw.

    Exit code: 0 done, 2 error or stopped.

    \b
    Example:
      vlm-inspect bench mvtec --dry-run
      vlm-inspect bench mvtec --out runs/evidence --category bottle --shots 4
      vlm-inspect bench ucsd_ped1 --out runs/clips --shots 0 --normal-until 60
      vlm-inspect bench mvtec --out runs/gpt --model openai:gpt-4o --concurrency 16 --price 2.50/10 --budget-usd 20
    """
    from evaluation.bench.options import BenchOptions
    from evaluation.bench.run import run_bench

    check_agent(options["config"])
    return run_bench(dataset, BenchOptions(**options))
