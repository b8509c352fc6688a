"""A written page in German: everything that the program says, and nothing that a person, a model or a file says."""

import re

import pytest

from tests.report.conftest import Case
from tests.report.test_html import ATTACKS, Page
from vlm_inspect.report.html import render_html
from vlm_inspect.report.page_translation import translate_page
from vlm_inspect.rules import Rule, RuleBook

FOREIGN = {"OK", "NG", "REVIEW", "Status", "Version", "Prompt", "deviation", "mm"}


def words_of(page: str) -> list[str]:
    """Return what a page says: its texts with letters, and what its pictures and buttons are called."""
    seen = Page(page)
    named = [value for _, found in seen.tags for key, value in found.items() if key in ("alt", "title", "aria-label")]
    return [word for word in (*map(str.strip, seen.words), *filter(None, named)) if re.search(r"[a-z]{2}", word)]


def test_everything_that_the_program_says_is_german(case: Case) -> None:
    english = render_html(case.inspection, case.views, case.evidence)
    german = translate_page(english, "de")
    assert '<html lang="de">' in german
    left = {one for one in {*words_of(english)} & {*words_of(german)} if not re.fullmatch("[0-9a-f]{64}", one)}
    told = case.inspection
    foreign = {told.answer, told.reasoning, told.model, told.localizer, *(rule.id for rule in told.rules)}
    foreign |= {told.source, told.provenance.version, told.provenance.created_at, *FOREIGN}
    foreign |= {one.description for one in told.defects} | {one.type for one in told.defects}
    foreign |= {rule.reason for rule in told.rules} | set(told.notes)
    foreign |= set(told.review_reasons) | {view.label for view in told.views}
    assert {one for one in left if not any(one in known or known in one for known in foreign if known)} == set()


@pytest.mark.parametrize("language", [None, "English", "en", "French", "Klingon"])
def test_a_page_without_such_words_stays_as_it_is(case: Case, language: str | None) -> None:
    english = render_html(case.inspection, case.views, case.evidence)
    assert translate_page(english, language) == english
    assert translate_page(english, "Deutsch") == translate_page(english, "de") != english


def test_what_people_have_named_is_not_translated(case: Case) -> None:
    book = RuleBook(class_name="model", rules=(Rule(id="length", text="Rules."),))
    page = translate_page(render_html(case.inspection, case.views, case.evidence, rules=book, question="Where"), "de")
    assert '<p class="question" translate="no">Where</p>' in page
    assert re.search(
        r'<strong translate="no">length</strong><br><span class="faint" translate="no">Rules.</span>', page
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_harmless_stays_harmless(case: Case, attack: str) -> None:
    changed = case.inspection.model_copy(update={"answer": f"see above {attack}", "notes": (attack, "no place given")})
    english = render_html(changed, case.views, case.evidence)
    before, after = Page(english), Page(translate_page(english, "de"))
    assert [tag for tag, _ in before.tags] == [tag for tag, _ in after.tags]
    assert before.open == after.open
