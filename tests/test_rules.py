"""Rule books: what is accepted, and what every refusal says."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from vlm_inspect.errors import RuleError
from vlm_inspect.measurement.registry import MEASURES
from vlm_inspect.rules import Check, RuleBook, load_rules, parse_rules, resolve_references

SCREW = """\
class_name: screw
description: M4 x 20 zinc-plated screw with a Phillips head.
unit: mm
rules:
  - id: thread-complete
    text: The thread runs unbroken from the neck to the tip.
    severity: critical
  - id: length
    text: Overall length is 20 mm, give or take 0.3 mm.
    check: {measure: length, min: 19.7, max: 20.3}
defects: [missing thread, scratch, bent, contamination]
references: [good/*.ply]
ignore: [[0.0, 0.0, 1.0, 0.08]]
"""


def test_the_contract_example_is_read(tmp_path: Path) -> None:
    path = tmp_path / "screw.yaml"
    path.write_text(SCREW)
    book = load_rules(path)
    assert book.class_name == "screw"
    assert [rule.severity for rule in book.rules] == ["critical", "major"]
    assert book.rule("length").check == Check(measure="length", min=19.7, max=20.3)
    assert book.rule("nothing") is None
    assert book.defects[0] == "missing thread"
    assert book.ignore == ((0.0, 0.0, 1.0, 0.08),)
    assert book.folder == tmp_path
    assert book.sha256 == parse_rules(SCREW).sha256 != parse_rules(SCREW + "\n").sha256


def test_a_byte_order_mark_integers_and_anchors_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(
        b"\xef\xbb\xbfclass_name: nut\nrules:\n- {id: a, text: &t same, check: {measure: hole_count, min: 1}}\n"
        b"- {id: b, text: *t}\n"
    )
    book = load_rules(path)
    assert book.rules[0].check.min == 1.0
    assert book.rules[1].text == "same"


WRONG = {
    "unknown key": ("clas_name: screw\n", 1, "clas_name", "did you mean class_name?"),
    "unknown rule key": (
        "class_name: a\nrules:\n- id: x\n  text: t\n  sevrity: major\n",
        5,
        "rules[0].sevrity",
        "severity",
    ),
    "unknown check key": (
        "class_name: a\nrules:\n- id: x\n  text: t\n  check:\n    measure: length\n    minimum: 1\n",
        7,
        "rules[0].check.minimum",
        "did you mean min?",
    ),
    "a comma in an unquoted text": (
        "class_name: a\nrules:\n- {id: x, text: It is 20 mm long, give or take 0.3 mm, severity: major}\n",
        3,
        "rules[0].give or take 0.3 mm",
        'quote the text: "..., give or take 0.3 mm"',
    ),
    "one word behind a comma": ("class_name: a\nrules:\n- {id: x, text: red, blue}\n", 3, "rules[0].blue", "quote"),
    "a comma in a number": (
        "class_name: a\nrules:\n- {id: x, text: t, check: {measure: length, min: 19,7}}\n",
        3,
        "rules[0].check.7",
        "write 19.7, not 19,7",
    ),
    "a list for a text": ("class_name: a\ndescription: [b, c]\n", 2, "description", "quote it if it is text"),
    "a colon in an unquoted text": ("class_name: a\ndescription: Length: 20 mm\n", 2, "", "quote a text"),
    "no near key": ("class_name: a\nzzz: 1\n", 2, "zzz", "known here: class_name"),
    "missing key": ("unit: mm\n", 1, "class_name", "missing"),
    "text for a number": (
        "class_name: a\nrules:\n- id: x\n  text: t\n  check: {measure: length,\n    min: abc}\n",
        6,
        "rules[0].check.min",
        "must be a number, not the text 'abc'",
    ),
    "quoted number": (
        'class_name: a\nrules:\n- id: x\n  text: t\n  check: {measure: length, min: "3"}\n',
        5,
        "rules[0].check.min",
        "write 3.0 without quotes",
    ),
    "boolean for a number": (
        "class_name: a\nrules: [{id: x, text: t, check: {measure: length, min: true}}]\n",
        2,
        "check.min",
        "the YAML word for true",
    ),
    "boolean for text": ("class_name: on\n", 1, "class_name", "put it in quotes"),
    "number for a defect": ("class_name: a\ndefects:\n- scratch\n- 12\n", 4, "defects[1]", "must be text, not 12"),
    "date for text": ("class_name: 2024-01-02\n", 1, "class_name", "must be text"),
    "impossible date": ("class_name: 2024-13-45\n", 1, "class_name", "put it in quotes"),
    "wrong severity": (
        "class_name: a\nrules:\n- id: x\n  text: t\n  severity: blocker\n",
        5,
        "rules[0].severity",
        "'critical', 'major' or 'minor', not the text 'blocker'",
    ),
    "rules as text": ("class_name: a\nrules: all fine\n", 2, "rules", "must be a list"),
    "rule as text": ("class_name: a\nrules:\n- all fine\n", 3, "rules[0]", "keys and values"),
    "key twice": ("class_name: a\nunit: mm\nclass_name: b\n", 3, "class_name", "twice, first on line 1"),
    "id twice": ("class_name: a\nrules:\n- {id: x, text: t}\n- text: t\n  id: x\n", 5, "rules[1].id", "used twice"),
    "bad id": ("class_name: a\nrules:\n- {id: 'a b', text: t}\n", 3, "rules[0].id", "first a letter or digit"),
    "defect twice": ("class_name: a\ndefects: [scratch,\n Scratch]\n", 3, "defects[1]", "stands twice"),
    "min above max": (
        "class_name: a\nrules:\n- id: x\n  text: t\n  check:\n    measure: length\n    min: 3\n    max: 2\n",
        7,
        "rules[0].check.min",
        "min 3 is above max 2",
    ),
    "no bound": (
        "class_name: a\nrules: [{id: x, text: t, check: {measure: length}}]\n",
        2,
        "check",
        "min, max or both",
    ),
    "infinite bound": (
        "class_name: a\nrules: [{id: x, text: t, check: {measure: length, max: .inf}}]\n",
        2,
        "check.max",
        "finite",
    ),
    "unknown measure": (
        "class_name: a\nrules:\n- id: x\n  text: t\n  check: {measure: lenght, min: 1}\n",
        5,
        "rules[0].check.measure",
        "did you mean length?); known: scans: length",
    ),
    "channel of a scan": (
        "class_name: a\nrules: [{id: x, text: t, check: {measure: length, min: 1, channel: y}}]\n",
        2,
        "check.channel",
        "length is none",
    ),
    "box the wrong way": ("class_name: a\nignore:\n- [0, 0, 1, 1]\n- [0.5, 0, 0.2, 1]\n", 4, "ignore[1]", "x0 < x1"),
    "box too large": ("class_name: a\nignore: [[0, 0, 100, 1]]\n", 2, "ignore[0][2]", "from 0 to 1"),
    "box too short": ("class_name: a\nignore: [[0, 0, 1]]\n", 2, "ignore[0][3]", "four numbers"),
    "python tag": ("class_name: !!python/object/apply:os.system [ls]\n", 1, "", "is refused"),
    "own tag": ("class_name: a\nunit: !env HOME\n", 2, "", "the tag !env is refused"),
    "empty": ("", 1, "", "empty"),
    "only a comment": ("# nothing\n", 1, "", "empty"),
    "list at the top": ("- a\n- b\n", 1, "", "not a list"),
    "word at the top": ("screw\n", 1, "", "keys and values"),
    "not yaml": ("class_name: [a\nunit: mm\n", 2, "", "not YAML"),
    "tab": ("class_name: a\nrules:\n\t- id: x\n", 3, "", "not YAML"),
    "control character": ("class_name: a\x00b\n", 1, "", "not YAML"),
    "two documents": ("class_name: a\n---\nclass_name: b\n", 2, "", "not YAML"),
    "merge key": ("class_name: a\nrules:\n- &r {id: x, text: t}\n- <<: *r\n", 4, "<<", "write the keys out"),
    "list as key": ("class_name: a\n? [x]\n: 1\n", 2, "", "a key must be a word"),
    "nested too deep": ("class_name: " + "[" * 500 + "\n", 1, "", "nested more than"),
    "alias of itself": ("class_name: a\ndefects: &d [*d]\n", 2, "defects", "aliases"),
}


@pytest.mark.parametrize(("text", "line", "key", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_with_line_and_key(text: str, line: int, key: str, words: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules(text, name="screw.yaml")
    message = str(caught.value)
    assert message.startswith(f"screw.yaml, line {line}, " if key else f"screw.yaml, line {line}: ")
    assert key in message
    assert words in message
    assert "\n" not in message
    assert "pydantic" not in message


def test_the_first_fault_by_line_is_told_and_the_others_counted() -> None:
    with pytest.raises(RuleError, match=r"line 2, unit: must be text, not 3; .* \(and 2 more\)"):
        parse_rules("class_name: a\nunit: 3\ndefects: x\nzzz: 1\n")


def test_an_unknown_measure_lists_those_of_every_kind() -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules("class_name: a\nrules: [{id: x, text: t, check: {measure: wobble, min: 1}}]\n")
    for word in ("scans:", "images:", "videos:", "curves:", *MEASURES):
        assert word in str(caught.value)


def test_an_alias_bomb_is_refused_quickly() -> None:
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(RuleError, match="aliases blow it up"):
        parse_rules("class_name: a\n" + "\n".join(layers))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no such rule file"):
        load_rules(tmp_path / "none.yaml")
    with pytest.raises(RuleError, match="is a folder"):
        load_rules(tmp_path)
    picture = tmp_path / "good.png"
    Image.new("RGB", (8, 8)).save(picture)
    with pytest.raises(RuleError, match=r"good\.png is a photo, not a rule book; name the YAML file"):
        load_rules(picture)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("class_name: a\ndescription: Größe\n".encode("latin-1"))
    with pytest.raises(RuleError, match="line 2: not UTF-8"):
        load_rules(latin)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (2 << 20))
    with pytest.raises(RuleError, match="larger than 1 MB"):
        load_rules(large)


def test_references_are_found_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "good" / "deep").mkdir(parents=True)
    for name in ("good/b.ply", "good/a.ply", "good/deep/c.ply", "part[1].ply"):
        (tmp_path / name).touch()
    path = tmp_path / "r.yaml"
    path.write_text("class_name: a\nreferences:\n- good/a.ply\n- good/*.ply\n- good/**/c.ply\n- part[1].ply\n")
    found = resolve_references(load_rules(path))
    assert [str(p.relative_to(tmp_path)) for p in found] == [
        "good/a.ply",
        "good/b.ply",
        "good/deep/c.ply",
        "part[1].ply",
    ]


def test_a_pattern_without_match_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("class_name: a\nreferences:\n- good/*.ply\n")
    with pytest.raises(RuleError, match=r"r\.yaml, line 3, references: 'good/\*\.ply' matches no file"):
        resolve_references(load_rules(path))


def test_a_book_made_in_code_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="used twice"):
        RuleBook(class_name="a", rules=[{"id": "x", "text": "t"}, {"id": "x", "text": "u"}])
    assert RuleBook(class_name="a").sha256 != RuleBook(class_name="b").sha256
    assert resolve_references(RuleBook(class_name="a")) == []


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(_WORDS, st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2).map(sorted))
def test_what_is_written_as_yaml_is_read_back(name: str, bounds: list[float]) -> None:
    data = {
        "class_name": name,
        "rules": [{"id": "x", "text": name, "check": {"measure": "rms", "min": bounds[0], "max": bounds[1]}}],
    }
    book = parse_rules(yaml.safe_dump(data, allow_unicode=True))
    assert book.class_name == name
    assert (book.rules[0].check.min, book.rules[0].check.max) == tuple(bounds)


