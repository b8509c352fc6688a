"""The sentences: the rule book's defects first, generic states otherwise, a test set's words on request only."""

import pytest

from vlm_inspect.errors import PromptError
from vlm_inspect.localization.promptad.words import load_sentence_forms, sentences_for
from vlm_inspect.localization.subject import Subject

FORMS = 'normal: ["a fine {class}"]\nanomalous: ["a bad {class}"]\nwith_defect: ["a {class} with {defect}"]\n'


def test_generic_states_stand_where_no_defect_is_named():
    sentences = sentences_for(Subject("metal nut"))
    assert "a normal metal nut without defects" in sentences.normal
    assert "a scratched metal nut" in sentences.anomalous
    assert all("metal nut" in one and "{" not in one for one in (*sentences.normal, *sentences.anomalous))


def test_the_defects_of_a_rule_book_replace_the_generic_states():
    sentences = sentences_for(Subject("bottle", ("dent", "a chipped rim")))
    assert "a bottle with a chipped rim" in sentences.anomalous
    assert all("dent" in one or "chipped rim" in one for one in sentences.anomalous)
    assert not set(sentences.anomalous) & set(sentences_for(Subject("bottle")).anomalous)


def test_the_classes_own_words_join_on_request_only():
    plain, rich = (sentences_for(Subject("Bottle"), class_words=on).anomalous for on in (False, True))
    assert not any("large breakage" in one for one in plain)
    assert any("large breakage" in one for one in rich)
    assert set(plain) < set(rich)
    assert sentences_for(Subject("gear"), class_words=True) == sentences_for(Subject("gear"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FORMS + "normals: [x]\n", "4: normals: Extra inputs"),
        (FORMS.replace("fine {class}", "fine thing"), "1: normal: 'a fine thing' has no {class}"),
        (FORMS.replace("with {defect}", "broken"), "3: with_defect: 'a {class} broken' has no {defect}"),
        (FORMS.replace('["a bad {class}"]', "[]"), "2: anomalous: "),
        ("normal: [", "1: not YAML"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_place(tmp_path, text, message):
    path = tmp_path / "promptad.yaml"
    path.write_text(text)
    with pytest.raises(PromptError) as caught:
        load_sentence_forms(path)
    assert f"{path}:{message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(PromptError, match="cannot be read"):
        load_sentence_forms(tmp_path / "none.yaml")
