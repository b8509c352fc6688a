"""Answers of random numbers are valid, come to an end, and tell their probabilities."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.view import BoxXyxyn, Place, View
from tests.backends.tiny_vlms import tokenizer
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.hf.grammar import Allowance, AnswerForm, Vocabulary
from vlm_inspect.backends.hf.schema import bounded_schema, longest_item, shortest_answer
from vlm_inspect.errors import BackendError
from vlm_inspect.evidence import Evidence
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.rules import Rule, RuleBook

RULES = RuleBook(class_name="nut", rules=tuple(Rule(id=f"rule-{n}", text="Whole.") for n in range(3)))
LIMIT = 320


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


def request_of(template: str, rules: RuleBook = RULES, question: str | None = None) -> Request:
    views = [View(np.zeros((40, 40, 3), dtype=np.uint8), "image", str(n), Nowhere()) for n in range(2)]
    return build_request(load_template(template), views, rules, [], Evidence(), question)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    words = tokenizer(("<pad>", "<s>", "</s>", "<image>"), eos="</s>", pad="<pad>", bos="<s>")
    return Vocabulary(words, len(words) + 5, [words.eos_token_id])  # models pad their output layer


def allowance_of(vocabulary: Vocabulary, schema: Mapping[str, Any], margin: int = 16) -> Allowance:
    return Allowance(vocabulary.grammar(schema), shortest_answer(schema) + longest_item(schema) + margin)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def answer_at_random(vocabulary: Vocabulary, allowance: Allowance, seed: int, limit: int = LIMIT) -> Reply:
    """What a model of random logits answers, the likeliest token each time."""
    chance = torch.Generator().manual_seed(seed)
    form = AnswerForm(vocabulary, [allowance], limit, 1)
    ids = torch.zeros((1, 1), dtype=torch.long)
    for _ in range(limit):
        scores = form(ids, 4 * torch.randn((1, vocabulary.size), generator=chance))
        ids = torch.cat([ids, scores.argmax(-1, keepdim=True)], dim=1)
        if int(ids[0, -1]) in vocabulary.end_ids:
            break
    (answer,) = form.finish(ids)
    assert answer.length >= len(answer.tokens)
    return Reply(answer.text, "stop" if answer.ended else "length", answer.tokens)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), template=st.sampled_from(["inspect", "benchmark"]), asked=st.booleans())
def test_any_logits_give_a_valid_answer(vocabulary: Vocabulary, seed: int, template: str, asked: bool) -> None:
    request = request_of(template, question="Why?" if asked and template == "inspect" else None)
    schema = bounded_schema(request)
    reply = answer_at_random(vocabulary, allowance_of(vocabulary, schema), seed)
    assert reply.finish_reason == "stop"
    check(json.loads(reply.text), schema)
    verdict = parse_verdict(reply, RULES, request.views)
    assert verdict.probability is not None
    assert 0.0 <= verdict.probability <= 1.0


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """JSON schema, as far as bounded schemas go."""
    if "enum" in schema:
        assert value in schema["enum"]
        return
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": float}
    assert isinstance(value, kinds[schema["type"]])
    if isinstance(value, dict):
        known = schema["properties"]
        assert set(schema["required"]) <= set(value) <= set(known)
        assert list(value) == [key for key in known if key in value], "keys come in the order of the schema"
        for key, part in value.items():
            check(part, known[key])
    elif isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema["maxItems"]
        for part in value:
            check(part, schema["items"])
    elif isinstance(value, str):
        assert len(value) <= schema["maxLength"]
    elif not isinstance(value, bool):
        assert schema["minimum"] <= value <= schema["maximum"]


def test_schema_takes_what_the_request_fixes() -> None:
    schema = bounded_schema(request_of("inspect", question="Why?"))
    assert schema["required"] == ["reasoning", "anomalous", "answer", "rules", "defects"]
    rule = schema["properties"]["rules"]
    assert rule["maxItems"] == 3
    assert rule["items"]["properties"]["id"]["enum"] == ["rule-0", "rule-1", "rule-2"]
    assert rule["items"]["properties"]["view"] == {"type": "integer", "minimum": 0, "maximum": 1}
    assert "answer" not in bounded_schema(request_of("inspect"))["required"]
    assert load_template("inspect").answer_schema["required"] == ["reasoning", "anomalous"], (
        "the original is left alone"
    )


def test_no_rules_leave_no_place_for_any() -> None:
    schema = bounded_schema(request_of("inspect", RuleBook(class_name="nut")))
    assert schema["properties"]["rules"]["maxItems"] == 0


@pytest.mark.parametrize("p_true", [0.02, 0.45, 0.55, 0.97])
def test_probability_is_that_of_the_verdict(vocabulary: Vocabulary, p_true: float) -> None:
    """Whatever else the model would rather say there, true and false share the whole."""
    schema = {
        "type": "object",
        "properties": {"reasoning": {"type": "string", "maxLength": 4}, "anomalous": {"type": "boolean"}},
        "required": ["reasoning", "anomalous"],
        "additionalProperties": False,
    }
    form = AnswerForm(vocabulary, [allowance_of(vocabulary, schema)], LIMIT, 1)
    wanted = {" true": math.log(p_true), " false": math.log(1 - p_true)}
    scores = torch.full((1, vocabulary.size), -30.0)
    for token in range(vocabulary.size):
        if (text := vocabulary.text([token])) in wanted:
            scores[0, token] = wanted[text]
    scores[0, vocabulary.tokens.tokenize_str("yes")[0]] = 9.0
    ids = torch.zeros((1, 1), dtype=torch.long)
    while int(ids[0, -1]) not in vocabulary.end_ids:
        ids = torch.cat([ids, form(ids, scores.clone()).argmax(-1, keepdim=True)], dim=1)
    (answer,) = form.finish(ids)
    assert answer.ended
    verdict = parse_verdict(Reply(answer.text, tokens=answer.tokens), RULES, ())
    assert verdict.anomalous is (p_true >= 0.5)
    assert verdict.probability == pytest.approx(p_true, abs=1e-4)


def test_limit_ends_an_answer_in_its_form(vocabulary: Vocabulary) -> None:
    schema = bounded_schema(request_of("inspect"))
    allowance = allowance_of(vocabulary, schema)
    short, long = (answer_at_random(vocabulary, allowance, 3, limit) for limit in (allowance.reserve + 4, 600))
    assert short.finish_reason == long.finish_reason == "stop"
    assert len(short.text) < len(long.text)
    assert long.text.startswith(json.loads(short.text)["reasoning"].join(['{"reasoning": "', ""])), (
        "the same, cut short"
    )


def test_words_behind_the_verdict_are_not_taken_for_it(vocabulary: Vocabulary) -> None:
    schema = {
        "type": "object",
        "properties": {"anomalous": {"type": "boolean"}, "answer": {"type": "string", "enum": ["anomalous: true"]}},
        "required": ["anomalous", "answer"],
        "additionalProperties": False,
    }
    form = AnswerForm(vocabulary, [allowance_of(vocabulary, schema)], LIMIT, 1)
    scores = torch.zeros((1, vocabulary.size))
    scores[0, vocabulary.tokens.tokenize_str(" false")[0]] = 5.0
    ids = torch.zeros((1, 1), dtype=torch.long)
    while int(ids[0, -1]) not in vocabulary.end_ids:
        ids = torch.cat([ids, form(ids, scores.clone()).argmax(-1, keepdim=True)], dim=1)
    (answer,) = form.finish(ids)
    assert json.loads(answer.text) == {"anomalous": False, "answer": "anomalous: true"}
    verdict = parse_verdict(Reply(answer.text, tokens=answer.tokens), RULES, ())
    assert verdict.probability is not None
    assert verdict.probability < 0.1


def test_text_without_schema_is_free(vocabulary: Vocabulary) -> None:
    reply = answer_at_random(vocabulary, Allowance(None, 0), 0, 40)
    assert len(reply.tokens) == 40
    assert reply.finish_reason == "length"


def test_broken_numbers_are_no_answer(vocabulary: Vocabulary) -> None:
    form = AnswerForm(vocabulary, [Allowance(None, 0)], 8, 1)
    with pytest.raises(BackendError, match="no numbers"):
        form(torch.zeros((1, 1), dtype=torch.long), torch.full((1, vocabulary.size), torch.nan))


def test_schema_that_cannot_be_enforced_is_one_line(vocabulary: Vocabulary) -> None:
    with pytest.raises(BackendError, match="cannot be enforced") as caught:
        vocabulary.grammar({"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}})
    assert "\n" not in str(caught.value)
