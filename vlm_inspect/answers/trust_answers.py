"""Answers about the outcome: what it is, whether the part can be shipped, why, how sure, and what would be missed."""

from collections.abc import Iterator, Sequence

from vlm_inspect.answers.language import Language
from vlm_inspect.answers.numbers import chance
from vlm_inspect.answers.place_answers import MOST_PLACES, listed, place_words, tell_where
from vlm_inspect.answers.places import SeenPlace
from vlm_inspect.answers.record import PartRecord
from vlm_inspect.answers.rule_answers import tell_failing
from vlm_inspect.answers.translation import put_said
from vlm_inspect.evidence import BACKGROUND
from vlm_inspect.sensitivity.record import Detection, Sensitivity
from vlm_inspect.significant_digits import rounded


def tell_outcome(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say how the part came out, and what was found."""
    told = record.inspection
    if told is None:
        yield language.say(f"status_{record.evidence.status}", score=chance(record.score, language))
    else:
        yield language.say("verdict", outcome=language.outcomes[told.outcome], score=chance(told.score, language))
        yield from _reasons_to_review(record, language)
    yield from tell_findings(record, language, places)


def tell_undecided(record: PartRecord, language: Language) -> Iterator[str]:
    """Say of a part that a person has to look at that this is so, and why; nothing of another."""
    told = record.inspection
    if told is not None and told.outcome == "REVIEW":
        yield language.say("verdict", outcome=language.outcomes[told.outcome], score=chance(told.score, language))
        yield from _reasons_to_review(record, language)


def tell_shipping(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say whether the part can be shipped by its record, and what speaks against it."""
    told = record.inspection
    if told is None:
        yield from tell_outcome(record, language, places)
        return
    yield language.say(f"ship_{told.outcome}", score=chance(told.score, language))
    yield from _reasons_to_review(record, language)
    if told.outcome != "OK":
        yield from tell_findings(record, language, places)
        return
    unread = [row.rule.id for row in record.rows if row.status in ("not_checked", "cannot_tell")]
    if unread:
        yield language.say("ship_unread", rules=", ".join(unread))


def tell_why(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say what the outcome rests on."""
    told = record.inspection
    if told is not None:
        yield language.say("why", outcome=language.outcomes[told.outcome])
        yield from _reasons_to_review(record, language)
        if told.outcome == "OK":
            yield from _basis(record, language)
    yield from tell_findings(record, language, places)
    yield from _bounds(record, language)


def _basis(record: PartRecord, language: Language) -> Iterator[str]:
    """Say what an OK rests on."""
    if record.evidence.maps and record.evidence.reference_count:
        yield language.say("rests_likeness", count=record.evidence.reference_count)
    for name, status in (("rests_rules", "pass"), ("rests_unread", "not_checked")):
        rules = [row.rule.id for row in record.rows if row.status == status and (row.rule.check or status != "pass")]
        if rules:
            yield language.say(name, rules=", ".join(rules))


def tell_findings(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say which rules fail and which places stand out."""
    if record.untold_mismatch:
        yield put_said(language, record.untold_mismatch)
    yield from tell_failing(record, language)
    if any(place.counts for place in places):
        for place in listed(places):
            yield place_words(record, language, place)
    elif not record.failing and record.evidence.status == "within" and not (places and _is_held_up(record)):
        if record.inspection is None or record.inspection.outcome == "OK":  # else the reasons of the outcome say it
            yield language.say("nothing")
    elif places:
        yield from tell_where(record, language, places[:1])


def _is_held_up(record: PartRecord) -> bool:
    """Return whether the part came out NG or REVIEW, and a place of it exceeds its own bound."""
    told = record.inspection
    return told is not None and told.outcome != "OK" and record.evidence.has_hot_place


def tell_sureness(record: PartRecord, language: Language, places: Sequence[SeenPlace]) -> Iterator[str]:
    """Say how sure the result is, and what that rests on."""
    if record.score is None:
        yield language.say("sure_unknown")
    else:
        yield language.say("sure", score=chance(record.score, language), calibrated=_known_from(record, language))
    yield from _bounds(record, language)
    for place in places[:MOST_PLACES]:
        first = place.first
        if first.region is not None:
            name = "probability" if first.region.calibrated else "rank"
            probability = language.say(name, score=chance(first.region.score, language))
            yield language.say("sure_place", number=first.number, probability=probability, citation=first.citation)
            if first.region.source == BACKGROUND:
                yield language.say("sure_background", number=first.number)
    known = [one for one in record.evidence.maps if one.tolerance is not None]
    hottest = max(known, key=lambda one: one.probability or 0.0, default=None)
    if hottest is not None and hottest.tolerance is not None:
        peak, limit = f"{hottest.score:.3g}", f"{hottest.tolerance.limit:.3g}"
        yield language.say("map", view=hottest.view, source=hottest.source, peak=peak, limit=limit)


def tell_missed(record: PartRecord, language: Language) -> Iterator[str]:
    """Say which planted defects would have been held up, and which not."""
    known = _sensitivity(record)
    if known is None:
        yield language.say("missed_none")
        return
    size = f"{known.size_pct:.1f} %" if known.size_pct is not None else ""
    if not size:
        yield language.say("missed_unknown", planted=known.planted, found=known.found)
    elif known.size_mm is None:
        yield language.say("missed_size", size=size)
    else:
        yield language.say(
            "missed_size_mm", mm=rounded(known.size_mm, 3), unit=known.unit or record.book.unit, size=size
        )
    for kind, one in known.by_kind.items():
        yield language.say(
            "missed_kind", kind=language.put(kind), found=one.found, planted=one.planted, **_from(one, language)
        )
    if known.earns_ok:
        yield language.say("missed_share", percent=rounded(100 * known.missed, 2))
    else:
        yield language.say("missed_no_ok")


def _from(one: Detection, language: Language) -> dict[str, str]:
    known = one.size_pct is not None
    return {"from": language.say("missed_from", size=f"{one.size_pct:.1f} %") if known else ""}


def _sensitivity(record: PartRecord) -> Sensitivity | None:
    if record.inspection is not None:
        return record.inspection.sensitivity
    standing = record.evidence.standing
    return None if standing is None else standing.sensitivity


def _known_from(record: PartRecord, language: Language) -> str:
    """Say what a probability rests on; "calibrated" only where a calibration file says so."""
    if record.inspection is not None and record.inspection.calibrated:
        return language.say("calibrated")
    known = _sensitivity(record)
    if known is not None and record.evidence.standing is not None:
        return language.say("by_bounds", references=known.references, planted=known.planted)
    return language.say("uncalibrated")


def _bounds(record: PartRecord, language: Language) -> Iterator[str]:
    standing = record.evidence.standing
    if standing is None or (record.inspection is not None and record.inspection.calibrated):
        return
    ng, ok = chance(standing.ng_above_probability, language), standing.ok_below_probability
    yield language.say("bounds_no_ok", ng=ng) if ok is None else language.say("bounds", ok=chance(ok, language), ng=ng)


def _joined(reasons: Sequence[str], language: Language) -> str:
    """Return reasons as sentences: they have semicolons of their own."""
    if not language.spaced:
        return "；".join(reasons)
    return ". ".join([*reasons[:1], *(reason[:1].upper() + reason[1:] for reason in reasons[1:])])


def _reasons_to_review(record: PartRecord, language: Language) -> Iterator[str]:
    reasons = () if record.inspection is None else record.inspection.review_reasons
    if reasons:
        yield language.say(
            "review", reasons=_joined([put_said(language, reason).rstrip(".") for reason in reasons], language)
        )
