"""`openai:` against a server that others wrote: `transformers serve` over loopback, a tiny model behind it.

What it takes and leaves out is its own: it reads the pictures of a request, and passes over the schema, the
log-probabilities and the number of answers without a word.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from converters.view import BoxXyxyn, Place, View
from tests.backends.tiny_vlms import build
from tests.waiting import LONGEST_S
from vlm_inspect.agent import AgentSettings
from vlm_inspect.backends import load_backend
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.openai_compatible import OpenAICompatible
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError, ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspector import Inspector
from vlm_inspect.model_probe import probe_model
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.rules import Rule, RuleBook

_MISSING = [name for name in ("fastapi", "uvicorn", "accelerate") if find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(_MISSING), reason=f"`transformers serve` needs {', '.join(_MISSING)}"),
    pytest.mark.slow(1),
]

RULES = RuleBook(class_name="nut", rules=(Rule(id="thread", text="The thread is whole."),))
Picture = NDArray[np.uint8]
START_S, STOP_S = LONGEST_S, 10.0
SOON = (12, 1.5)
"""From this token on, the end of the answer grows likelier by this factor a token: random weights never stop."""
SHARPER = 15.0
"""What the random weights are multiplied with."""


@dataclass(frozen=True)
class Served:
    """A model folder, and where it is served."""

    folder: Path
    base_url: str

    @property
    def name(self) -> str:
        return f"openai:{self.folder}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from transformers import AutoTokenizer, GenerationConfig

    if find_spec("transformers.cli.serve") is None:
        pytest.skip("this transformers has no `serve`")
    place = tmp_path_factory.mktemp("served")
    folder = build("idefics3", place)  # several pictures a request, and no part for videos
    words = AutoTokenizer.from_pretrained(folder, local_files_only=True).get_vocab()
    braces = [number for word, number in words.items() if "{" in word]  # half an object would be "truncated"
    settings = GenerationConfig.from_pretrained(folder, local_files_only=True)
    settings.update(exponential_decay_length_penalty=SOON, suppress_tokens=braces, do_sample=True)
    settings.save_pretrained(folder)
    _sharpen(folder)
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    command += ["--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--default-seed", "0"]
    alone = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(place / "hub"), "OMP_NUM_THREADS": "1"}
    log = place / "log.txt"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **alone})
    try:
        yield Served(folder, f"{_address(server, log)}/v1")
    finally:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _sharpen(folder: Path) -> None:
    """Enlarge the weights: as drawn they are so small that no picture changes a word of the answer."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    larger = {name: SHARPER * weight if weight.ndim > 1 else weight for name, weight in weights.items()}
    save_file(larger, folder / "model.safetensors", metadata={"format": "pt"})


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until it listens, and return where: it chose the port itself."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        told = log.read_text(errors="replace")
        if found := re.search(r"running on (http://[\d.]+:\d+)", told):
            return found[1]
        if server.poll() is not None:
            pytest.fail(f"`transformers serve` ended with status {server.returncode}: {told[-2000:]}")
        time.sleep(0.1)
    pytest.fail(f"`transformers serve` did not listen within {START_S:g} s: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # a dead one: nothing answers at port 9
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


def picture(seed: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (60, 84, 3), dtype=np.uint8)


def request_of(pictures: Sequence[Picture]) -> Request:
    views = [View(pixels, "image", f"part {i}", Nowhere()) for i, pixels in enumerate(pictures)]
    return build_request(load_template("inspect"), views, RULES, [], Evidence(), None)


def answer_here(folder: Path, request: Request) -> tuple[str, int]:
    """Return what the same weights say in this process, and how many tokens the prompt is there."""
    import torch
    from langchain_core.messages import convert_to_openai_messages
    from transformers import AutoModelForImageTextToText, AutoProcessor

    chat = []
    for message in convert_to_openai_messages(list(request.messages)):
        blocks = message["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        said = [b if b["type"] == "text" else {"type": "image", "url": b["image_url"]["url"]} for b in blocks]
        chat.append({"role": message["role"], "content": said})
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True).eval()
    inputs = processor.apply_chat_template(
        chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        written = model.generate(**inputs, do_sample=False, max_new_tokens=200)
    length = inputs["input_ids"].shape[-1]
    return processor.decode(written[0, length:], skip_special_tokens=True), length


@pytest.mark.parametrize("count", [1, 3])
def test_words_and_pictures_arrive_as_they_are(served: Served, count: int) -> None:
    request = request_of([picture(seed) for seed in range(count)])
    backend = load_backend(served.name, base_url=served.base_url, max_retries=0)
    (first,), (again,) = backend.generate(request), backend.generate(request)
    text, prompt_tokens = answer_here(served.folder, request)
    assert first.text == again.text == text
    assert first.finish_reason == "stop"
    assert first.usage.prompt_tokens == again.usage.prompt_tokens == prompt_tokens
    assert SOON[0] <= first.usage.completion_tokens < 100
    assert first.usage.calls == 1
    assert first.usage.latency_s > 0
    assert first.model.startswith(str(served.folder))
    assert first.tokens == ()


def test_other_pictures_are_other_answers(served: Served) -> None:
    backend = load_backend(served.name, base_url=served.base_url, max_retries=0)
    requests = [request_of([pixels]) for pixels in (picture(0), np.zeros_like(picture(0)))]
    (noise,), (black,) = map(backend.generate, requests)
    assert noise.text != black.text


def test_an_inspection_is_left_to_a_person(served: Served, tmp_path: Path) -> None:
    part = tmp_path / "part.png"
    Image.fromarray(picture(0)).save(part)
    backend = load_backend(served.name, base_url=served.base_url, max_retries=0)
    inspector = Inspector(rules=RULES, backend=backend, localizer=None)
    for _ in range(2):
        examined = inspector.examine(part)
        assert isinstance(examined.opinion, ParseError)
        assert examined.opinion.cause == "unreadable"
        assert examined.inspection.outcome == "REVIEW"
        assert examined.inspection.usage.prompt_tokens > 500
        assert examined.inspection.usage.completion_tokens >= SOON[0]
        assert examined.inspection.usage.calls == 2  # it was asked once more for the form


def test_an_agent_comes_to_its_end(served: Served, tmp_path: Path) -> None:
    part = tmp_path / "part.png"
    Image.fromarray(picture(0)).save(part)
    backend = load_backend(served.name, base_url=served.base_url, max_retries=0)
    agent = AgentSettings(enabled=True, max_steps=3)
    examined = Inspector(rules=RULES, backend=backend, localizer=None, agent=agent).examine(part)
    assert [look.phase for look in examined.looks] == ["observe", "observe", "judge"]
    assert all(look.replies[0].text for look in examined.looks), "the server answered every step"
    assert examined.inspection.outcome == "REVIEW"
    assert examined.inspection.rules[0].status in ("cannot_tell", "not_checked")
    assert len(examined.inspection.steps) == 3


def test_several_answers_are_fetched_one_by_one_and_differ(served: Served) -> None:
    backend = load_backend(served.name, base_url=served.base_url, max_retries=0)
    replies = backend.generate(request_of([picture(0)]), samples=3)
    assert [reply.usage.calls for reply in replies] == [1, 1, 1]
    assert len({reply.text for reply in replies}) == 3


def test_an_answer_cut_at_the_limit_is_no_verdict(served: Served) -> None:
    request = request_of([picture(0)])
    (reply,) = OpenAICompatible(str(served.folder), Connection(served.base_url, max_retries=0, max_tokens=4)).generate(
        request
    )
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 4)
    with pytest.raises(ParseError) as failure:
        parse_verdict(reply, RULES, request.views)
    assert failure.value.cause == "truncated"


def test_a_model_that_it_does_not_serve_is_one_line(served: Served) -> None:
    backend = load_backend("openai:another", base_url=served.base_url, max_retries=0)
    with pytest.raises(BackendError, match=r"status 400 .*pinned to .*requested 'another'") as failure:
        backend.generate(request_of([picture(0)]))
    assert "\n" not in str(failure.value)


def test_doctor_finds_it_reachable_and_not_usable(served: Served) -> None:
    report = probe_model(load_backend(served.name, base_url=served.base_url, max_retries=0), seed=1)
    assert (report.sees_pictures, report.discs_read, report.pictures) == (False, "0 of 2", 0)
    assert (report.json, report.token_probabilities, report.several_answers, report.tools) == (False,) * 4
    assert not report.usable
    assert report.usage.calls == 4  # the sum twice, and two discs
    assert report.usage.prompt_tokens > 0
    assert report.latency_s > 0
