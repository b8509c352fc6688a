"""`vlm-inspect option-order` against models that choose by text and by letter."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.prompt_tests.option_order import ORDERS, reordered
from tests.backends.openai_server import Behaviour, Body, OpenAIServer, Response, answer
from tests.datasets.data_folders import mmad, mvtec
from vlm_inspect import cli
from vlm_inspect.datasets.question import Question


def options_of(body: Body) -> dict[str, str]:
    text = next(block["text"] for block in body["messages"][-1]["content"] if "<question>" in block.get("text", ""))
    told = text.partition("Options: ")[2].partition("\n")[0]
    found = {}
    for letter in "ABC":
        if f"{letter}: " in told:
            found[letter] = told.partition(f"{letter}: ")[2].partition(" ")[0]
    return found


def by_text(body: Body) -> Response:
    chosen = next(letter for letter, text in options_of(body).items() if text in {"bottle", "No."})
    return answer({"reasoning": "Seen.", "choice": chosen})(body)


def likes_a(body: Body) -> Response:
    return answer({"reasoning": "Seen.", "choice": "A"})(body)


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    for name in ("VLM_INSPECT_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    mmad(tmp_path / "mmad")

    def call(folder: Path, behaviour: Behaviour) -> tuple[int, str, str]:
        capfd.readouterr()
        with OpenAIServer([behaviour]) as server, pytest.raises(SystemExit) as left:
            cli.main(["option-order", str(folder), "--model", "openai:tiny", "--base-url", server.base_url, "--json",
                      "--shots", "1"])  # fmt: skip
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out, err

    return call


def test_who_reads_the_options_stays_and_who_likes_a_letter_moves(command: Command, tmp_path: Path) -> None:
    code, out, err = command(tmp_path / "mmad", by_text)
    assert code == 0, err
    told = json.loads(out)
    assert (told["questions"], told["requests"]) == (6, 24)
    assert [(one["order"], one["moved"], one["questions"]) for one in told["moves"]] == [
        (order, 0, 6) for order in ORDERS[1:]
    ]
    assert told["warnings"] == []
    code, out, err = command(tmp_path / "mmad", likes_a)
    told = json.loads(out)
    assert [one["moved"] for one in told["moves"]] == [0, 6, 6]
    assert told["chosen_letters"] == {"A": 24}
    assert told["right_letters"]["A"] < 24
    assert len(told["warnings"]) == 2


def test_data_without_questions_is_refused(command: Command, tmp_path: Path) -> None:
    code, out, err = command(mvtec(tmp_path / "mvtec"), likes_a)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "asks no questions" in err


@given(st.integers(2, 6), st.data())
def test_the_right_text_stays_right_in_every_order(count: int, data: st.DataObject) -> None:
    letters = "ABCDEF"[:count]
    right = data.draw(st.sampled_from(letters))
    options = tuple((letter, f"text {letter}") for letter in letters)
    question = Question("i#1", "i", "d", "c", Path("i.png"), "Which?", options, right, "Sub", anomalous=False)
    for order in ORDERS:
        turned = reordered(question, order)
        assert dict(turned.options)[turned.answer] == f"text {right}"
        assert [letter for letter, _ in turned.options] == list(letters)
        assert {text for _, text in turned.options} == {text for _, text in options}
        assert (turned.options == options) == (order in {"as is", "again"})
