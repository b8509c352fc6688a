"""What text-driven localizers cost beside a plain forward of the same towers, on random weights of the real sizes.

    python -m benchmarks.localizers [--rounds 5] [--device cpu] [--json FILE] [--skip-large]

Two ratios, each of medians of runs that take turns in one process:

* ALFA's windows on ViT-B/16+ at 240 px: 365 windows in two batches, against a plain forward of pictures with the same
  number of tokens (2,670 tokens: 11.8 pictures of 226; twelve are run, and the time is scaled). The whole judgement
  of a picture, text included once it is cached, is given beside it.
* DAPO on ViT-L/14 at 518 px: tokens, taps, adapters, maps of 20 words, against a plain forward of the same picture.

Aims: 3 and 1.3. With CUDA the same on the GPU. The first judgement of a class encodes its sentences; its time is told
apart, since it happens once.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.localization.alfa.judge import Alfa
from vlm_inspect.localization.dapo.predictor import DapoPredictor
from vlm_inspect.localization.dapo.wording import default_words
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.dual_encoder.hugging_face import wrap_clip
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.winclip.windows import count_window_tokens, see_windows
from vlm_inspect.training.methods.dapo import DapoMethod

SCALES = (2, 3)
SIZES = {
    "ViT-B/16+": {
        "vision_config": {"hidden_size": 896, "intermediate_size": 3584, "num_hidden_layers": 12,
                          "num_attention_heads": 14, "image_size": 240, "patch_size": 16, "hidden_act": "gelu"},
        "text_config": {"hidden_size": 640, "intermediate_size": 2560, "num_hidden_layers": 12,
                        "num_attention_heads": 10, "hidden_act": "gelu"},
        "projection_dim": 640,
    },
    "ViT-L/14": {
        "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                          "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "hidden_act": "quick_gelu"},
        "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
                        "num_attention_heads": 12, "hidden_act": "quick_gelu"},
        "projection_dim": 768,
    },
}  # fmt: skip
"""Published sizes: open_clip's ViT-B-16-plus-240, OpenAI's ViT-L/14@336px."""


@dataclass(frozen=True)
class Ratio:
    """One comparison; times in seconds, medians."""

    what: str
    device: str
    method_s: float
    plain_s: float
    ratio: float
    aim: float
    first_s: float
    """The first judgement, sentences included."""


class Letters:
    """A tokenizer for random weights: a letter is a token, framed as CLIP frames a sentence."""

    size = 49408
    end = padding = 49407

    def __call__(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Return the ids of each text, none longer than `most`."""
        return [[49406, *(ord(one) % 256 for one in text[: most - 2]), 49407] for text in texts]


def random_encoder(name: str, device: str) -> DualEncoder:
    """Return towers of a published size with random weights."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(**SIZES[name])).eval().to(device)
    return wrap_clip(model, Letters(), identity=f"random {name}", name=name)


def timed(run: Callable[[], object], device: str) -> float:
    """Return the seconds of one run."""
    began = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def in_turns(first: Callable[[], object], second: Callable[[], object], device: str, rounds: int) -> list[float]:
    """Return the median seconds of two things that take turns, after one run of each to warm up."""
    times = [(timed(first, device), timed(second, device)) for _ in range(rounds + 1)][1:]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def plain_forward(encoder: DualEncoder, pixels: torch.Tensor) -> torch.Tensor:
    """Run the vision tower as CLIP does."""
    tokens = encoder.vision.enter(pixels)
    for number in range(1, encoder.vision.blocks + 1):
        tokens = encoder.vision.block(number, tokens)
    return encoder.vision.leave(tokens[:, 0])


@torch.inference_mode()
def windows_ratio(device: str, rounds: int) -> Ratio:
    """Compare ALFA's windows with a plain forward of as many tokens."""
    encoder = random_encoder("ViT-B/16+", device)
    vision = encoder.vision
    grid = (vision.side // vision.patch,) * 2
    picture = np.random.default_rng(0).integers(0, 256, (vision.side, vision.side, 3), dtype=np.uint8)
    pixels = torch.randn(1, 3, vision.side, vision.side, device=device)
    tokens = count_window_tokens(grid, SCALES)
    pictures = -(-tokens // (1 + grid[0] * grid[1]))
    many = pixels.expand(pictures, -1, -1, -1).contiguous()

    def windows() -> None:
        entered = vision.enter(pixels)
        for scale in SCALES:
            see_windows(vision, entered, grid, scale, with_values=True)

    windows_s, plain_s = in_turns(windows, lambda: plain_forward(encoder, many), device, rounds)
    plain_s *= tokens / (pictures * (1 + grid[0] * grid[1]))
    with nothing_kept() as cache:
        judge = Alfa(encoder, sentences=cache, normals=cache)
        first_s = timed(lambda: judge.fit(Subject("screw")).judge([picture]), device)
        whole_s = statistics.median(
            timed(lambda: judge.fit(Subject("screw")).judge([picture]), device) for _ in range(rounds)
        )
    print(f"  one picture judged by ALFA, words cached: {whole_s:.2f} s, {whole_s / plain_s:.2f} plain forwards")
    what = f"ALFA, {tokens} window tokens of ViT-B/16+"
    return Ratio(what, device, windows_s, plain_s, windows_s / plain_s, 3.0, first_s)


@torch.inference_mode()
def dapo_ratio(device: str, rounds: int) -> Ratio:
    """Compare DAPO at 518 px with a plain forward."""
    encoder = random_encoder("ViT-L/14", device)
    words = default_words()
    method = DapoMethod.over(encoder, words)
    method.learnable.to(device)
    with nothing_kept() as cache:
        predictor = DapoPredictor(method.model, cache)
        pixels = torch.randn(1, 3, predictor.side, predictor.side, device=device)
        first_s = timed(lambda: predictor.look(pixels, predictor.states(words)), device)
        states = predictor.states(words)
        dapo_s, plain_s = in_turns(
            lambda: predictor.look(pixels, states), lambda: plain_forward(encoder, pixels), device, rounds
        )
    return Ratio(f"DAPO, {predictor.side} px, ViT-L/14", device, dapo_s, plain_s, dapo_s / plain_s, 1.3, first_s)


class nothing_kept:  # noqa: N801 - reads as a context
    """A cache in a folder that is gone afterwards, so that the first judgement is a first one."""

    def __enter__(self) -> ArrayCache:
        """Make the folder."""
        import tempfile

        self._folder = tempfile.TemporaryDirectory()
        return ArrayCache(Path(self._folder.name))

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self._folder.cleanup()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cpu, and cuda where there is one")
    parser.add_argument("--skip-large", action="store_true", help="leave ViT-L out")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    devices = [given.device] if given.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows = []
    for device in devices:
        rows.append(windows_ratio(device, given.rounds))
        if not given.skip_large:
            rows.append(dapo_ratio(device, given.rounds))
    print(f"{'what':44} {'device':6} {'method':>8} {'plain':>8} {'ratio':>6} {'aim':>5} {'first':>8}")
    for row in rows:
        print(
            f"{row.what:44} {row.device:6} {row.method_s:7.2f}s {row.plain_s:7.2f}s {row.ratio:6.2f} {row.aim:5.1f} "
            f"{row.first_s:7.2f}s"
        )
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