@given(st.text(max_size=60))
def test_no_text_brings_anything_but_a_rule_error(text: str) -> None:
    message = ""
    try:
        assert parse_rules(text).class_name
    except RuleError as e:
        message = str(e)
    assert len(message.splitlines()) <= 1


def test_a_rule_names_the_defects_that_break_it_and_what_decides_it() -> None:
    book = parse_rules(
        "class_name: nut\ndefects: [dent, rust]\nrules:\n  - {id: a, text: A., defects: [dent], by: likeness}\n"
    )
    assert (book.rules[0].defects, book.rules[0].by) == (("dent",), "likeness")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{id: a, text: A., defects: [dend]}", "line 4.*'dend' is none of the book's defects; did you mean dent"),
        ("{id: a, text: A., defects: [hole]}", "'hole' is none of the book's defects; add it to defects"),
        ("{id: a, text: A., by: eye}", r"line 4, rules\[0\].by: must be 'likeness'"),
        ("{id: a, text: A., by: likeness, check: {measure: length, min: 1}}", "leave by out"),
    ],
)
def test_what_a_rule_cannot_name_is_one_line(rule: str, said: str) -> None:
    with pytest.raises(RuleError, match=said):
        parse_rules(f"class_name: nut\ndefects: [dent, rust]\nrules:\n  - {rule}\n")
