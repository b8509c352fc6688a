"""What an agent's loop can gain at most, and at least: the puzzle set with perfect eyes and with none.

    python -m benchmarks.agent_logic

Runs `ablate --agent` with both scripted models (`scripted_agents.py`) and prints image AUROC, REVIEW and tokens a part.
No model is asked. With your own model: vlm-inspect ablate PUZZLES/logic --rules-dir PUZZLES/rules --model ... --agent.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.scripted_agents import FOLDER
from evaluation.ablation.run import run_ablation
from evaluation.bench.options import BenchOptions
from evaluation.engine.options import AskingOptions
from vlm_inspect.config import InspectorConfig
from vlm_inspect.demo import write_demo

MODELS = ("langchain:benchmarks.scripted_agents:perfect", "langchain:benchmarks.scripted_agents:blind")
SHOWN = ("rules", "look again", "agent without refutation", "agent")


def run(folder: Path, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return the rows of the ablation of both models, in a folder that is new or empty."""
    puzzles = folder / "puzzles"
    write_demo(puzzles, seed=seed, kind="logic")
    os.environ[FOLDER] = str(puzzles)
    config = InspectorConfig.model_validate({"agent": {"enabled": True}, "localizer": {"name": "none"}})
    options = BenchOptions(
        config=config, asking=AskingOptions(cache="off"), shots=1, rules_dir=puzzles / "rules", quiet=True
    )
    return list(run_ablation(puzzles / "logic", folder / "runs", MODELS, options)["rows"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = run(Path(folder), seed=arguments.seed)
    print("| model | variant | image AUROC | REVIEW | tokens a part |\n|---|---|---|---|---|")
    for row in rows:
        if row["variant"] in SHOWN:
            name, auroc = row["model"].rpartition(":")[2], row["image_auroc"]
            print(
                f"| {name} | {row['variant']} | {auroc:.3f} | {row['review_rate']:.0%} | {row['tokens_an_item']:.0f} |"
            )


if __name__ == "__main__":
    main()
