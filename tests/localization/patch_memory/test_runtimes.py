"""Scores by OpenVINO and by torch: a processor with bf16 rounds the fine eye's features, and that must not matter."""

import numpy as np
import pytest

from tests.localization.patch_memory.test_patch_memory import spots
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.patch_memory import network_memory
from vlm_inspect.localization.patch_memory.eyes import uses_for
from vlm_inspect.localization.patch_memory.memory import learn_memory
from vlm_inspect.vision import load_network

MOST = 0.05
"""Largest difference of a log score: 5 %. These made-up textures are so alike that their cosines are nearly 1, where
rounding shows most: 2.4 %. On real parts it was 0.6 %."""


def scores_by(runtime, monkeypatch):
    monkeypatch.setattr(network_memory, "load_network", lambda name: load_network(name, runtime))
    uses = uses_for(MemorySettings(eye="fine", fine_pixels=112 * 112), "image")
    memory = learn_memory(uses, [(seed, 0, spots(seed)) for seed in range(2)])
    return memory.score([spots(7)])[0].log_scores, memory.level


def test_both_runtimes_give_the_same_scores(monkeypatch):
    pytest.importorskip("openvino")
    by_openvino, level = scores_by("openvino", monkeypatch)
    by_torch, level_by_torch = scores_by("torch", monkeypatch)
    assert np.abs(by_openvino - by_torch).max() < MOST
    assert np.abs(level - level_by_torch).max() < MOST
    assert by_openvino[0] == pytest.approx(by_torch[0], abs=1e-3)  # Lite0 is computed in single precision
