"""A multiple-choice question about one image, as MMAD asks them."""

from dataclasses import dataclass
from pathlib import Path

ANOMALY_SUBTASK = "Anomaly Detection"


@dataclass(frozen=True)
class Question:
    """One question with its options; the image is an item of the same data set."""

    id: str
    """The image's id, "#", and the number of the question from 1."""
    item_id: str
    dataset: str
    category: str
    image: Path
    text: str
    options: tuple[tuple[str, str], ...]
    """Letter and text, as published."""
    answer: str
    """Letter of the right option."""
    subtask: str
    anomalous: bool
    """Whether the image is."""
    similar_templates: tuple[Path, ...] = ()
    """Normal images that the authors chose as most alike, best first."""
    random_templates: tuple[Path, ...] = ()
    """Normal images of the class, in the published order; the default references."""
