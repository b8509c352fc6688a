"""The names of the files that keep an item's places."""

from evaluation.runs.record import ItemRecord
from evaluation.scoring.scorers.pixel_types import types_name
from evaluation.scoring.scorers.pixels import map_name
from evaluation.scoring.scorers.points_and_frames import list_name


def place_names(record: ItemRecord) -> tuple[str, ...]:
    """Return the names of the files of an item's picture, list and types, in this order; not every item has each."""
    return map_name(record), list_name(record), types_name(record)
