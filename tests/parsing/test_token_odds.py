"""P(anomalous) by tokens: whose verdict the tokens spell, and what an undecided token is worth."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_inspect.backends.backend import Reply, TokenProbability
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.parsing.token_odds import token_probability
from vlm_inspect.rules import RuleBook


def spell(*tokens: str | tuple[str, dict[str, float]]) -> tuple[TokenProbability, ...]:
    """Tokens with log-probabilities; a plain string is certain."""
    spelt = []
    for token in tokens:
        text, chances = (token, {token: 1.0}) if isinstance(token, str) else token
        logs = {word: math.log(chance) for word, chance in chances.items()}
        spelt.append(TokenProbability(text, logs[text], logs))
    return tuple(spelt)


def parsed(tokens: tuple[TokenProbability, ...]) -> float | None:
    reply = Reply("".join(token.token for token in tokens), tokens=tokens)
    return parse_verdict(reply, RuleBook(class_name="nut"), []).probability


def test_what_another_text_of_the_answer_says_is_not_the_verdict() -> None:
    before = spell(
        '{"reasoning": "The label reads \\"anomalous\\": ', ("false", {"false": 0.9, "true": 0.1}), ', I see.", ',
        '"anomalous": ', ("false", {"false": 0.6, "true": 0.4}), "}",
    )  # fmt: skip
    assert parsed(before) == pytest.approx(0.4)
    after = spell(
        '{"reasoning": "x", "anomalous": ', ("true", {"true": 0.8, "false": 0.2}),
        ', "answer": "Is it anomalous: ', ("yes", {"yes": 0.99, "no": 0.01}), ', very much so."}',
    )  # fmt: skip
    assert parsed(after) == pytest.approx(0.8)


def test_a_value_that_spells_another_verdict_does_not_count() -> None:
    stray = spell('{"anomalous": true, "reasoning": "x"} anomalous=', ("no", {"no": 0.9, "yes": 0.1}))
    assert token_probability(stray, anomalous=True) == pytest.approx(1.0)


def test_a_token_that_decides_nothing_yet_leaves_room_for_the_other_side() -> None:
    torn = spell('{"reasoning": "x", "anomalous":', (" true", {" true": 0.5, " ": 0.5}), "}")
    assert parsed(torn) == pytest.approx(0.5)
    sure = spell('{"reasoning": "x", "anomalous":', (" true", {" true": 0.9, " ": 0.1}), "}")
    assert parsed(sure) == pytest.approx(0.9)


def test_servers_without_log_probabilities_leave_the_stated_probability() -> None:
    bare = Reply('{"reasoning": "x", "anomalous": true, "probability": 0.7}')
    assert parse_verdict(bare, RuleBook(class_name="nut"), []).probability == pytest.approx(0.7)


@given(
    st.dictionaries(st.text(max_size=6), st.floats(1e-6, 1.0), max_size=6),
    st.sampled_from([" true", "false", '"', ":", " tr", "0"]),
)
def test_it_is_a_probability_or_nothing(others: dict[str, float], chosen: str) -> None:
    tokens = spell('{"anomalous":', (chosen, {**others, chosen: 0.5}), "}")
    found = token_probability(tokens)
    assert found is None or 0.0 <= found <= 1.0
