"""A kept case to talk over, and a listener that remembers."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chat.plates import make_plates
from vlm_inspect.store import Case, CaseStore
from vlm_inspect.tools.result import ToolResult


@dataclass
class Heard:
    """Keeps what a turn tells."""

    texts: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, ToolResult]] = field(default_factory=list)

    def words(self, text: str) -> None:
        self.texts.append(text)

    def called(self, name: str, arguments: str, result: ToolResult) -> None:
        self.calls.append((name, arguments, result))


@dataclass
class Desk:
    """A folder of plates with its open store."""

    folder: Path
    store: CaseStore

    @property
    def rules_path(self) -> Path:
        return self.folder / "plate.yaml"

    def case(self, name: str = "spot") -> Case:
        return self.store.load(next(line.id for line in self.store.list() if Path(line.source).stem == name))


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plates(tmp_path_factory.mktemp("plates"))


@pytest.fixture
def desk(plates: Path, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "plates"
    shutil.copytree(plates, folder)
    with CaseStore(folder / "cases.db") as store:
        yield Desk(folder, store)


@pytest.fixture
def heard() -> Heard:
    return Heard()
