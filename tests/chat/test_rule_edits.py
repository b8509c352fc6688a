"""Edits of a rule book's text: the change is made, all else is left as it was written."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.plates import RULES
from vlm_inspect.chat.rule_edits import add_entry, replace_entry
from vlm_inspect.errors import RuleError
from vlm_inspect.rules import parse_rules

FLOW = "class_name: a\nrules: [{id: one, text: One.}, {id: two, text: Two.}]\nignore: [[0.0, 0.0, 0.5, 0.5]]\n"
NO_NEWLINE = "class_name: a\nrules:\n- id: one\n  text: One."
COMMENTED = """\
class_name: a
rules:
  - id: one
    text: One.

  # about the second
  - id: two
    text: Two.

# end
unit: mm
"""


@pytest.mark.parametrize("text", [RULES, FLOW, NO_NEWLINE, COMMENTED, "class_name: a\n", "class_name: a"])
def test_a_rule_more_stands_last_and_every_line_is_kept(text: str) -> None:
    entry = {"id": "new", "text": "It is new: see #4.", "check": {"measure": "length", "max": 20.5}}
    after = add_entry(text, "rules", entry)
    before, now = parse_rules(text), parse_rules(after)
    assert [rule.id for rule in now.rules] == [*(rule.id for rule in before.rules), "new"]
    assert now.rules[-1].text == "It is new: see #4."
    assert now.model_dump(exclude={"rules"}) == before.model_dump(exclude={"rules"})
    if text is not FLOW:
        assert set(text.splitlines()) <= set(after.splitlines())


@pytest.mark.parametrize("text", [RULES, FLOW, COMMENTED])
def test_a_rule_is_written_anew_in_its_place(text: str) -> None:
    old = parse_rules(text)
    after = replace_entry(text, "rules", 0, {"id": old.rules[0].id, "text": "Other."})
    now = parse_rules(after)
    assert [rule.id for rule in now.rules] == [rule.id for rule in old.rules]
    assert now.rules[0].text == "Other."
    assert now.rules[1:] == old.rules[1:]
    assert ("# about the second" in after) == ("# about the second" in text)


@pytest.mark.parametrize("text", [RULES, FLOW, COMMENTED])
@pytest.mark.parametrize("index", [0, 1])
def test_a_rule_is_removed(text: str, index: int) -> None:
    old = parse_rules(text)
    now = parse_rules(replace_entry(text, "rules", index, None))
    assert now.rules == (*old.rules[:index], *old.rules[index + 1 :])


@pytest.mark.parametrize("text", [NO_NEWLINE, "class_name: a\nrules: [{id: one, text: One.}]\nunit: mm\n"])
def test_the_last_rule_can_be_removed(text: str) -> None:
    assert parse_rules(replace_entry(text, "rules", 0, None)).rules == ()


def test_boxes_and_words_go_into_lists_of_either_form() -> None:
    assert parse_rules(add_entry(FLOW, "ignore", [0.5, 0.0, 1.0, 0.25])).ignore[1] == (0.5, 0.0, 1.0, 0.25)
    assert parse_rules(add_entry(RULES, "ignore", [0.5, 0.0, 1.0, 0.25])).ignore == ((0.5, 0.0, 1.0, 0.25),)
    assert parse_rules(add_entry("class_name: a\ndefects:\n- x # first\n", "defects", "y")).defects == ("x", "y")
    assert parse_rules(add_entry("class_name: a\ndefects: []\n", "defects", "y")).defects == ("y",)


@pytest.mark.parametrize("text", ["[1, 2]", "{class_name: a}", "class_name: a\nrules: none\n", "a: [1"])
def test_what_cannot_be_edited_is_refused(text: str) -> None:
    with pytest.raises(RuleError, match=r"^[^\n]+$"):
        add_entry(text, "rules", {"id": "a", "text": "b"})


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"), min_size=1
    )
)
def test_any_text_is_found_again(words: str) -> None:
    after = yaml.safe_load(add_entry("class_name: a\n", "rules", {"id": "new", "text": words}))
    assert after["rules"][0]["text"] == words
