"""How much memory a training step of DAPO needs at its real size: ViT-L/14, 518 px, batches of 8, 20 words.

    python -m benchmarks.dapo_memory [--batch 8] [--micro-batch 2] [--keep-all] [--device cpu]

Random weights, one step of Adam. On the CPU the peak of resident memory of the process (peak RSS) before and after the
step; on CUDA the peak that PyTorch allocated. Blocks of the vision tower are computed again in the backward pass unless
--keep-all. Aim: a batch of 8 in 24 GB.
"""

import argparse
import resource
import time

import numpy as np
import torch

from benchmarks.localizers import random_encoder
from vlm_inspect.localization.dapo.wording import default_words
from vlm_inspect.training.method import Batch
from vlm_inspect.training.methods.dapo import DapoMethod

GB = 1e9


def peak_rss_gb() -> float:
    """Return the largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB


def main() -> None:
    """Run one step and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--keep-all", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    encoder = random_encoder("ViT-L/14", given.device)
    method = DapoMethod.over(
        encoder,
        default_words(),
        checkpoint_blocks=not given.keep_all,
        micro_batch=given.micro_batch if given.micro_batch < given.batch else None,
    )
    method.learnable.to(given.device)
    side, generator = method.side, torch.Generator().manual_seed(0)
    batch = Batch(
        pixels=torch.randn(given.batch, 3, side, side, generator=generator).to(given.device),
        types=torch.randint(0, 2, (given.batch, side, side), generator=generator).to(given.device),
        labels=(torch.arange(given.batch) % 2).to(given.device),
        class_names=("part",) * given.batch,
    )
    optimiser = torch.optim.Adam(method.learnable.parameters(), lr=1e-3, betas=(0.5, 0.999))
    before, began = peak_rss_gb(), time.perf_counter()
    losses = method.losses(batch, np.random.default_rng(0))
    losses["total"].backward()
    optimiser.step()
    took = time.perf_counter() - began
    learnt = sum(parameter.numel() for parameter in method.learnable.parameters())
    print(f"{learnt:,} learnt numbers, batch {given.batch} in parts of {given.micro_batch}, {side} px, {given.device}")
    if given.device == "cpu":
        print(f"peak RSS {before:.1f} GB with weights and batch, {peak_rss_gb():.1f} GB after the step; {took:.0f} s")
    else:
        print(f"peak allocated {torch.cuda.max_memory_allocated() / GB:.1f} GB; {took:.1f} s")


if __name__ == "__main__":
    main()
