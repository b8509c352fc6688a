"""`vlm-inspect doctor`: what it prints, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backends.openai_server import OpenAIServer, status
from tests.model_probe.seeing_server import Model
from vlm_inspect import cli


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sentinel")
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VLM_INSPECT_STORE", str(tmp_path / "cases.db"))
    for name in ("VLM_INSPECT_MODEL", "VLM_INSPECT_CLIP", "OPENAI_BASE_URL", "VLM_INSPECT_PRICES"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main(["doctor", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, out, err

    return call


def test_a_good_model(run: Any) -> None:
    with OpenAIServer([Model()]) as server:
        code, out, err = run("--model", "openai:tiny", "--base-url", server.base_url)
    assert (code, err) == (0, "")
    for name in ("model", "reachable", "sees pictures", "pictures a request", "JSON", "token probabilities", "tools",
                 "the normal plate", "the anomalous plate", "latency", "verdict"):  # fmt: skip
        assert any(line.startswith(name) for line in out.splitlines()), name
    assert "usable" in out
    assert "not usable" not in out
    assert "sk-sentinel" not in out


@pytest.mark.parametrize(("lacking", "said"), [("pictures", "does not see"), ("sense", "does not tell a normal plate")])
def test_a_model_that_is_not_fit_exits_with_1(run: Any, lacking: str, said: str) -> None:
    with OpenAIServer([Model(frozenset({lacking}))]) as server:
        code, out, _ = run("--model", "openai:tiny", "--base-url", server.base_url)
    assert code == 1
    assert said in out


def test_json(run: Any) -> None:
    with OpenAIServer([Model(frozenset({"logprobs"}))]) as server:
        code, out, _ = run("--model", "openai:tiny", "--base-url", server.base_url, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["usable"]
    assert report["anomalous"]["said"] == "anomalous"
    assert report["token_probabilities"] is False
    assert report["usage"]["calls"] == 7


def test_out_of_reach_is_one_line_and_2(run: Any) -> None:
    with OpenAIServer([status(401, "bad key")]) as server:
        code, out, err = run("--model", "openai:tiny", "--base-url", server.base_url)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "bad key" in err


@pytest.mark.parametrize(
    "arguments",
    [("--base-url", "http://127.0.0.1:1/v1"), ("--model", "nobody:x"), ("--model", "evidence", "--timeout", "nan")],
)
def test_wrong_options_are_one_line_and_2(run: Any, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_evidence_says_what_it_is(run: Any) -> None:
    code, out, _ = run("--model", "evidence")
    assert code == 0
    assert "no language model" in out
    code, out, _ = run("--model", "evidence", "--json")
    assert json.loads(out)["sees_pictures"] is False


def test_the_installation(run: Any, tmp_path: Path) -> None:
    (tmp_path / "cache" / "memories").mkdir(parents=True)
    (tmp_path / "cache" / "memories" / "a.npz").write_bytes(b"x" * 2**20)
    code, out, err = run("--json", "--clip", tmp_path / "nowhere")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["packages"]["torch"]
    extras = {extra["name"]: extra for extra in found["extras"]}
    assert "test" not in extras
    assert extras["hf"]["get"] == "pip install 'vlm-inspect[hf]'"
    weights = {one["name"]: one for one in found["weights"]}
    assert set(weights) == {"lite0", "dinov2", "minilm", "dapo-mini", "clip"}
    assert Path(weights["lite0"]["path"]).is_file()
    assert weights["clip"]["path"] is None
    assert "nowhere" in weights["clip"]["get"]
    folders = {one["name"]: one for one in found["folders"]}
    assert folders["cache memories"]["bytes"] == 2**20
    assert folders["store"]["path"] == str(tmp_path / "cases.db")
    assert not folders["store"]["exists"]
    assert not (tmp_path / "cases.db").exists(), "looking made a store"


def test_the_installation_in_words(run: Any) -> None:
    code, out, _ = run()
    assert code == 0
    for word in ("vlm-inspect", "device", "package torch", "extra hf", "weights lite0", "store", "prices"):
        assert any(line.startswith(word) for line in out.splitlines()), word


def test_a_missing_extra_says_how_to_get_it(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlm_inspect import installation

    real = installation._version
    monkeypatch.setattr(installation, "_version", lambda name: None if name == "accelerate" else real(name))
    code, out, _ = run()
    assert code == 0
    assert "missing accelerate: pip install 'vlm-inspect[hf]'" in out
