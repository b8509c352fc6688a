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
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

_TAIL = "_gt"
_ANOMALY = "event"


class UcsdPed:
    """Every frame is an item, the clip is its group, the scene its class."""

    name = "ucsd-ped"

    def matches(self, root: Path) -> bool:
        """Return whether a folder of frames stands beside one of its masks."""
        return any(_masked_clips(tests) for _, _, tests in _scenes(root))

    def read(self, root: Path) -> Dataset:
        """Return the frames; those of clips without masks and labels are "unlabelled".

        Raises:
            DatasetError: no frame, a mask that cannot be read, or frame labels that do not fit the clips.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for scene, train, tests in _scenes(root):
            for clip in folders_in(train):
                items += [
                    Item(item_id(scene.parent, path), scene.name, (path,), "train", False, group=clip.name)
                    for path in files_in(clip)
                ]
            labels = _frame_labels(tests)
            for clip in _clips(tests):
                own, odd = _read_clip(scene, clip, labels.get(clip.name))
                items += own
                problems += odd
        if not items:
            raise DatasetError(f"{root} has no clip as a folder of frames beside a folder of masks NAME{_TAIL}")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems), note="Frames of a clip are alike.")


def _read_clip(scene: Path, clip: Path, anomalous_frames: set[int] | None) -> tuple[list[Item], list[Problem]]:
    masks = {path.stem: path for path in files_in(clip.with_name(clip.name + _TAIL))}
    missing = 0
    items: list[Item] = []
    for number, path in enumerate(files_in(clip), start=1):
        mask = ImageMask(masks.pop(path.stem)) if path.stem in masks else None
        drawn = mask is not None and bool(mask.read().any())
        anomalous = drawn if anomalous_frames is None else number in anomalous_frames
        told = mask is not None or anomalous_frames is not None
        missing += not told
        items.append(
            Item(
                item_id(scene.parent, path),
                scene.name,
                (path,),
                "test" if told else "unlabelled",
                anomalous if told else None,
                (_ANOMALY,) if anomalous else (),
                mask if anomalous and drawn else None,
                group=clip.name,
            )
        )
    problems = [orphan(scene.parent, path, scene.name) for path in masks.values()]
    if missing:
        message = f"{item_id(scene.parent, clip)}: {missing} frames have neither mask nor label and are not scored"
        problems.append(Problem(ProblemKind.MISSING_FILE, scene.name, message, (clip,)))
    return items, problems


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
