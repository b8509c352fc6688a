"""What the folders of data sets are called: those of normal parts, of anomalous ones, of masks; in any letter case."""

from pathlib import Path

from vlm_inspect.datasets.listing import folders_in

NORMAL = frozenset({"normal", "normals", "good", "goods", "ok", "oks", "non-defective", "defect-free", "defect_free"})
ANOMALOUS = frozenset(
    {
        *("anomalous", "anomaly", "anomalies", "abnormal", "abnormals", "defect", "defects", "defective", "defectives"),
        *("bad", "bads", "ng", "ngs", "nok", "noks", "ko", "kos", "faulty", "fault", "faults"),
    }
)
"""Names that say that something is wrong, and not what."""
REFERENCES = frozenset({"references", "reference"})
MASKS = frozenset({"masks", "mask"})
MASK_LIKE = MASKS | {"ground_truth", "groundtruth", "ground-truth", "gt", "labels", "label", "annotations", "labelmask"}
"""Names under which masks are found in other layouts."""


def is_named(folder: Path, names: frozenset[str]) -> bool:
    """Return whether a folder has one of these names, letter case apart."""
    return folder.name.casefold() in names


def folders_named(parent: Path, names: frozenset[str]) -> list[Path]:
    """Return the subfolders that have one of these names, by name; none where there is no such parent."""
    return [folder for folder in folders_in(parent) if is_named(folder, names)]
