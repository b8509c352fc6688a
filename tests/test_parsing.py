"""A folder of ugly replies, and the laws: any wrapper gives the same verdict, and nothing is normal by accident."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.backends.backend import Reply, TokenProbability
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing import needs_form, parse_verdict
from vlm_inspect.rules import Check, Rule, RuleBook
from vlm_inspect.verdict import Verdict

FOLDER = Path(__file__).parent / "replies"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "expected.yaml").read_text(encoding="utf-8"))
BOOK = RuleBook(
    class_name="screw",
    rules=(
        Rule(id="thread-complete", text="The thread runs unbroken.", severity="critical"),
        Rule(id="straight", text="The shaft is straight."),
        Rule(id="length", text="20 mm long.", check=Check(measure="length", min=19.7, max=20.3)),
    ),
)


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


def picture(height: int, width: int, label: str) -> View:
    return View(np.zeros((height, width, 3), np.uint8), "depth", label, Nowhere())


VIEWS = [picture(512, 512, "depth, front"), picture(512, 512, "depth, left"), picture(720, 1280, "whole")]


def parse(text: str, **reply: Any) -> Verdict:
    return parse_verdict(Reply(text, **reply), BOOK, VIEWS)


def cause_of(text: str, **reply: Any) -> str:
    with pytest.raises(ParseError) as caught:
        parse(text, **reply)
    assert caught.value.reply_text == text
    return caught.value.cause


def test_every_reply_has_an_expectation_and_there_are_many() -> None:
    assert {path.name for path in FOLDER.glob("*.txt")} == set(EXPECTED)
    assert len(EXPECTED) >= 60


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_ugly_reply(name: str) -> None:
    expected = EXPECTED[name]
    text = (FOLDER / name).read_text(encoding="utf-8")
    finish = expected.get("finish", "stop")
    if "error" in expected:
        assert cause_of(text, finish_reason=finish) == expected["error"]
        return
    verdict = parse(text, finish_reason=finish)
    assert verdict.anomalous is expected["anomalous"]
    assert verdict.path == expected.get("path", verdict.path)
    assert verdict.reasoning == expected.get("reasoning", verdict.reasoning)
    if "probability" in expected:
        wanted = expected["probability"]
        assert verdict.probability == (None if wanted is None else pytest.approx(wanted))
    if "boxes" in expected:
        boxes = [None if d.box_xyxyn is None else list(d.box_xyxyn) for d in verdict.defects]
        assert boxes == [None if box is None else pytest.approx(box) for box in expected["boxes"]]
    if "rules" in expected:
        assert {rule.id: rule.status for rule in verdict.rules} == expected["rules"]
    if "severities" in expected:
        assert [defect.severity for defect in verdict.defects] == expected["severities"]
    if "warnings" in expected:
        assert list(verdict.warnings) == expected["warnings"]
    if "warned" in expected:
        assert any(expected["warned"] in warning for warning in verdict.warnings), verdict.warnings


def test_all_fields_of_a_full_answer_arrive() -> None:
    verdict = parse((FOLDER / "001-strict-anomalous.txt").read_text(encoding="utf-8"))
    defect = verdict.defects[0]
    assert (defect.type, defect.view, defect.severity, defect.description) == (
        "missing thread",
        1,
        "critical",
        "smooth shaft",
    )
    assert verdict.rules[0].reason == "It stops halfway."
    assert verdict.rules[0].view == 1
    assert verdict.answer == "The thread is incomplete."
    assert verdict.samples == 1


def test_words_alone_never_make_a_part_normal_whatever_they_say() -> None:
    for text in ("No.", "No anomalies are visible.", "The part is normal.", "Everything is fine, no defects at all."):
        assert cause_of(text) == "unreadable"
        assert needs_form(Reply(text))


def test_the_form_is_asked_for_only_where_there_is_a_finished_answer_without_it() -> None:
    assert needs_form(Reply('{"reasoning": "The thread is whole."}'))
    assert needs_form(Reply('{"anomalous": ' + "[" * 3000 + "]" * 3000 + "}"))
    for reply in (Reply(""), Reply("No", finish_reason="length"), Reply("I'm sorry, I can't help with that."), FINE):
        assert not needs_form(reply)


def test_a_second_answer_in_the_asked_form_counts_and_is_said() -> None:
    verdict = parse('{"reasoning": "x", "anomalous": false}', first_text="It looks whole to me.")
    assert not verdict.anomalous
    assert any("asked once more" in warning for warning in verdict.warnings)


def test_a_second_answer_that_takes_back_a_fault_is_a_contradiction() -> None:
    assert cause_of('{"reasoning": "x", "anomalous": false}', first_text="The thread is torn.") == "unreadable"
    assert parse("Still no JSON.", first_text="The thread is torn.").path == "prose"


def test_an_answer_in_the_place_of_thinking_is_used_only_where_it_is_whole() -> None:
    body = '{"reasoning": "bent", "anomalous": true}'
    verdict = parse("", reasoning=body)
    assert verdict.anomalous
    assert any("reasoning_content" in warning for warning in verdict.warnings)
    with pytest.raises(ParseError, match="reasoning_content"):
        parse("", reasoning=f"I think {body} or so")


def test_a_failure_of_the_server_is_told_with_its_reason() -> None:
    with pytest.raises(ParseError, match="finish reason error; Upstream error"):
        parse("No. The part is normal", finish_reason="error", notes=("Upstream error",))


@pytest.mark.parametrize("depth", [900, 5_000, 45_000])
def test_deep_json_is_an_answer_that_cannot_be_read(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for text in (f'{{"anomalous": {deep}}}', f'{{"anomalous": true, "defects": {deep}}}', deep, '{"a":' * depth):
        try:
            found = parse(text).path
        except ParseError as failure:
            found = failure.cause
        assert found in ("json", "repaired", "unreadable", "truncated")


def test_huge_integers_do_no_harm() -> None:
    huge = "9" * 4200
    verdict = parse(
        f'{{"anomalous": true, "probability": {huge}, '
        f'"rules": [{{"id": "straight", "status": {huge}, "view": {huge}}}],'
        f' "defects": [{{"type": {huge}, "view": 0, "box": [{huge}, 1, 2, 3], "score": {huge}}}]}}'
    )
    assert verdict.probability is None
    assert verdict.defects[0].box_xyxyn is None


def test_control_characters_and_lone_surrogates_do_not_get_through() -> None:
    verdict = parse('{"reasoning": "red \\u001b[31m text \\ud800", "anomalous": true, "answer": "\\ud83d\\udd29"}')
    assert verdict.reasoning.encode() == "red [31m text \N{REPLACEMENT CHARACTER}".encode()
    assert verdict.answer == "\N{NUT AND BOLT}"


def test_one_view_needs_no_number() -> None:
    text = '{"reasoning": "x", "anomalous": true, "defects": [{"type": "dent", "box": [100, 100, 200, 200]}]}'
    assert parse_verdict(Reply(text), BOOK, VIEWS[:1]).defects[0].view == 0


def test_no_reply_at_all_is_empty() -> None:
    with pytest.raises(ParseError) as caught:
        parse_verdict([], BOOK, VIEWS)
    assert caught.value.cause == "empty"


def test_a_runaway_reply_is_read_in_bounded_time() -> None:
    assert cause_of("{" * 99_000) in ("truncated", "unreadable")
    assert cause_of('{"a": ' * 10_000) == "truncated"
    assert cause_of("no " * 100_000) == "unreadable"


# --- probabilities of tokens ---------------------------------------------------------------------------------------


def spell(*tokens: str | tuple[str, dict[str, float]]) -> tuple[TokenProbability, ...]:
    """Tokens with log-probabilities; a plain string is certain."""
    spelt = []
    for token in tokens:
        text, chances = (token, {token: 1.0}) if isinstance(token, str) else token
        logs = {word: math.log(chance) for word, chance in chances.items()}
        spelt.append(TokenProbability(text, logs[text], logs))
    return tuple(spelt)


def reply_of(tokens: tuple[TokenProbability, ...]) -> Reply:
    return Reply("".join(token.token for token in tokens), tokens=tokens)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (spell('{"reasoning": "x", "', "anom", "alous", '":', (" true", {" true": 0.8, " false": 0.2}), "}"), 0.8),
        (spell('{"reasoning": "x", "anomalous":', (" false", {" false": 0.6, " true": 0.3, " null": 0.1}), "}"), 1 / 3),
        (spell('{"anomalous', (': "no', {': "no': 0.7, ': "yes': 0.3}), '"}'), 0.3),
        (spell('{"anomalous": ', ("tr", {"tr": 0.5, "True": 0.25, "fal": 0.25}), "ue}"), 0.75),
        (spell('{"reasoning": "x", "correctness": ', ("1", {"1": 0.9, "0": 0.1}), "}"), 0.1),
        (spell('{"anomalous": ', ("true", {"true": 0.97}), "}"), 0.97),
        (spell("<think>", '"anomalous": ', ("false", {"false": 0.9, "true": 0.1}), "</think>", '{"anomalous": ',
               ("true", {"true": 0.7, "false": 0.3}), "}"), 0.7),
    ],
)  # fmt: skip
def test_token_probability_of_the_verdict(tokens: tuple[TokenProbability, ...], expected: float) -> None:
    assert parse_verdict(reply_of(tokens), BOOK, VIEWS).probability == pytest.approx(expected)


def test_token_probability_beats_the_stated_one_and_falls_back_to_it() -> None:
    certain = spell('{"anomalous": ', ("true", {"true": 0.6, "false": 0.4}), ', "probability": 0.99}')
    assert parse_verdict(reply_of(certain), BOOK, VIEWS).probability == pytest.approx(0.6)
    lost = Reply('{"anomalous": true, "probability": 0.99}', tokens=spell("garbled"))
    assert parse_verdict(lost, BOOK, VIEWS).probability == pytest.approx(0.99)


# --- several samples -----------------------------------------------------------------------------------------------

NG = Reply('{"reasoning": "bent", "anomalous": true, "probability": 0.9, "rules": {"straight": "fail"}}')
FINE = Reply('{"reasoning": "fine", "anomalous": false, "probability": 0.2, "rules": {"straight": "pass"}}')
REFUSED = Reply("I'm sorry, I can't help with that.")


@pytest.mark.parametrize(
    ("replies", "anomalous", "share", "doubts"),
    [
        ([NG, NG, NG], True, 1.0, 0),
        ([FINE] * 5, False, 0.0, 0),
        ([NG, FINE, NG, NG], True, 0.75, 1),
        ([NG, FINE, NG, FINE], True, 0.5, 1),
        ([FINE, FINE, REFUSED], False, 0.5 / 3, 1),
        ([FINE, NG, REFUSED, FINE], False, 1.5 / 4, 2),
    ],
)
def test_samples_vote(replies: list[Reply], anomalous: bool, share: float, doubts: int) -> None:
    verdict = parse_verdict(replies, BOOK, VIEWS)
    assert (verdict.anomalous, verdict.samples, len(verdict.doubts)) == (anomalous, len(replies), doubts)
    assert verdict.probability == pytest.approx(share)


def test_two_samples_give_the_mean_of_what_they_state() -> None:
    verdict = parse_verdict([NG, NG], BOOK, VIEWS)
    assert verdict.probability == pytest.approx(0.9)
    torn = parse_verdict([NG, FINE], BOOK, VIEWS)
    assert torn.anomalous
    assert torn.probability == pytest.approx(0.55)
    assert torn.doubts


def test_rules_of_samples_need_a_majority() -> None:
    assert parse_verdict([NG, NG, FINE], BOOK, VIEWS).rules[0].status == "fail"
    assert parse_verdict([NG, FINE], BOOK, VIEWS).rules[0].status == "cannot_tell"


def test_unreadable_samples_are_named_and_all_of_them_are_an_error() -> None:
    assert (
        "1 of the model's 3 answers could not be read (refusal)" in parse_verdict([NG, NG, REFUSED], BOOK, VIEWS).doubts
    )
    with pytest.raises(ParseError) as caught:
        parse_verdict([REFUSED, Reply("")], BOOK, VIEWS)
    assert caught.value.cause == "refusal"


# --- laws ----------------------------------------------------------------------------------------------------------

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40)
PER_MILLE = st.integers(0, 998)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    x, y = draw(PER_MILLE), draw(PER_MILLE)
    corner = [x, y, draw(st.integers(x + 2, 1000)), draw(st.integers(y + 2, 1000))]
    defect = {"type": draw(TEXT.filter(str.strip)), "view": draw(st.integers(0, 2)), "box": corner}
    return {
        "reasoning": draw(TEXT),
        "anomalous": draw(st.booleans()),
        "probability": draw(st.floats(0, 1).map(lambda p: round(p, 6))),
        "answer": draw(TEXT),
        "rules": [
            {"id": "straight", "status": draw(st.sampled_from(["pass", "fail", "cannot_tell"])), "reason": draw(TEXT)}
        ],
        "defects": [defect] if draw(st.booleans()) else [],
    }


WRAPPERS: list[Callable[[dict[str, Any]], str]] = [
    lambda answer: json.dumps(answer, indent=2),
    lambda answer: json.dumps(answer, ensure_ascii=False),
    lambda answer: f"```json\n{json.dumps(answer)}\n```",
    lambda answer: f"Here is what I found.\n{json.dumps(answer)}\nThank you.",
    lambda answer: (
        f'<think>Perhaps {{"anomalous": {json.dumps(not answer["anomalous"])}}}?</think>{json.dumps(answer)}'
    ),
    lambda answer: json.dumps({"result": answer}),
    lambda answer: json.dumps([answer]),
    lambda answer: json.dumps(json.dumps(answer)),
    lambda answer: json.dumps(answer)[:-1] + ",}",
    lambda answer: json.dumps({key: answer[key] for key in reversed(answer)}),
]


@given(answers())
@settings(max_examples=60, deadline=None)
def test_a_valid_answer_parses_alike_in_every_wrapper(answer: dict[str, Any]) -> None:
    verdicts = [parse(wrap(answer)) for wrap in WRAPPERS]
    plain = verdicts[0]
    assert plain.anomalous is answer["anomalous"]
    assert plain.probability == pytest.approx(answer["probability"])
    assert plain.rules[0].status == answer["rules"][0]["status"]
    for verdict in verdicts:
        assert (verdict.anomalous, verdict.probability, verdict.rules, verdict.defects) == (
            plain.anomalous, plain.probability, plain.rules, plain.defects,
        )  # fmt: skip
    for defect, asked in zip(plain.defects, answer["defects"], strict=True):
        assert defect.box_xyxyn == pytest.approx(
            [value / 1000 if max(asked["box"]) > 1 else value for value in asked["box"]]
        )


@given(answers(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_cut_answer_never_gives_a_verdict(answer: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(answer)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(ParseError):
        parse(cut)


CHATTER = [
    *("{", "}", "[", "]", '"', "'", ":", ",", "```", "```json", "<think>", "</think>", "\\", "\n", "//", "/*", "\x00"),
    *(
        "anomalous",
        '"anomalous"',
        '"reasoning":',
        "null",
        "maybe",
        "the part",
        "OK",
        "screw",
        "1",
        "0.5",
        "-",
        "good",
        "Sure!",
    ),
    *("view 2", "please", "image", "normal?", "“", "”", "it's", "<|im_end|>", "answer", "{}", "[[", "nan", "1e999"),
]


@given(st.lists(st.sampled_from(CHATTER), max_size=25).map(" ".join))
@example("OK")
@example("good")
@settings(max_examples=400, deadline=None)
def test_chatter_is_never_normal(text: str) -> None:
    try:
        verdict = parse(text)
    except ParseError as error:
        assert error.cause in ("empty", "refusal", "truncated", "unreadable")  # noqa: PT017 - both branches are the law
    else:
        assert verdict.anomalous


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))))
@settings(max_examples=200, deadline=None)
def test_random_text_raises_nothing_but_parse_errors(text: str) -> None:
    try:
        verdict = parse(text)
    except ParseError:
        return
    assert verdict.anomalous or "{" in text


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just("pass"),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["id", "status", "box", "type", "view", "x"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["reasoning", "probability", "rules", "defects", "answer", "confidence"]), JSON_VALUES
    )
)
@settings(max_examples=80, deadline=None)
def test_fields_of_any_type_are_mended_or_dropped(fields: dict[str, Any]) -> None:
    verdict = parse(json.dumps({**fields, "anomalous": True}))
    assert verdict.anomalous
    assert verdict.probability is None or 0.0 <= verdict.probability <= 1.0
    for defect in verdict.defects:
        assert defect.box_xyxyn is None or all(0.0 <= side <= 1.0 for side in defect.box_xyxyn)
        assert defect.view is None or 0 <= defect.view < len(VIEWS)


@pytest.mark.parametrize(
    "piece", ["<think>", "<think></reasoning>", "<|channel|>final<|", '{"a": "', "i am sorry but i ", "is "]
)
def test_reading_takes_time_in_proportion_to_length(piece: str) -> None:
    began = time.process_time()
    assert cause_of(piece * (90_000 // len(piece))) in ("empty", "refusal", "truncated", "unreadable")
    assert time.process_time() - began < 2.0
