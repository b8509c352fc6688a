"""The puzzle set, and the two scripted models that bracket what the loop can gain: perfect eyes, and none."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.scripted_agents import FOLDER
from vlm_inspect import cli
from vlm_inspect.agent import AgentSettings
from vlm_inspect.backends import load_backend
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.demo import DemoTruth, write_demo
from vlm_inspect.demo.kit_tray import FIELDS
from vlm_inspect.errors import OutputError
from vlm_inspect.examination import Examination
from vlm_inspect.inspector import Inspector
from vlm_inspect.prompting import describe_messages
from vlm_inspect.rules import load_rules, resolve_references

GOLDEN = Path(__file__).parents[1] / "golden" / "agent"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
WRONG = ("count/1", "order/2", "swapped/3", "label/1")


@pytest.fixture(scope="module")
def puzzles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "puzzles"
    done = CliRunner().invoke(cli.cli, ["demo", str(folder), "--logic"])
    assert done.exit_code == 0, done.output
    return folder


def examine(puzzles: Path, monkeypatch: pytest.MonkeyPatch, eyes: str, part: str, *, agent: bool = True) -> Examination:
    monkeypatch.setenv(FOLDER, str(puzzles))
    rules = load_rules(puzzles / "rules" / "logic.yaml")
    inspector = Inspector(
        rules=rules,
        references=resolve_references(rules)[:1],
        backend=load_backend(f"langchain:benchmarks.scripted_agents:{eyes}"),
        localizer=None,
        agent=AgentSettings(enabled=agent),
    )
    return inspector.examine(puzzles / "logic" / f"{part}.png")


def test_the_same_seed_gives_the_same_files_with_their_truth(puzzles: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "again", kind="logic")
    write_demo(tmp_path / "other", kind="logic", seed=1)
    own, again, other = (_digests(folder) for folder in (puzzles, tmp_path / "again", tmp_path / "other"))
    assert own == again
    assert len(set(own.values()) & set(other.values())) == 1, "the rule book alone"
    truth = DemoTruth.model_validate_json((puzzles / "truth.json").read_bytes()).root
    assert [case.outcome for case in truth].count("OK") == 12
    assert {case.defects[0].type for case in truth if case.defects} == set(load_rules(puzzles / truth[0].rules).defects)
    assert all(case.defects[0].box_xyxyn in FIELDS.values() for case in truth if case.defects)
    assert sum("dirty" in case.source for case in truth if case.outcome == "OK") == 6


def test_it_is_laid_out_for_bench(puzzles: Path) -> None:
    items = read_dataset(puzzles / "logic").items
    assert {defect for item in items for defect in item.defects} == {"count", "order", "swapped", "label"}
    assert sum(item.split == "train" for item in items) == 4
    assert set(FIELDS) == {rule.id for rule in load_rules(puzzles / "rules" / "logic.yaml").rules}


def test_two_kinds_of_demo_do_not_mix(puzzles: Path) -> None:
    before = _digests(puzzles)
    with pytest.raises(OutputError, match="no earlier demo of this kind"):
        write_demo(puzzles)
    assert _digests(puzzles) == before


@pytest.mark.parametrize("part", [*(f"anomalous/{name}" for name in WRONG), "normal/dirty_1"])
def test_perfect_eyes_find_what_is_wrong_and_no_eyes_nothing(
    part: str, puzzles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = part.startswith("anomalous")
    seen = examine(puzzles, monkeypatch, "perfect", part).inspection
    unseen = examine(puzzles, monkeypatch, "blind", part).inspection
    at_once = examine(puzzles, monkeypatch, "perfect", part, agent=False).inspection
    assert (seen.outcome, unseen.outcome) == ("NG" if wrong else "OK", "OK")
    assert (seen.score > 0.5) == wrong
    assert max(unseen.score, at_once.score) < 0.5, "what is not shown closer is not seen"
    assert [one.status for one in seen.hypotheses].count("kept") == int(wrong)
    assert all(len(one.steps) == 1 for one in (*seen.hypotheses, *unseen.hypotheses))
    assert all("[step" in rule.reason for rule in seen.rules)


@pytest.mark.parametrize("eyes", ["perfect", "blind"])
def test_the_whole_examination_is_the_golden_one(eyes: str, puzzles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _transcript(examine(puzzles, monkeypatch, eyes, "anomalous/order/2"))
    golden = GOLDEN / f"{eyes}.txt"
    if UPDATE:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(told, encoding="utf-8")
    assert told == golden.read_text(encoding="utf-8"), "it went another way; UPDATE_GOLDEN=1 pytest accepts it"


@pytest.mark.parametrize("eyes", ["perfect", "blind"])
def test_a_kept_examination_replays(eyes: str, puzzles: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vlm_inspect.replay import replay
    from vlm_inspect.store import CaseStore

    source = puzzles / "logic" / "anomalous" / "label" / "1.png"
    found = examine(puzzles, monkeypatch, eyes, "anomalous/label/1")
    with CaseStore(str(tmp_path / "cases"), create=True) as store:
        case = store.load(store.save(found, source))
        assert replay(case).differences == ()
        assert case.inspection == found.inspection


def _transcript(found: Examination) -> str:
    """Return the whole conversation and what came of it, without times."""
    told = found.inspection.model_dump(
        mode="json", include={"outcome", "score", "rules", "hypotheses", "notes", "steps"}
    )
    for step in told["steps"]:
        del step["usage"]
    return f"{describe_messages(found.request.messages)}\n{json.dumps(told, indent=1)}\n"


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "truth.json")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
