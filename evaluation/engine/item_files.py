"""What is kept beside the journal: maps until the pixels of their class are scored, previews of the worst mistakes, and
figures of all items where they are asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.engine.examiner import Result
from evaluation.engine.item_figures import FIGURES, figure_names
from evaluation.engine.previews import prune_previews, worst_of
from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord
from evaluation.scoring.all_scorers import score_maps
from evaluation.scoring.place_files import place_names
from evaluation.scoring.registry import ClassMaps
from evaluation.scoring.resampling import PlaceScores
from vlm_inspect.datasets.defect_words import NO_WORDS
from vlm_inspect.datasets.item import Category
from vlm_inspect.errors import DatasetError
from vlm_inspect.file_writing import write_atomically

MAPS = "maps"
PREVIEWS = "previews"


class ItemFiles:
    """The files of one output folder."""

    def __init__(
        self,
        folder: Path,
        categories: Sequence[Category],
        *,
        keep_maps: bool = False,
        aupro_200: bool = False,
        figures: bool = False,
    ) -> None:
        """Use a folder that exists; maps are written of classes whose pixels can be scored, or of all."""
        self._figures = folder / FIGURES
        self._figure_names = figure_names(item for one in categories for item in one.test) if figures else {}
        self._aupro_200 = aupro_200
        self._maps, self._previews = folder / MAPS, folder / PREVIEWS
        for rest in (*self._maps.glob(".*"), *self._previews.glob(".*")):
            rest.unlink(missing_ok=True)  # half a file, of a run that was killed
        self._with_maps = {one.name for one in categories if keep_maps or one.has_masks}

    def save_map(self, result: Result) -> None:
        """Write the maps of an item, before it is journalled: a journalled item has its map.

        Raises:
            OutputError: the disk is full, or writing is not allowed.
        """
        places, record = result.places, result.record
        if record.category not in self._with_maps:
            return
        found = places.picture, places.listed, places.types, places.odds, places.fused
        kept = zip(place_names(record), found, strict=True)
        for name, one in kept:
            if one is not None:
                self._maps.mkdir(exist_ok=True)
                write_atomically(self._maps / name, one.pack())

    def save_preview(self, result: Result) -> None:
        """Write the preview of an item, if it has one, before the item is journalled.

        Raises:
            OutputError: the disk is full, or writing is not allowed.
        """
        if result.preview is None:
            return
        self._previews.mkdir(exist_ok=True)
        write_atomically(self._previews / f"{result.record.preview}.jpg", result.preview)

    def save_figure(self, result: Result) -> None:
        """Write the figure of an item, if it has one, before the item is journalled.

        Raises:
            OutputError: the disk is full, or writing is not allowed.
        """
        name = self._figure_names.get(result.record.id)
        if result.figure is None or name is None:
            return
        path = self._figures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, result.figure)

    def drop_previews(self, before: Sequence[ItemRecord], worst: Sequence[ItemRecord]) -> None:
        """Remove the previews of items that are among the worst no more."""
        kept = {one.id for one in worst}
        for one in before:
            if one.id not in kept:
                (self._previews / f"{one.preview}.jpg").unlink(missing_ok=True)

    def prune(self, records: Mapping[str, ItemRecord], categories: Sequence[str]) -> list[ItemRecord]:
        """Remove the previews that are not of the worst mistakes, and return those that are, class by class."""
        worst = [one for name in categories for one in worst_of([r for r in records.values() if r.category == name])]
        prune_previews(self._previews, worst)
        return worst

    def score_pixels(
        self, tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder_words: Mapping[str, str] = NO_WORDS
    ) -> PlaceScores:
        """Return the metrics by place of one class; where a mask cannot be read, a note that says so.

        Raises:
            RunError: a map is damaged.
        """
        try:
            return score_maps(ClassMaps(tasks, records, self._maps, self._aupro_200, folder_words))
        except DatasetError as error:
            return PlaceScores({"pixel_note": str(error)}, {})

    def drop_maps(self, tasks: Sequence[Task], records: Mapping[str, ItemRecord]) -> None:
        """Remove the maps of one class, and the folder when it is empty."""
        for task in tasks:
            for name in place_names(records[task.id]):
                (self._maps / name).unlink(missing_ok=True)
        if self._maps.is_dir() and not any(self._maps.iterdir()):
            self._maps.rmdir()
