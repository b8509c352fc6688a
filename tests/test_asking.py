"""An answer in words is asked once more for the form: over HTTP, from the request to the inspection."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.backends.openai_server import Behaviour, OpenAIServer, answer, status
from vlm_inspect.backends import load_backend
from vlm_inspect.inspection import Inspection
from vlm_inspect.inspector import Inspector

WORDS = "No, the plate is split in two."
ANOMALOUS = {"reasoning": "It is split.", "anomalous": True, "probability": 0.9}
NORMAL = {"reasoning": "It is whole.", "anomalous": False, "probability": 0.1}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    path = tmp_path / "plate.png"
    Image.fromarray(np.full((80, 120, 3), 150, np.uint8)).save(path)
    return path


def ask(plate: Path, *behaviours: Behaviour) -> tuple[Inspection, list[Any]]:
    with OpenAIServer(behaviours) as server:
        backend = load_backend("openai:tiny", base_url=server.base_url, max_retries=0)
        inspection = Inspector(backend=backend, localizer=None).inspect(plate)
        return inspection, [one.body["messages"] for one in server.requests]


def test_words_are_asked_once_more_with_the_models_own_words_before_the_demand(plate: Path) -> None:
    inspection, asked = ask(plate, answer(WORDS), answer(ANOMALOUS))
    assert inspection.outcome == "NG"
    assert inspection.usage.calls == 2
    first, second = asked
    assert second[: len(first)] == first
    assert second[-2] == {"role": "assistant", "content": WORDS}
    assert "as JSON" in second[-1]["content"]


@pytest.mark.parametrize("words", [WORDS, "No.", "No anomalies are visible.", "The part is normal."])
def test_words_again_are_never_ok(plate: Path, words: str) -> None:
    inspection, asked = ask(plate, answer(words))
    assert len(asked) == 2
    assert inspection.outcome == "REVIEW"


def test_words_that_plainly_say_so_are_ng(plate: Path) -> None:
    assert ask(plate, answer("The plate is cracked from edge to edge."))[0].outcome == "NG"


def test_a_demand_that_fails_leaves_the_words(plate: Path) -> None:
    inspection, asked = ask(plate, answer("It looks fine."), status(500, "gone"))
    assert len(asked) == 2
    assert inspection.outcome == "REVIEW"


def test_an_object_is_not_asked_again(plate: Path) -> None:
    assert len(ask(plate, answer(NORMAL))[1]) == 1


@pytest.mark.parametrize("finish", ["length", "insufficient_system_resource", "tool_calls", "unheard_of"])
def test_a_reply_that_was_not_finished_is_cut_whatever_it_holds(plate: Path, finish: str) -> None:
    inspection, asked = ask(plate, answer(NORMAL, finish_reason=finish))
    assert inspection.outcome == "REVIEW"
    assert any("truncated" in reason for reason in inspection.review_reasons)
    assert len(asked) == 1
