"""How well the kinds of defects are told apart, where the inspection names them in the data set's own words.

The score of a type is that of the item's strongest defect of that name, 0 where none has it; that of "normal" is
1 - P(anomalous). Names are compared without case, "_" and "-". A failed item is wrong for every type.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.metrics import DefectTypeMetrics
from evaluation.runs.record import ItemRecord

_NORMAL = "normal"


def score_types(records: Sequence[ItemRecord]) -> dict[str, Any]:
    """Return macro AUROC, AP and F1 over the types of one class; empty where no defect has the name of a type.

    Items of several types are left out: which of them is the right answer is not defined.
    """
    single = [one for one in records if len(one.defect_types) == 1 or not one.anomalous]
    types = sorted({one.defect_types[0] for one in single if one.anomalous})
    named = {plain_name(word) for one in single for word in one.defect_scores}
    if not named & {plain_name(name) for name in types}:
        return {}
    scores = np.array([_scores(one, types) for one in single]).T
    truth = np.array([types.index(one.defect_types[0]) + 1 if one.anomalous else 0 for one in single])
    found = DefectTypeMetrics(columns_of(types))
    found.add(scores, truth)
    summary = found.summary()
    return {
        "type_auroc": summary.auroc,
        "type_ap": summary.ap,
        "type_f1": summary.f1,
        "types": [vars(one) for one in summary.types],
    }


def columns_of(types: Sequence[str]) -> list[str]:
    """Return the names of the columns of scores: normal, then the types."""
    return [_NORMAL if _NORMAL not in types else f"({_NORMAL})", *types]


def plain_name(word: str) -> str:
    """Return a defect's name as it is compared."""
    return " ".join(re.split(r"[\s_-]+", word.casefold().strip()))


def _scores(record: ItemRecord, types: Sequence[str]) -> list[float]:
    """Return one score a column, normal first."""
    if record.failure is not None:
        right = types.index(record.defect_types[0]) + 1 if record.anomalous else 0
        return [0.0 if column == right else 1.0 for column in range(len(types) + 1)]
    by_name: dict[str, float] = {}
    for word, score in record.defect_scores.items():
        by_name[plain_name(word)] = max(score, by_name.get(plain_name(word), 0.0))
    return [1.0 - (record.score or 0.0), *(by_name.get(plain_name(name), 0.0) for name in types)]
