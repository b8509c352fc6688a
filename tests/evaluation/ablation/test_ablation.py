"""`vlm-inspect ablate` against a scripted model on a real server: what each variant adds, and what it is worth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluation.ablation.variants import AGENTS, VARIANTS, make_variants, write_variant
from evaluation.bench.options import BenchOptions
from evaluation.errors import RunError
from tests.backends.openai_server import Body, OpenAIServer, Response, answer
from tests.evaluation.coloured_parts import coloured_parts, number_of
from tests.evaluation.engine.agent_model import finds_it_by_refuting
from tests.evaluation.engine.test_second_looks import sees_it_when_enlarged
from vlm_inspect import cli
from vlm_inspect.config import InspectorConfig
from vlm_inspect.prompting import load_template
from vlm_inspect.rules import load_rules

PARTS = 8
PLAIN = [name for name in VARIANTS if name not in ("evidence", *AGENTS)]
"""The variants where no localizer is, and no agent."""
BOOK = """
class_name: coloured plate
description: A plate of one colour.
rules:
  - {id: colour, text: The plate has an even number of red.}
  - {id: bright, text: It is not black., severity: minor, check: {measure: brightness, min: 1}}
defects: [odd colour]
ignore: [[0.0, 0.0, 0.1, 0.1]]
"""
Ablate = Callable[..., tuple[int, str, str]]


def words_of(body: Body) -> str:
    return json.dumps([block.get("text", "picture") for message in body["messages"] for block in _blocks(message)])


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"text": content}] if isinstance(content, str) else content


def reads_rules(body: Body) -> Response:
    """Finds the odd parts where it is told the rule, and calls everything normal where it is not."""
    told = "even number of red" in words_of(body)
    odd = told and bool(number_of(body) % 2)
    return answer({"reasoning": "Seen.", "anomalous": odd, "probability": 0.9 if odd else 0.1})(body)


@pytest.fixture
def ablate(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ablate:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    for name in ("VLM_INSPECT_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    coloured_parts(tmp_path / "parts", PARTS)
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "parts.yaml").write_text(BOOK)

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main(["ablate", str(tmp_path / "parts"), *map(str, arguments)])
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out, err

    return call


def options(server: OpenAIServer, tmp_path: Path, *others: object) -> list[object]:
    named = ["--base-url", server.base_url, "--shots", 1, "--localizer", "none", "--cache", "off"]
    return ["--out", tmp_path / "ablation", "--rules-dir", tmp_path / "books", *named, *others]


def test_the_variant_that_helps_is_told_from_those_that_do_not(ablate: Ablate, tmp_path: Path) -> None:
    out = tmp_path / "ablation"
    with OpenAIServer([reads_rules]) as server:
        models = ["--model", "openai:one", "--model", "openai:two"]
        code, told, err = ablate(*options(server, tmp_path, *models))
        assert code == 0, err
        assert len(server.requests) == 2 * 5 * PARTS
    document = json.loads((out / "ablation.json").read_text())
    assert list(document["left_out"]) == ["evidence", *AGENTS]
    rows = {(row["model"], row["variant"]): row for row in document["rows"]}
    assert list(rows) == [(m, r) for m in ("openai:one", "openai:two") for r in PLAIN]
    for model in ("openai:one", "openai:two"):
        assert [rows[model, variant]["image_auroc"] for variant in PLAIN] == [0.5, 0.5, 1.0, 1.0, 1.0]
        assert rows[model, "task"]["gain"] is None
        assert rows[model, "class"]["gain"]["value"] == 0.0
        assert rows[model, "rules"]["gain"]["low"] > 0.0
        assert rows[model, "references"]["gain"]["share"] == 0.5
        assert all(rows[model, variant]["tokens_an_item"] == 1007 for variant in PLAIN)
    assert told.count("image_auroc") == 10
    assert "image_auroc 1.0000" in told
    page = (out / "ablation.html").read_text()
    assert "more than chance" in page
    assert f'<td class="number">{PARTS}</td></tr>' in page
    assert "built-in" not in page
    for row in document["rows"]:
        assert "The prompt ablation that this run is a variant of" in (out / row["folder"] / "report.html").read_text()
        assert json.loads((out / row["folder"] / "results.json").read_text())["categories"]["parts"]["n"] == PARTS


def test_a_second_look_is_the_last_variant_and_is_paid_for(ablate: Ablate, tmp_path: Path) -> None:
    with OpenAIServer([sees_it_when_enlarged]) as server:
        code, _, err = ablate(*options(server, tmp_path, "--model", "openai:tiny", "--quiet", "--shots", 0))
    assert code == 0, err
    rows = {row["variant"]: row for row in json.loads((tmp_path / "ablation" / "ablation.json").read_text())["rows"]}
    assert {name: row["image_auroc"] for name, row in rows.items()} == {
        "task": 0.5, "class": 0.5, "rules": 0.5, "look again": 1.0,
    }  # fmt: skip
    assert rows["look again"]["gain"]["low"] > 0.0
    assert rows["look again"]["tokens_an_item"] == 2 * rows["rules"]["tokens_an_item"]
    assert rows["look again"]["folder"].endswith("4-look-again")
    assert "look again" in (tmp_path / "ablation" / "ablation.html").read_text()


def test_the_agent_is_two_variants_with_their_cost(ablate: Ablate, tmp_path: Path) -> None:
    with OpenAIServer([finds_it_by_refuting], refuses=("tools",)) as server:
        code, told, err = ablate(*options(server, tmp_path, "--model", "openai:tiny", "--shots", 0, "--agent"))
    assert code == 0, err
    document = json.loads((tmp_path / "ablation" / "ablation.json").read_text())
    rows = {row["variant"]: row for row in document["rows"]}
    assert {name: rows[name]["image_auroc"] for name in AGENTS} == {"agent without refutation": 0.5, "agent": 1.0}
    assert rows["agent"]["gain"]["low"] > 0.0
    assert [rows[name]["tokens_an_item"] for name in ("look again", *AGENTS)] == [1007, 3 * 1007, 3 * 1007]
    assert told.count("tokens an item") == len(rows)


def test_each_variant_asks_with_what_it_has_and_nothing_more(ablate: Ablate, tmp_path: Path) -> None:
    with OpenAIServer([reads_rules]) as server:
        code, _, err = ablate(*options(server, tmp_path, "--model", "openai:tiny", "--limit", 2, "--quiet"))
        assert (code, err) == (0, "")
        asked = [words_of(request.body) for request in server.requests]
    variants = [asked[at : at + 2] for at in range(0, 10, 2)]
    marks = ("coloured plate", "even number of red", "Reference 1, normal", "What was measured", "brightness")
    seen = [[all(mark in words for words in variant) for mark in marks] for variant in variants]
    none = [[all(mark not in words for words in variant) for mark in marks] for variant in variants]
    assert seen == [
        [False, False, False, False, False],
        [True, False, False, False, False],
        [True, True, False, False, False],
        [True, True, True, False, False],
        [True, True, True, False, False],
    ]
    assert none == [[not one for one in variant] for variant in seen]


def test_it_goes_on_where_it_stopped_and_refuses_what_it_cannot_do(ablate: Ablate, tmp_path: Path) -> None:
    with OpenAIServer([reads_rules]) as server:
        tight = ["--model", "openai:tiny", "--price", "1000/0", "--concurrency", 1]  # a dollar a request
        code, out, err = ablate(*options(server, tmp_path, *tight, "--budget-usd", PARTS + 2.5))
        assert (code, out) == (2, "")
        assert "budget" in err
        asked = len(server.requests)
        assert asked == PARTS + 2
        assert "is not empty" in ablate(*options(server, tmp_path, *tight))[2]
        code, out, err = ablate(*options(server, tmp_path, *tight, "--resume", "--budget-usd", 1000))
        assert code == 0, err
        assert len(server.requests) == 5 * PARTS, "nothing was asked twice"
        assert "1000.00 USD per 1000 items" in out
        other = options(server, tmp_path / "new", "--model", "a:b", "--model", "c:d", "--price", "1/1")
        assert "--price holds for one model" in ablate(*other)[2]
    assert "evidence reads no prompt" in ablate("--out", tmp_path / "x", "--model", "evidence")[2]


def test_the_variants_of_a_template_is_written_down(tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(BOOK)
    book = load_rules(tmp_path / "book.yaml")
    template = load_template("inspect")
    variants, left_out = make_variants(template, {})
    assert [variant.name for variant in variants] == list(VARIANTS)
    assert left_out == {}
    whole = BenchOptions(config=InspectorConfig(calibration=tmp_path / "c.json"))
    told = [write_variant(tmp_path / "out", variant, template, {"a/b": book}, whole) for variant in variants]
    assert [one.shots for one in told] == [0, 0, 0, 4, 4, 4, 4, 4]
    assert [one.config.localizer.name for one in told] == ["none"] * 4 + ["auto"] * 4
    assert [one.config.look_again for one in told] == [False] * 5 + [True] + [False] * 2
    assert [one.config.agent.enabled for one in told] == [False] * 6 + [True] * 2
    assert [one.config.agent.refutation for one in told[-2:]] == [False, True]
    assert told[0].rules_dir is None
    folders = [one.rules_dir for one in told[1:] if one.rules_dir is not None]
    assert len(folders) == 7
    for folder in folders:
        load_rules(folder / "a_b.yaml")
    assert all(one.config.calibration is None for one in told), "each variant has its own rule book"
    assert load_template(told[4].config.template).blocks == template.blocks
    books = [yaml.safe_load((folder / "a_b.yaml").read_text()) for folder in folders]
    assert "rules" not in books[0]
    assert [rule.get("check") for rule in books[1]["rules"]] == [None, None]
    assert books[3]["rules"][1]["check"] == {"measure": "brightness", "min": 1.0}
    assert books[3]["ignore"] == [[0.0, 0.0, 0.1, 0.1]]
    variants, left_out = make_variants(load_template("benchmark"), {"references": "none given"})
    assert [variant.name for variant in variants] == ["task", "class", "rules", "look again", *AGENTS]
    assert set(left_out) == {"references", "evidence"}
    assert not variants[-1].has("references")
    with pytest.raises(RunError, match="two variants"):
        make_variants(load_template("benchmark"), dict.fromkeys(VARIANTS[1:], "no"))
