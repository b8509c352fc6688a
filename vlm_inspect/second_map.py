"""The maps of a part, made again with words that were said of it after the first ones.

A localizer with an open vocabulary looks for what it is told to look for. The rule book's defects are told before the
first part; what the model calls a defect, and what the engineer asks about, are told then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from converters.view import View
from vlm_inspect.errors import LocalizerError
from vlm_inspect.evidence import Evidence, WordedMaps
from vlm_inspect.gathering import MAX_REGIONS, counted, regions_of
from vlm_inspect.ignored import blanked
from vlm_inspect.localization.localizer import Localizer, vocabulary_of
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict

MOST_WORDS = 8
"""Most words that are added for one part."""
_LONGEST = 6
"""Words of a longer name are a sentence about a defect, not a kind of one."""


def said_words(verdict: Verdict | None, question: str | None, known: Iterable[str]) -> tuple[str, ...]:
    """Return what the model and the engineer call defects, in lower case, each once.

    Args:
        verdict: the model's own opinion; None: it gave none.
        question: the engineer's own words.
        known: words for defects, to be found in the question.
    """
    named = [] if verdict is None or not verdict.by_model else [defect.type for defect in verdict.defects]
    asked = f" {_plain(question or '')} "
    words = [_plain(one) for one in named] + [word for one in known if f" {(word := _plain(one))} " in asked]
    return tuple(dict.fromkeys(word for word in words if word and len(word.split()) <= _LONGEST))


def hear(
    evidence: Evidence,
    words: Sequence[str],
    *,
    localizer: Localizer,
    subject: Subject,
    rules: RuleBook,
    views: Sequence[View],
    references: Sequence[Sequence[View]],
) -> Evidence:
    """Return the evidence with the maps of the part made again, with words that are new to them.

    Where the first maps have a tolerance, or the words of the localizer cannot be chosen, it is returned as it is: a
    tolerance holds for the words that it was learned with.

    Args:
        evidence: with the first maps.
        words: what was said.
        localizer: what made them.
        subject: what it was told of the class.
        rules: boxes that never count.
        views: of the part.
        references: views of the normal samples.
    """
    known = vocabulary_of(localizer, subject)
    new = [word for word in words if word not in {_plain(one) for one in known}][:MOST_WORDS]
    shown = sorted({one.view for one in evidence.maps})
    if not known or not new or not shown or any(one.tolerance is not None for one in evidence.maps):
        return evidence
    seen = blanked(tuple(views[index] for index in shown), rules.ignore)
    normal = ReferenceSet.of_views([blanked(tuple(one), rules.ignore) for one in references])
    try:
        fitted = localizer.fit(normal, replace(subject, defects=(*known, *new)))
        found = fitted.localize(Part(None, seen))
    except LocalizerError as error:  # a word of a model that no tokenizer knows: the first maps stand
        told = f"the heatmap was not made again with the words {', '.join(new)}: {error}"
        return replace(evidence, notes=(*evidence.notes, told))
    found = replace(found, maps=tuple(replace(one, view=shown[one.view]) for one in found.maps))
    found = counted(found, views, rules)
    regions = sorted(regions_of(found, views), key=lambda region: -region.score)[:MAX_REGIONS]
    notes = tuple(dict.fromkeys(note for one in found.maps for note in one.notes))
    return replace(evidence, worded=WordedMaps(tuple(new), found.maps, tuple(regions), notes))


def _plain(text: str) -> str:
    return " ".join("".join(sign if sign.isalnum() or sign == "-" else " " for sign in text.casefold()).split())
