"""A model describes a class once; what it said is kept."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vlm_inspect.array_cache import ENVIRONMENT, SUFFIX, ArrayCache
from vlm_inspect.backends import load_backend
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.errors import BackendError, LocalizerError
from vlm_inspect.localization.prompt_bank.language_bank import KIND, LanguageModelBank, load_bank
from vlm_inspect.localization.prompt_bank.settings import LanguageSettings
from vlm_inspect.localization.prompt_bank.written_bank import WrittenBank


class Talker:
    """A backend that answers with bullets, and counts what it is asked."""

    def __init__(self, name: str = "fake:talker", *, silent: bool = False) -> None:
        self.name = name
        self.silent = silent
        self.asked: list[Request] = []

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        self.asked.append(request)
        if self.silent:
            return [Reply("I'm sorry, I cannot help with that.")] * samples
        opening = str(request.messages[0].content).rpartition("beginning with: ")[2]
        label = "abnormal" if "abnormal" in opening else "normal"
        one = f"- {opening.upper()} with mark {len(self.asked)}\n- A mark of {label}\n- a MARK OF {label}"
        return [Reply(one)] * samples


class Broken(Talker):
    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        raise BackendError("fake: no answer")


def test_questions_are_asked_once_and_answers_kept(tmp_path: Path) -> None:
    talker = Talker()
    said = LanguageModelBank(talker, cache=ArrayCache(tmp_path)).describe("metal_nut")
    assert len(talker.asked) == 6  # three questions a label
    assert said.prompts.normal == (
        "A normal image of a metal nut with mark 1",
        "A normal image of a metal nut with a mark of normal",
        "A normal image of a metal nut with mark 2",
        "A normal image of a metal nut with mark 3",
    )
    assert all(s.startswith("An abnormal image of a metal nut with") for s in said.prompts.abnormal)
    again = Talker()
    assert LanguageModelBank(again, cache=ArrayCache(tmp_path)).describe("metal nut") == said
    assert again.asked == []
    assert len(_entries(tmp_path)) == 2


def test_the_request_is_text_alone_with_a_list_as_schema(tmp_path: Path) -> None:
    talker = Talker()
    LanguageModelBank(talker, cache=ArrayCache(tmp_path)).describe("metal_nut")
    texts = [str(request.messages[0].content) for request in talker.asked]
    assert len(set(texts)) == 6
    assert "How to identify an abnormal metal nut in an image?" in texts[3]
    assert all("beginning with: A" in text and "{" not in text for text in texts)
    assert talker.asked[0].views == ()
    assert json.loads(json.dumps(talker.asked[0].answer_schema))["required"] == ["descriptions"]
    assert len({request.prompt_sha256 for request in talker.asked}) == 6


def test_another_model_class_or_setting_is_asked_anew(tmp_path: Path) -> None:
    LanguageModelBank(Talker(), cache=ArrayCache(tmp_path)).describe("nut")
    for bank, name, calls in (
        (LanguageModelBank(other := Talker("fake:other"), cache=ArrayCache(tmp_path)), "nut", other),
        (LanguageModelBank(same := Talker(), cache=ArrayCache(tmp_path)), "screw", same),
        (LanguageModelBank(more := Talker(), LanguageSettings(per_reply=9), ArrayCache(tmp_path)), "nut", more),
    ):
        bank.describe(name)
        assert len(calls.asked) == 6


def _entries(home: Path) -> list[Path]:
    return list((home / KIND).glob(f"*{SUFFIX}"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sentences": ["a"]}', "[" * 9000, "cut \x00"])
def test_a_broken_entry_is_asked_again_and_replaced(text: str, tmp_path: Path) -> None:
    said = LanguageModelBank(Talker(), cache=ArrayCache(tmp_path)).describe("nut")
    for path in _entries(tmp_path):
        wrong = {"json": np.frombuffer(text.encode(), np.uint8)}
        path.unlink()
        ArrayCache(tmp_path).value(KIND, path.stem, lambda wrong=wrong: wrong, dict, dict)  # type: ignore[misc]
    talker = Talker()
    assert LanguageModelBank(talker, cache=ArrayCache(tmp_path)).describe("nut") == said
    assert len(talker.asked) == 6
    again = Talker()
    assert LanguageModelBank(again, cache=ArrayCache(tmp_path)).describe("nut") == said
    assert again.asked == []


def test_an_entry_of_another_class_under_the_same_name_does_not_count(tmp_path: Path) -> None:
    for name in ("nut", "bolt"):
        LanguageModelBank(Talker(), cache=ArrayCache(tmp_path / name)).describe(name)
    nuts, bolts = (sorted(_entries(tmp_path / name)) for name in ("nut", "bolt"))
    for nut, bolt in zip(nuts, bolts, strict=True):
        nut.write_bytes(bolt.read_bytes())
    talker = Talker()
    LanguageModelBank(talker, cache=ArrayCache(tmp_path / "nut")).describe("nut")
    assert len(talker.asked) == 6


def test_without_a_cache_folder_it_asks_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "off")
    talker = Talker()
    bank = LanguageModelBank(talker)
    assert bank.describe("nut") == bank.describe("nut")
    assert len(talker.asked) == 6


def test_the_users_cache_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    LanguageModelBank(Talker()).describe("nut")
    assert len(_entries(tmp_path)) == 2


def test_a_disk_that_cannot_be_used_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert LanguageModelBank(Talker(), cache=ArrayCache(tmp_path / "file" / "below")).describe("nut").prompts.normal


def test_a_model_that_says_nothing_is_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(LocalizerError, match="described no normal nut; name another model"):
        LanguageModelBank(Talker(silent=True), cache=ArrayCache(tmp_path)).describe("nut")
    assert not list(tmp_path.iterdir())
    with pytest.raises(BackendError):
        LanguageModelBank(Broken(), cache=ArrayCache(tmp_path)).describe("nut")


def test_a_reply_gives_at_most_so_many_sentences(tmp_path: Path) -> None:
    bank = LanguageModelBank(Talker(), LanguageSettings(per_reply=1, samples=1), ArrayCache(tmp_path))
    assert len(bank.describe("nut").prompts.normal) == 3  # one of each question


def test_the_offline_model_stands_for_the_written_bank() -> None:
    assert isinstance(load_bank(), WrittenBank)
    assert isinstance(load_bank("auto", load_backend("evidence")), WrittenBank)
    assert isinstance(load_bank("auto", Talker()), LanguageModelBank)


def test_who_describes_the_class_can_be_said() -> None:
    assert isinstance(load_bank("written", Talker()), WrittenBank)
    assert isinstance(load_bank("model", Talker()), LanguageModelBank)
    for silent in (None, load_backend("evidence")):
        with pytest.raises(LocalizerError, match="name one with --model"):
            load_bank("model", silent)
