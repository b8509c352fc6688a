"""How well the kinds of defects are told apart, where the inspection names them in words that fit the data set's.

A type is looked for by its own name, or by the word that training gives it (`words_of_types`); types of one word count
as one. Its score is that of the item's strongest defect of that word, 0 where none has it; that of "normal" is
1 - P(anomalous). Words are compared without case, "_" and "-". A failed item is wrong for every type.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.metrics import DefectTypeMetrics, image_auroc
from evaluation.runs.record import ItemRecord
from evaluation.scoring.outcomes import counted_scores, outcome_of
from evaluation.scoring.registry import ClassRecords, Metric, scores_items
from vlm_inspect.datasets.defect_words import NO_WORDS, plain_word, words_of_types

_NORMAL = "normal"


@scores_items(
    Metric("type_auroc", "types, AUROC"), Metric("type_ap", "types, AP"), Metric("type_f1", "types, F1"), order=70
)
def score_class_types(one: ClassRecords) -> dict[str, Any]:
    """Return how well a class's defect types are told apart, and each type in numbers."""
    return {"defect_types": by_type(one.records), **score_types(one.records, one.folder_words)}


def by_type(records: Sequence[ItemRecord]) -> dict[str, dict[str, Any]]:
    """Return per defect type how many there are, how many came out OK, and the AUROC against the normal items."""
    types = sorted({name for one in records for name in one.defect_types})
    found = {}
    for name in types:
        own = [one for one in records if name in one.defect_types]
        against = [*own, *(one for one in records if not one.anomalous)]
        labels, scores = [one.anomalous for one in against], counted_scores(against)
        missed = sum(outcome_of(one) in ("OK", "failed") for one in own)
        found[name] = {"n": len(own), "missed": missed, "image_auroc": image_auroc(labels, scores)}
    return found


def score_types(records: Sequence[ItemRecord], folder_words: Mapping[str, str] = NO_WORDS) -> dict[str, Any]:
    """Return macro AUROC, AP and F1 over the types of one class; empty where no defect has the word of a type.

    Items of several types are left out: which of them is the right answer is not defined.
    """
    single = [one for one in records if len(one.defect_types) == 1 or not one.anomalous]
    named = {plain_word(word) for one in single for word in one.defect_scores}
    own = sorted({one.defect_types[0] for one in single if one.anomalous})
    word_of = words_of_types(records[0].category, own, named, folder_words) if records else {}
    types = sorted(set(word_of.values()))
    if not named & set(types):
        return {}
    truth = np.array([types.index(word_of[one.defect_types[0]]) + 1 if one.anomalous else 0 for one in single])
    scores = np.array([_scores(one, types, right) for one, right in zip(single, truth, strict=True)]).T
    found = DefectTypeMetrics(columns_of([shown_name(word_of, word) for word in types]))
    found.add(scores, truth)
    summary = found.summary()
    return {
        "type_auroc": summary.auroc,
        "type_ap": summary.ap,
        "type_f1": summary.f1,
        "types": [vars(one) for one in summary.types],
    }


def shown_name(word_of: Mapping[str, str], word: str) -> str:
    """Return the name of a type as results show it: the data set's own where only one has this word, else the word."""
    own = [name for name, its in word_of.items() if its == word]
    return own[0] if len(own) == 1 else word


def columns_of(types: Sequence[str]) -> list[str]:
    """Return the names of the columns of scores: normal, then the types."""
    return [_NORMAL if _NORMAL not in types else f"({_NORMAL})", *types]


def _scores(record: ItemRecord, types: Sequence[str], right: int) -> list[float]:
    """Return one score a column, normal first; `right` is the column of the item's own type."""
    if record.failure is not None:
        return [0.0 if column == right else 1.0 for column in range(len(types) + 1)]
    by_name: dict[str, float] = {}
    for word, score in record.defect_scores.items():
        by_name[plain_word(word)] = max(score, by_name.get(plain_word(word), 0.0))
    return [1.0 - (record.score or 0.0), *(by_name.get(name, 0.0) for name in types)]
