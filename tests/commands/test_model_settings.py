"""The options that say how a model is asked reach the request; wrong ones are one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.backends.openai_server import OpenAIServer, answer
from vlm_inspect import cli

ANSWER = {"reasoning": "Es ist gerade.", "anomalous": False, "probability": 0.1}


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sentinel")
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    for name in ("VLM_INSPECT_MODEL", "OPENAI_BASE_URL", "VLM_INSPECT_PRICES"):
        monkeypatch.delenv(name, raising=False)
    for grey, name in enumerate(("part", "one", "two"), start=140):  # a file that is the part itself is no reference
        Image.fromarray(np.full((60, 90, 3), grey, np.uint8)).save(tmp_path / f"{name}.png")

    def call(*arguments: object) -> tuple[int, str]:
        told = ["ask", tmp_path / "part.png", "--localizer", "none", "--model", "openai:tiny", *arguments]
        with pytest.raises(SystemExit) as left:
            cli.main([*map(str, told)])
        assert isinstance(left.value.code, int)
        return left.value.code, capfd.readouterr().err

    return call


def test_they_reach_the_request(run: Any, tmp_path: Path) -> None:
    with OpenAIServer([answer(ANSWER)]) as server:
        code, _ = run(
            *("--base-url", server.base_url, "--max-tokens", 333, "--reasoning-effort", "low", "--language", "German"),
            *("--header", "X-Team: line 4", "--max-references", 1),
            *("--reference", tmp_path / "one.png", "--reference", tmp_path / "two.png"),
        )
    assert code in (0, 3)
    (asked,) = server.requests
    assert (asked.body["max_tokens"], asked.body["reasoning_effort"]) == (333, "low")
    assert asked.headers["x-team"] == "line 4"
    told = json.dumps(asked.body["messages"])
    assert "this language: German" in told
    assert told.count('"image_url": {') == 2


def test_fewer_pictures_are_sent_where_that_is_asked_for(run: Any, tmp_path: Path) -> None:
    with OpenAIServer([answer(ANSWER)]) as server:
        run(
            *("--base-url", server.base_url, "--max-pictures", 2),
            *("--reference", tmp_path / "one.png", "--reference", tmp_path / "two.png"),
        )
    assert json.dumps(server.requests[0].body["messages"]).count('"image_url": {') == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--header", "nothing"), "NAME: VALUE"),
        (("--header", "X-A: caf\N{LATIN SMALL LETTER E WITH ACUTE}"), "cannot be sent"),
        (("--ca-file", "nowhere.pem"), "no such file"),
        (("--max-pictures", 0), "--max-pictures"),
    ],
)
def test_wrong_ones_are_one_line(run: Any, arguments: tuple[object, ...], said: str) -> None:
    code, err = run("--base-url", "http://127.0.0.1:9/v1", *arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
