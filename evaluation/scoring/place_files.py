"""The names of the files that keep an item's places."""

from evaluation.runs.record import ItemRecord
from evaluation.scoring.scorers.fused_pixels import fused_name, odds_name
from evaluation.scoring.scorers.pixel_types import types_name
from evaluation.scoring.scorers.pixels import map_name
from evaluation.scoring.scorers.points_and_frames import list_name


def place_names(record: ItemRecord) -> tuple[str, ...]:
    """Return the names of the files of an item's places: picture, list, types, log-odds, in this order, then fused map.

    Not every item has each.
    """
    return map_name(record), list_name(record), types_name(record), odds_name(record), fused_name(record)
