"""The map of heat and the model's boxes together, of scans that a model judged: by point, or by pixel of the scan.

Unlike images (`fused_pixels.py`), each scan is fused by itself, as in `ask`: boxes lie on its views, and what they add
is at its points before the class is complete. A clip has none: its frames are scored by what happens in them, and a box
on a frame that happened to be shown says nothing of the others.
"""

from evaluation.metrics.pixel import PixelMetrics
from evaluation.scoring.item_map import read_map
from evaluation.scoring.registry import ClassMaps, Metric, scores_places
from evaluation.scoring.resampling import NO_SCORES, PlaceScores
from evaluation.scoring.scorers.fused_pixels import fused_name
from evaluation.scoring.scorers.points_and_frames import score_points
from vlm_inspect.datasets.masks import ImageMask, PointMask, read_at_size


@scores_places(
    Metric("fused_point_auroc", "point AUROC of heat and boxes"),
    Metric("fused_point_ap", "point AP of heat and boxes"),
    order=46,
)
def score_fused_points(one: ClassMaps) -> PlaceScores:
    """Return the metrics of the fused maps of scans whose ground truth is a flag a point; nothing of other classes.

    Raises:
        RunError: a list is damaged.
        DatasetError: a mask cannot be read.
    """
    if one.mask_kinds != {PointMask}:
        return NO_SCORES
    names = "fused_point_auroc", "fused_point_ap", "scans_without_fused_points"
    return PlaceScores(score_points(one.tasks, one.records, one.folder, names, fused_name).metrics, {})


@scores_places(order=47)
def score_fused_grids(one: ClassMaps) -> PlaceScores:
    """Return `fused_pixel_auroc` and `fused_aupro` of organised scans, whose points are pixels.

    Raises:
        RunError: a map is damaged.
        DatasetError: a mask cannot be read.
    """
    if one.mask_kinds != {ImageMask}:
        return NO_SCORES
    pixels = PixelMetrics()
    for task in one.tasks:
        record = one.records[task.id]
        path = one.folder / fused_name(record)
        if record.boxes is None and path.is_file():
            values = read_map(path).values()
            pixels.add(values, read_at_size(task.item.mask, (values.shape[0], values.shape[1])))
    if not pixels.images:
        return NO_SCORES
    return PlaceScores({"fused_pixel_auroc": pixels.auroc(), "fused_aupro": pixels.aupro()}, {})
