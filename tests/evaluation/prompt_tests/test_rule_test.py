"""`vlm-inspect rule-test` against scripted models on a real server: one that listens, and ones that do not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.errors import RunError
from evaluation.prompt_tests.rule_changes import Change, changed_request, list_changes
from evaluation.prompt_tests.rule_test import AS_IS, ProbeResult, RuleTest, count_moves
from evaluation.report import write_report
from evaluation.report.rule_test_page import render_rule_test, write_rule_test
from evaluation.runs.record import Spent
from evaluation.runs.results import RuleTestDocument
from tests.backends.openai_server import Body, OpenAIServer, Response, answer, status
from tests.datasets.data_folders import mvtec
from tests.evaluation.coloured_parts import coloured_parts, number_of
from tests.evaluation.finished_runs import shade, write_run
from vlm_inspect import cli
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.inspector import Inspector
from vlm_inspect.prompting import describe_messages, load_template
from vlm_inspect.rules import load_rules

PARTS = 6
RULES = """
class_name: grey plate
description: A plate of one grey.
rules:
  - {id: shade, text: The plate has an even number of grey levels.}
  - {id: edge, text: The edge is straight.}
  - {id: width, text: At least one wide., check: {measure: brightness, min: 1}}
"""
TURNED = "A normal part departs from it"


def text_of(body: Body) -> str:
    """Return all words of a request."""
    found = []
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        found += [block["text"] if block["type"] == "text" else "[picture]" for block in blocks]
    return "\n".join(found)


def says(anomalous: bool, *, shade: str = "pass") -> dict[str, Any]:
    rules = [{"id": "shade", "status": shade}, {"id": "edge", "status": "pass"}]
    probability = 0.9 if anomalous else 0.1
    return {"reasoning": "Seen.", "anomalous": anomalous, "probability": probability, "rules": rules}


def listens(body: Body) -> Response:
    """Goes by the rule `shade`, whatever it says, and by nothing else."""
    line = next((line for line in text_of(body).splitlines() if line.startswith("- id shade")), "")
    odd = bool(number_of(body) % 2) and bool(line)
    anomalous = odd != (TURNED in line)
    return answer(says(anomalous, shade="fail" if anomalous else "pass"))(body)


def is_deaf(body: Body) -> Response:
    """Goes by the picture alone."""
    return answer(says(bool(number_of(body) % 2)))(body)


class Ran(dict[str, Any]):
    """The rows of the test by change and rule."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document)
        self.by = {(row["change"], row["rule"]): row for row in document["rows"]}


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    for name in ("VLM_INSPECT_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "rules.yaml").write_text(RULES)
    coloured_parts(tmp_path / "parts", PARTS)

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        parts = [tmp_path / "parts" / "normal", tmp_path / "parts" / "anomalous"]
        given = [*parts, "--rules", tmp_path / "rules.yaml", "--localizer", "none", *arguments]
        with pytest.raises(SystemExit) as left:
            cli.main(["rule-test", *map(str, given)])
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out, err

    return call


def test_a_model_that_listens_moves_with_the_rule_it_goes_by(command: Command, tmp_path: Path) -> None:
    with OpenAIServer([listens]) as server:
        code, out, err = command(
            "--model", "openai:tiny", "--base-url", server.base_url, "--json", "--out", tmp_path / "o"
        )
    assert code == 0, err
    told = Ran(json.loads(out))
    assert told.by["negated", "shade"]["answer_moved"] == PARTS, "the opposite is the opposite on every part"
    assert told.by["removed", "shade"]["answer_moved"] == PARTS // 2, "without the rule nothing is anomalous"
    assert told.by["negated", "shade"]["status_moved"] == PARTS
    assert told.by["negated", "shade"]["score_moved"] == PARTS
    assert told.by["negated", "shade"]["mean_change"] == pytest.approx(0.8)
    assert told.by["again", None]["answer_moved"] == 0
    assert told.by["class", None]["answer_moved"] == 0
    assert not told.by["negated", "shade"]["silent"]
    assert told.by["negated", "edge"]["silent"]
    assert [warning.split(":")[0] for warning in told["warnings"]] == ["The model may ignore rule edge"]
    assert ("negated", "width") not in told.by, "what is measured is not the model's to judge"
    assert told["requests"] == PARTS * (2 + 2 * 2 + 1) == len(server.requests)
    assert told["prompt_tokens"] == 1000 * told["requests"]
    low, high = told.by["negated", "shade"]["interval"]
    assert low == pytest.approx(0.025 ** (1 / PARTS))
    assert high == 1.0
    assert json.loads((tmp_path / "o" / "rule_test.json").read_text()) == told
    page = (tmp_path / "o" / "rule_test.html").read_text()
    assert "rule turned into its opposite: edge" in page
    assert "may ignore rule edge" in page


def test_a_deaf_model_is_told_off(command: Command) -> None:
    with OpenAIServer([is_deaf]) as server:
        code, out, err = command("--model", "openai:tiny", "--base-url", server.base_url)
    assert code == 0, err
    assert "rule turned into its opposite: shade: answer moved 0 of 6 (95 % 0% to 46%)" in out
    assert out.count("warning: The model may ignore rule") == 2


def test_orders_of_pictures_and_a_model_that_contradicts_itself_are_told(command: Command, tmp_path: Path) -> None:
    asked: list[str] = []

    def goes_by_order(body: Body) -> Response:
        """Says what the order of the pictures is; and turns round when asked twice the same."""
        text = text_of(body)
        part, references = text.find("Now the part to judge"), text.rfind("Reference 1, normal")
        same = text in asked
        asked.append(text)
        return answer(says(part < references or same))(body)

    references = ["--reference", str(tmp_path / "parts" / "references" / "*.png")]
    with OpenAIServer([goes_by_order]) as server:
        code, out, err = command(
            "--model",
            "openai:tiny",
            "--base-url",
            server.base_url,
            *references,
            "--json",
            "--limit",
            2,
            "--concurrency",
            1,
        )
    assert code == 0, err
    told = Ran(json.loads(out))
    assert len(told["parts"]) == 2
    assert {Path(part).parent.name for part in told["parts"]} == {"normal", "anomalous"}
    assert told.by["part first", None]["answer_moved"] == 2
    assert told.by["references", None]["parts"] == 2
    assert told.by["again", None]["answer_moved"] > 0
    assert any("contradicts itself" in warning for warning in told["warnings"])


def test_parts_without_an_answer_are_left_out_and_said(command: Command) -> None:
    def refuses_one(body: Body) -> Response:
        if number_of(body) == 2:
            return status(400, "too grey")(body)
        if TURNED in text_of(body):
            return answer("I would rather not say.")(body)
        return listens(body)

    with OpenAIServer([refuses_one]) as server:
        code, out, err = command("--model", "openai:tiny", "--base-url", server.base_url, "--json")
    assert code == 0, err
    told = Ran(json.loads(out))
    assert [Path(one["part"]).name for one in told["left_out"]] == ["002.png"]
    assert told.by["negated", "shade"]["unread"] == PARTS - 1
    assert told.by["negated", "shade"]["parts"] == 0
    assert told.by["negated", "shade"]["interval"] is None
    render_rule_test(RuleTestDocument.model_validate(told))
    with OpenAIServer([status(401, "who are you?")]) as server:
        code, out, err = command("--model", "openai:tiny", "--base-url", server.base_url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no part got a verdict" in err


def test_what_cannot_be_tested_is_refused(command: Command, tmp_path: Path) -> None:
    code, out, err = command()
    assert (code, out) == (2, "")
    assert "evidence reads no rules" in err
    (tmp_path / "rules.yaml").write_text("class_name: plate\nrules: []\n")
    assert "no rule that the model judges" in command("--model", "openai:tiny", "--base-url", "http://127.0.0.1:9")[2]


class _Mute:
    """A backend that is never asked."""

    name = "mute"

    def generate(self, request: Request, *, samples: int = 1) -> list[Reply]:
        raise AssertionError(request, samples)


def pictures_of(request: Request) -> list[str]:
    content = request.messages[-1].content
    return [block["image_url"]["url"] for block in content if isinstance(block, dict) and block["type"] == "image_url"]


def test_each_change_changes_one_thing(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    root = coloured_parts(tmp_path / "parts", 2)
    references = sorted((root / "references").iterdir())
    rules = load_rules(tmp_path / "rules.yaml")
    inspector = Inspector(rules=rules, references=references, backend=_Mute(), localizer=None)
    prepared = inspector.prepare(root / "normal" / "000.png")
    template = load_template("inspect")
    changes = list_changes(inspector, prepared, template)
    told = {
        change: describe_messages(changed_request(change, inspector, prepared, template).messages) for change in changes
    }
    plain = told[AS_IS]
    assert told[Change("again")] == plain
    assert "- id shade" not in told[Change("removed", "shade")]
    assert told[Change("removed", "shade")].count("\n") == plain.count("\n") - 1
    differing = [
        (before, after)
        for before, after in zip(plain.splitlines(), told[Change("negated", "edge")].splitlines(), strict=True)
        if before != after
    ]
    assert len(differing) == 1
    assert differing[0][0].startswith("- id edge")
    assert "The edge is straight." in differing[0][1], "the rule's own words stay, turned"
    assert "grey plate" not in told[Change("class")]
    assert "A plate of one grey" not in told[Change("class")]
    assert told[Change("references")] == plain, "the same words"
    asked = {change: changed_request(change, inspector, prepared, template) for change in changes}
    one, other, part = pictures_of(asked[AS_IS])
    assert pictures_of(asked[Change("references")]) == [other, one, part]
    assert pictures_of(asked[Change("part first")]) == [part, one, other]
    first = told[Change("part first")]
    assert sorted(first.splitlines()) == sorted(plain.splitlines())
    assert first.index("Now the part to judge") < first.index("Reference 1, normal")
    assert plain.index("Now the part to judge") > plain.index("Reference 1, normal")


def test_the_report_of_a_run_shows_the_rule_test_beside_it(tmp_path: Path) -> None:
    turned, out = Change("negated", "edge"), tmp_path / "out"
    told = [{AS_IS: ProbeResult(True, 0.9, {"edge": "pass"}), turned: ProbeResult(True, 0.9, {"edge": "pass"})}]
    test = RuleTest("openai:tiny", {"edge": "<b>Straight</b>."}, ("a",), (), (count_moves(turned, told),), 2, Spent())
    write_run(out, read_dataset(mvtec(tmp_path / "data")), lambda task: {"score": shade(task)})
    write_rule_test(out, test.as_document())
    page = (out / "report.html").read_text()
    assert "Does the model follow its rules?" in page
    assert "The model may ignore rule edge" in page
    assert "&lt;b&gt;Straight" in page
    assert "<b>" not in page
    (out / "rule_test.json").write_text("[]")
    with pytest.raises(RunError, match=r"rule_test\.json: Input should be an object; make it again"):
        write_report(out)


def test_moves_are_counted_over_parts_that_were_answered_both_times() -> None:
    turned = Change("negated", "a")
    told = [
        {AS_IS: ProbeResult(True, 0.9, {"a": "fail"}), turned: ProbeResult(False, 0.2, {"a": "pass"})},
        {AS_IS: ProbeResult(True, None, {}), turned: ProbeResult(True, 0.2, {"a": "pass"})},
        {AS_IS: ProbeResult(True, 0.50, {"a": "fail"}), turned: ProbeResult(True, 0.54, {"a": "fail"})},
        {AS_IS: ProbeResult(True, 0.9), turned: ProbeResult(None)},
        {AS_IS: ProbeResult(False, 0.1)},
    ]
    moves = count_moves(turned, told)
    assert (moves.parts, moves.answer_moved, moves.unread) == (3, 1, 1)
    assert (moves.scored, moves.score_moved) == (2, 1)
    assert moves.mean_change == pytest.approx((0.7 + 0.04) / 2)
    assert (moves.judged, moves.status_moved) == (2, 1)
