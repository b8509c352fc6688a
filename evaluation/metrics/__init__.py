"""Metrics of anomaly detection: images, pixels, regions, defect types and questions; see the modules."""

from evaluation.metrics.answers import AnswerSummary, ChosenOption, SubtaskAccuracy, score_answers
from evaluation.metrics.defect_types import DefectTypeMetrics, TypeScores, TypeSummary
from evaluation.metrics.image import (
    ClassMean,
    Rates,
    accuracy,
    balanced_accuracy,
    fill_failures,
    image_ap,
    image_auroc,
    image_f1_max,
    mean_of_classes,
    miss_rate,
    overkill_rate,
    rates_at,
)
from evaluation.metrics.pixel import (
    FPR_LIMIT,
    PixelMetrics,
    PixelSummary,
    aupro,
    pixel_auroc,
    pixel_f1_max,
)

__all__ = [
    "FPR_LIMIT",
    "AnswerSummary",
    "ChosenOption",
    "ClassMean",
    "DefectTypeMetrics",
    "PixelMetrics",
    "PixelSummary",
    "Rates",
    "SubtaskAccuracy",
    "TypeScores",
    "TypeSummary",
    "accuracy",
    "aupro",
    "balanced_accuracy",
    "fill_failures",
    "image_ap",
    "image_auroc",
    "image_f1_max",
    "mean_of_classes",
    "miss_rate",
    "overkill_rate",
    "pixel_auroc",
    "pixel_f1_max",
    "rates_at",
    "score_answers",
]
