"""Windows: which there are, what a tower says of them, and how their scores become a map."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.winclip.windows import (
    count_window_tokens,
    harmonic_mean,
    see_all_windows,
    see_windows,
    spread_harmonically,
    unit,
    window_tokens,
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    torch.set_num_threads(1)
    return tiny_encoder(tmp_path_factory.mktemp("clip"))  # 4 x 4 patches of 8 px


def test_there_are_as_many_windows_as_published() -> None:
    for scale, windows in ((2, 196), (3, 169), (4, 144)):
        index = window_tokens((15, 15), scale)
        assert index.shape == (windows, 1 + scale * scale)
    assert count_window_tokens((15, 15), (2, 3)) == 196 * 5 + 169 * 10 == 2670


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 6), width=st.integers(1, 6), scale=st.integers(1, 6))
def test_windows_are_squares_of_neighbours(height: int, width: int, scale: int) -> None:
    if scale > min(height, width):
        with pytest.raises(
            LocalizerError, match=f"{scale} x {scale} patches do not fit the grid of {height} x {width}"
        ):
            window_tokens((height, width), scale)
        return
    index = window_tokens((height, width), scale).numpy()
    assert (index[:, 0] == 0).all()
    expected = [
        [1 + (y + dy) * width + x + dx for dy in range(scale) for dx in range(scale)]
        for y in range(height - scale + 1)
        for x in range(width - scale + 1)
    ]
    np.testing.assert_array_equal(index[:, 1:], expected)
    assert len(index) == (height - scale + 1) * (width - scale + 1)
    assert index.size == count_window_tokens((height, width), (scale,))


def test_all_windows_at_once_are_each_window_alone(encoder: DualEncoder) -> None:
    vision = encoder.vision
    with torch.inference_mode():
        entered = vision.enter(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
        seen = see_windows(vision, entered, (4, 4), 2, with_values=True)
        assert seen.features.shape == (2, 9, 32)
        assert seen.values is not None
        assert seen.values.shape == (2, 9, 5, 32)
        for picture in range(2):
            for window, index in enumerate(window_tokens((4, 4), 2)):
                tokens = entered[picture : picture + 1, index]
                for number in range(1, vision.blocks):
                    tokens = vision.block(number, tokens)
                values = vision.leave(vision.merge_heads(vision.blocks, vision.attention(vision.blocks, tokens).values))
                alone = vision.leave(vision.block(vision.blocks, tokens)[:, 0])
                torch.testing.assert_close(seen.features[picture, window], unit(alone)[0], atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(seen.values[picture, window], unit(values)[0], atol=1e-5, rtol=1e-4)


def test_windows_of_a_wide_grid_and_of_several_scales(encoder: DualEncoder) -> None:
    vision = encoder.vision
    with torch.inference_mode():
        entered = vision.enter(torch.zeros(1, 3, 24, 40))
        one, two = see_all_windows(vision, entered, (3, 5), (1, 3), with_values=False)
    assert (one.features.shape, two.features.shape) == ((1, 15, 32), (1, 3, 32))
    assert one.values is None


def naive_spread(scores: NDArray[np.float32], grid_hw: tuple[int, int], scale: int) -> NDArray[np.float64]:
    """The harmonic mean as a loop over windows."""
    height, width = grid_hw
    total, covered = np.zeros(grid_hw), np.zeros(grid_hw)
    corners = [(y, x) for y in range(height - scale + 1) for x in range(width - scale + 1)]
    for score, (y, x) in zip(scores, corners, strict=True):
        total[y : y + scale, x : x + scale] += 1.0 / max(float(score), 1e-6)
        covered[y : y + scale, x : x + scale] += 1
    return covered / total


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 7), width=st.integers(1, 7), scale=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_map_is_the_naive_harmonic_mean(height: int, width: int, scale: int, seed: int) -> None:
    scale = min(scale, height, width)
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, (2, (height - scale + 1) * (width - scale + 1))).astype(np.float32)
    scores[0, 0] = 0.0
    spread = spread_harmonically(torch.from_numpy(scores), (height, width), scale).numpy()
    for row in range(2):
        np.testing.assert_allclose(spread[row], naive_spread(scores[row], (height, width), scale), rtol=1e-4)


def test_equal_scores_stay_as_they_are() -> None:
    spread = spread_harmonically(torch.full((1, 169), 0.3), (15, 15), 3)
    torch.testing.assert_close(spread, torch.full((1, 15, 15), 0.3))


def test_the_harmonic_mean_of_maps() -> None:
    mean = harmonic_mean([torch.tensor([0.2, 1.0]), torch.tensor([0.6, 0.0])])
    torch.testing.assert_close(mean, torch.tensor([0.3, 2e-6]), rtol=1e-3, atol=0)
