"""Lists in replies, as models write them."""

import pytest

from vlm_inspect.backends.backend import Reply
from vlm_inspect.localization.prompt_bank.replies import read_descriptions

TWO = ["An abnormal image of a nut with a crack", "a bent tooth"]


@pytest.mark.parametrize(
    "text",
    [
        '{"descriptions": ["An abnormal image of a nut with a crack", "a bent tooth"]}',
        '["An abnormal image of a nut with a crack", "a bent tooth"]',
        'Here:\n```json\n{"descriptions": ["An abnormal image of a nut with a crack", "a bent tooth"]}\n```\nDone.',
        "- An abnormal image of a nut with a crack\n- a bent tooth",
        "Sure, here are two:\n\n1. An abnormal image of a nut with a crack\n2) a bent tooth\n\nI hope that helps.",
        "**Descriptions:**\n* **An abnormal image of a nut with a crack**\n•   `a bent tooth`",
        "An abnormal image of a nut with a crack\n\na bent tooth",
        "<think>a list\n- of thoughts</think>\n(1) \"An abnormal image of a nut with a crack\",\n(2) 'a bent tooth',",
        "a) An abnormal image of a nut with a crack\nb) a bent tooth",
    ],
)
def test_lists_are_read_in_every_form(text: str) -> None:
    assert read_descriptions(Reply(text)) == TWO


@pytest.mark.parametrize(
    "reply",
    [
        Reply(""),
        Reply("I'm sorry, but I cannot help with that."),
        Reply("", "content_filter"),
        Reply("- a crack", "refusal"),
        Reply('{"verdict": true}'),
        Reply("Here are the descriptions:"),
        Reply("word " * 200),
    ],
)
def test_what_holds_no_list_gives_nothing(reply: Reply) -> None:
    assert read_descriptions(reply) == []


def test_a_reply_that_was_cut_counts_up_to_its_last_whole_line() -> None:
    assert read_descriptions(Reply("- a crack\n- a bent tooth\n- a mis", "length")) == ["a crack", "a bent tooth"]
    assert read_descriptions(Reply('{"descriptions": ["a crack", "a \\"bent\\" tooth", "a mi', "length")) == [
        "a crack",
        'a "bent" tooth',
    ]


def test_words_with_a_dash_or_a_number_are_no_bullets() -> None:
    assert read_descriptions(Reply("3 dents\n-5 degrees of tilt")) == ["3 dents", "-5 degrees of tilt"]
