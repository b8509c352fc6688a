"""Which rule books a service has: those of a folder, or one; what has a name that is not served is told."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import BOOK, listening, part, settings_in
from vlm_inspect import cli
from vlm_inspect.config import InspectorConfig
from vlm_inspect.errors import RuleError
from vlm_inspect.service.app import make_app
from vlm_inspect.service.rule_books import RuleBooks
from vlm_inspect.service.tokens import Tokens


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("plate.yaml", "other.yaml", "my part.yaml", "part.yml", "notes.txt"):
        (tmp_path / name).write_text(BOOK)
    return tmp_path


def books(place: Path) -> RuleBooks:
    return RuleBooks(place, InspectorConfig())


def test_a_folder_has_its_books_and_tells_what_it_leaves_out(folder: Path) -> None:
    assert books(folder).names() == ["other", "plate"]
    assert books(folder).left_out() == ["my part.yaml", "part.yml"]


def test_a_file_is_one_book_alone(folder: Path) -> None:
    one = books(folder / "plate.yaml")
    assert (one.names(), one.left_out(), one.chosen(None)) == (["plate"], [], "plate")
    with pytest.raises(RuleError, match="no rule book 'other'"):
        one.book("other")
    with pytest.raises(RuleError, match="has the rule book plate alone"):
        one.checked("new", BOOK)
    assert one.checked("plate", BOOK).class_name == "plate"


@pytest.mark.parametrize("name", ["my part.yaml", "part.yml", "notes.txt"])
def test_a_file_with_another_name_is_to_be_renamed(folder: Path, name: str) -> None:
    with pytest.raises(RuleError, match="rename it"):
        books(folder / name)


def test_nothing_to_serve_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "my part.yaml").write_text(BOOK)
    for place, said in (("none", "no such file or folder"), ("empty", "holds no rule book"), ("named", "my part.yaml")):
        with pytest.raises(SystemExit):
            cli.main(["serve", "--rules", str(tmp_path / place), "--data", str(tmp_path / "data"), "--port", "0"])
        told = capfd.readouterr().err
        assert said in told
        assert told.count("\n") == 1


def test_a_service_of_one_file_judges_without_a_name(folder: Path, tmp_path: Path) -> None:
    settings = replace(settings_in(tmp_path), rules=folder / "plate.yaml")
    with listening(make_app(settings, Tokens(None))) as address, httpx.Client(base_url=address) as client:
        assert client.post("/v1/inspections", files=part()).status_code in (200, 202)
