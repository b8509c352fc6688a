"""Patterns of references: names with brackets, folders, links, and a walk that ends."""

from pathlib import Path

import pytest
from PIL import Image

from converters.view import ViewBudget
from vlm_inspect import file_patterns
from vlm_inspect.config import InspectorConfig
from vlm_inspect.errors import ConfigError, ReferenceSampleError
from vlm_inspect.file_patterns import in_home, match_files
from vlm_inspect.references import expand_references, load_references


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("good [A]/r0.png", "good [A]/r1.png", "good A/r2.png", "deep/er/r3.png", "part[1].png", "part1.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), len(name)).save(path)
    (tmp_path / "good [A]" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "good [A]" / "._r0.png").write_bytes(b"x")
    (tmp_path / "deep" / "er" / "back").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("good [A]/*.png", ["good [A]/r0.png", "good [A]/r1.png"]),
        ("good [A]/*", ["good [A]/r0.png", "good [A]/r1.png"]),
        ("good [A]", ["good [A]"]),
        ("good [AB]/*", ["good A/r2.png"]),
        ("good?[[]A]/r[01].png", ["good [A]/r0.png", "good [A]/r1.png"]),
        ("part[1].png", ["part[1].png"]),
        ("part?.png", ["part1.png"]),
        ("**/r3.png", ["deep/er/r3.png"]),
        ("deep/../part1.png", ["deep/../part1.png"]),
        ("none/*.png", []),
    ],
)
def test_a_name_comes_before_a_pattern(folder: Path, pattern: str, names: list[str]) -> None:
    assert match_files(pattern, folder) == [folder / name for name in names]
    assert match_files(str(folder / pattern)) == [folder / name for name in names]


def test_links_are_not_walked_in_circles(folder: Path) -> None:
    assert len(match_files("**/*.png", folder)) == 6


def test_a_walk_without_end_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_patterns, "MOST_ENTRIES", 5)
    with pytest.raises(ReferenceSampleError, match="leads through more than 5 files and folders; name a narrower"):
        expand_references([str(folder / "**" / "*.png")])


def test_a_folder_of_references_is_the_files_in_it(folder: Path) -> None:
    found = load_references(expand_references([str(folder / "good [A]")]), "image", ViewBudget())
    assert [part.sample.path.name for part in found.parts if part.sample] == ["r0.png"]  # r1 is the same picture
    (folder / "empty").mkdir()
    with pytest.raises(ReferenceSampleError, match="folder without files"):
        load_references([folder / "empty"], "image", ViewBudget())


def book_that_names(folder: Path, pattern: str) -> Path:
    book = folder / "deep" / "book.yaml"
    book.write_text(f"class_name: plate\nrules: [{{id: clean, text: It is clean.}}]\nreferences: ['{pattern}']\n")
    return book


@pytest.mark.parametrize("pattern", ["../part?.png", "er/back/part1.png"], ids=["outside", "by a link"])
def test_pictures_from_elsewhere_are_sent_away_only_when_allowed(folder: Path, pattern: str) -> None:
    rules = book_that_names(folder, pattern)

    def build(model: str, base_url: str | None = None, *, allow: bool = False) -> int:
        config = InspectorConfig.model_validate(
            {"rules": rules, "model": {"name": model, "base_url": base_url}, "localizer": {"name": "none"}}
            | {"allow_outside": allow}
        )
        return len(config.build().references)

    with pytest.raises(ConfigError, match=r"1 reference\(s\) outside its folder.*--allow-outside"):
        build("openai:some", "https://models.example.com/v1")
    assert build("openai:some", "https://models.example.com/v1", allow=True) == 1
    assert build("openai:some", "http://127.0.0.1:9/v1") == 1
    assert build("evidence") == 1
    (folder / "deep" / "own.png").write_bytes((folder / "part1.png").read_bytes())
    rules = book_that_names(folder, "own.png")
    assert build("openai:some", "https://models.example.com/v1") == 1


def test_the_home_of_nobody_is_a_name_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert in_home("~/parts") == Path("/home/me/parts")
    assert in_home("~no-such-user/parts") == Path("~no-such-user/parts")
    assert in_home("parts~") == Path("parts~")
