"""UCSD pedestrians: clips as folders of frames, `SCENE/Train/TrainNNN`, `SCENE/Test/TestNNN` and `TestNNN_gt`.

Source: Mahadevan et al., CVPR 2010, with folders as in anomalib's ucsd_ped.py (github.com/open-edge-platform/anomalib):
.tif frames, one .bmp mask a frame in `TestNNN_gt`. Scenes whose masks are published for some clips only have frame
labels for all in `Test/SCENE.m` (`gt_frame = [60:152];`, one a clip, from 1). Any folder of clips beside `_gt` folders
is read, with or without the outer ones, so that other sets of frames fit.
"""

import re
from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind
from vlm_inspect.datasets.listing import files_in, folders_in, item_id
from vlm_inspect.datasets.masks import FrameMask, ImageMask
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

_TAIL = "_gt"
_ANOMALY = "event"


class UcsdPed:
    """Every clip is an item, the scene its class; the mask tells which of its frames are anomalous."""

    name = "ucsd-ped"

    def matches(self, root: Path) -> bool:
        """Return whether a folder of frames stands beside one of its masks."""
        return any(_masked_clips(tests) for _, _, tests in _scenes(root))

    def read(self, root: Path) -> Dataset:
        """Return the clips; those none of whose frames has a mask or a label are "unlabelled".

        Raises:
            DatasetError: no frame, a mask that cannot be read, or frame labels that do not fit the clips.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for scene, train, tests in _scenes(root):
            items += [
                Item(item_id(scene.parent, clip), scene.name, (clip,), "train", False, kind="video")
                for clip in folders_in(train)
                if files_in(clip)
            ]
            labels = _frame_labels(tests)
            for clip in _clips(tests):
                one, odd = _read_clip(scene, clip, labels.get(clip.name))
                items.append(one)
                problems += odd
        if not items:
            raise DatasetError(f"{root} has no clip as a folder of frames beside a folder of masks NAME{_TAIL}")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))


def _read_clip(scene: Path, clip: Path, anomalous_frames: set[int] | None) -> tuple[Item, list[Problem]]:
    masks = {path.stem: path for path in files_in(clip.with_name(clip.name + _TAIL))}
    pictures = [masks.pop(path.stem, None) for path in files_in(clip)]
    flags: list[bool | None] = []
    for number, picture in enumerate(pictures, start=1):
        drawn = None if picture is None else bool(ImageMask(picture).read().any())
        flags.append(drawn if anomalous_frames is None else number in anomalous_frames)
    missing = flags.count(None)
    told = True in flags or not missing  # a clip with frames that nobody labelled is not known to be normal
    mask = FrameMask(tuple(pictures), tuple(flags))
    anomalous = (True in flags) if told else None
    item = Item(
        item_id(scene.parent, clip),
        scene.name,
        (clip,),
        "test" if told else "unlabelled",
        anomalous,
        (_ANOMALY,) if anomalous else (),
        mask if anomalous else None,
        kind="video",
    )
    problems = [orphan(scene.parent, path, scene.name) for path in masks.values()]
    if missing:
        message = f"{item.id}: {missing} frames have neither mask nor label and are not scored"
        problems.append(Problem(ProblemKind.MISSING_FILE, scene.name, message, (clip,)))
    return item, problems


def _scenes(root: Path) -> list[tuple[Path, Path, Path]]:
    """Return scene, folder of training clips and folder of test clips; the last two may be one that has none."""
    found = [
        (scene, scene / "Train", scene / "Test") for scene in (root, *folders_in(root)) if (scene / "Test").is_dir()
    ]
    return found or [(root, root / "Train", root)]


def _clips(tests: Path) -> list[Path]:
    return [clip for clip in folders_in(tests) if not clip.name.endswith(_TAIL) and files_in(clip)]


def _masked_clips(tests: Path) -> list[Path]:
    return [clip for clip in _clips(tests) if clip.with_name(clip.name + _TAIL).is_dir()]


def _frame_labels(tests: Path) -> dict[str, set[int]]:
    """Return the anomalous frames of each clip, from 1, as the scene's MATLAB list gives them; none without a list."""
    path = next(iter(files_in(tests, frozenset({".m"}))), None)
    if path is None:
        return {}
    spans = re.findall(r"gt_frame\s*=\s*\[([^\]]*)\]", path.read_text(encoding="utf-8", errors="replace"))
    clips = _clips(tests)
    if len(spans) != len(clips):
        raise DatasetError(f"{path} labels {len(spans)} clips, and {tests} has {len(clips)}")
    return {clip.name: _frames(path, span) for clip, span in zip(clips, spans, strict=True)}


def _frames(path: Path, span: str) -> set[int]:
    found: set[int] = set()
    for part in re.split(r"[,\s]+", span.strip()):
        ends = part.split(":")
        if len(ends) > 2 or not all(end.isdigit() for end in ends):
            raise DatasetError(f"{path}: {span!r} is not a list of frames such as 60:152, 170:180")
        found |= set(range(int(ends[0]), int(ends[-1]) + 1))
    return found
