"""Attribute agreement as tables in the words of the page."""

from collections.abc import Iterator
from dataclasses import dataclass

from vlm_inspect.page.wording import Wording
from vlm_inspect.rater_agreement.figures import Kappa, Rate
from vlm_inspect.rater_agreement.study import Study


@dataclass(frozen=True)
class Table:
    """One table, with what it shows in a sentence."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def tables_of(study: Study, t: Wording) -> Iterator[Table]:
    """Yield the tables that have something to show: each with itself, people with people, the tool with each."""
    if rows := [(one.rater, _rate(one.same, t)) for one in study.with_itself if one.same.n]:
        yield Table(t("agree_itself"), (t("agree_rater"), t("agree_same")), tuple(rows), t("agree_itself_note"))
    if rows_of_pairs := list(_pairs(study, t)):
        head = (t("agree_raters"), t("agree_same"), t("agree_kappa"))
        yield Table(t("agree_people"), head, tuple(rows_of_pairs), t("agree_people_note"))
    if found := [
        (
            name,
            *(_rate(rate, t) for rate in (one.right, one.missed, one.false_alarms, one.review)),
            _kappa(one.kappa, t),
        )
        for name, one in zip(study.people, study.with_tool, strict=True)
        if one.right.n
    ]:
        names = ("agree_rater", "agree_same", "agree_missed", "agree_false_alarms", "REVIEW", "agree_kappa")
        yield Table(t("agree_tool"), tuple(t(name) for name in names), tuple(found), t("agree_tool_note"))


def _pairs(study: Study, t: Wording) -> Iterator[tuple[str, str, str]]:
    pairs = [one for one in study.between_people if one.same.n]
    for one in pairs:
        yield t("agree_two", one=one.one, other=one.other), _rate(one.same, t), _kappa(one.kappa, t)
    if pairs and study.all_people.n and len(study.people) > 2:
        yield t("agree_all"), _rate(study.all_people, t), f"{_kappa(study.fleiss, t)} (Fleiss)"


def _rate(rate: Rate, t: Wording) -> str:
    if rate.rate is None or rate.ci95 is None:
        return t("agree_no_parts")
    low, high = (t.number(100 * end, 1) for end in rate.ci95)
    return t("agree_rate", count=rate.count, n=rate.n, percent=t.number(100 * rate.rate, 1), low=low, high=high)


def _kappa(kappa: Kappa, t: Wording) -> str:
    if kappa.value is None:
        return "–"
    if kappa.ci95 is None:
        return t.number(kappa.value, 2)
    low, high = (t.number(end, 2) for end in kappa.ci95)
    return t("agree_interval", value=t.number(kappa.value, 2), low=low, high=high)
