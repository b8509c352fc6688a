"""`ReferenceSet`: the known-normal samples of a class, read, aligned and rendered once.

Scans are compared in one frame: the canonical pose of the first reference. Every other scan, the inspected part
included, is aligned to it and drawn through the same window, so that a pixel means the same millimetres everywhere.
Curves share their axes in the same way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.frame_folder import says_frames
from converters.pose import ScanFrame
from converters.registry import detect_kind, read, render
from converters.sample import ONE, SEVERAL, ImageSample, PointCloud, Sample, SampleKind, Series
from converters.series_plot import Limits
from converters.system_files import is_system_file
from converters.video_source import frame_files
from converters.view import View, ViewBudget
from vlm_inspect.array_cache import content_of, key_of, user_cache
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.file_patterns import match_files
from vlm_inspect.registration.alignment import PosedCloud, levels_of
from vlm_inspect.registration.arrival import Arrival, arrive, pack_arrival, unpack_arrival
from vlm_inspect.registration.drawn_pose import settled_on, turns_of
from vlm_inspect.registration.drawn_surface import Triangles, triangles_of
from vlm_inspect.registration.identity import Mismatch
from vlm_inspect.registration.known_scan import Change
from vlm_inspect.registration.levels import Levels

SCAN_VERSION = 11
"""Of the alignment and of the deviation's score: another one computes remembered poses and scores anew."""
WINDOW_MARGIN = 1.1
"""The window of a class is this much larger than its first reference needs, so that foreign material stays in sight."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What all samples of a class share when they are drawn: the frame of scans, the value ranges of curves."""

    anchor: PointCloud | None = None
    anchor_content: str = ""
    """Hash of its points."""
    frame: ScanFrame | None = None
    """Scan coordinates of the anchor to the common frame."""
    limits: tuple[Limits, ...] | None = None

    @cached_property
    def levels(self) -> Levels:
        """The anchor as every other scan is laid onto it; there must be one."""
        if self.anchor is None:
            raise ValueError("there is no scan to lay others onto")
        return levels_of(self.anchor)

    @cached_property
    def triangles(self) -> Triangles | None:
        """Those of the anchor; None: it is no drawing."""
        return None if self.anchor is None or self.anchor.mesh is None else triangles_of(self.anchor.mesh)

    def arrival_of(self, cloud: PointCloud) -> Arrival:
        """Return how a scan comes to lie on the anchor."""
        arrived = arrive(cloud.points, self.levels, cloud.viewpoint)
        if arrived.mismatch is not None or self.triangles is None:
            return arrived
        spacing = self.levels.dense.spacing
        return replace(
            arrived, pose=settled_on(cloud.points, arrived.pose, self.triangles, turns_of(self.levels), spacing)
        )


@dataclass(frozen=True, eq=False)
class Part:
    """A sample as it is compared: its views, and for a scan the frame whose pose maps it to the common one."""

    sample: Sample | None
    """None where only its views are at hand: in a stored case, or on another machine."""
    views: tuple[View, ...]
    frame: ScanFrame | None = None
    change: Change | None = None
    """Of a scan made of a reference, as it lies: what tells the two apart."""
    mismatch: Mismatch | None = None
    """Of a scan: why it lies nowhere on the references, and is drawn as it stands; None: it may be laid onto them."""

    @property
    def posed(self) -> PosedCloud | None:
        """The scan in the common frame; None for what is no scan."""
        if self.frame is None or not isinstance(self.sample, PointCloud):
            return None
        return PosedCloud(self.sample, self.frame.pose)


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """The references of one inspection, all of one kind; may be empty."""

    parts: tuple[Part, ...] = ()
    sha256: tuple[str, ...] = ()
    stage: Stage = Stage()

    @classmethod
    def of_views(cls, references: Sequence[Sequence[View]]) -> "ReferenceSet":
        """Return references of which only the views are at hand."""
        return cls(tuple(Part(None, tuple(views)) for views in references))

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The references as read, those that are at hand."""
        return tuple(part.sample for part in self.parts if part.sample is not None)

    @property
    def views(self) -> tuple[tuple[View, ...], ...]:
        """The views of every reference."""
        return tuple(part.views for part in self.parts)

    @cached_property
    def posed(self) -> tuple[PosedCloud, ...]:
        """The reference scans in their common frame."""
        return tuple(posed for part in self.parts if (posed := part.posed) is not None)

    def seen_by(self, change: Callable[[Sequence[View]], tuple[View, ...]]) -> "ReferenceSet":
        """Return the same references with other views."""
        return replace(self, parts=tuple(replace(part, views=change(part.views)) for part in self.parts))

    def twin_of(self, sample: Sample, sha256: str) -> str | None:
        """Return the digest of the reference that a part is: the same file, or its pixels, points or samples in another
        one; None where it is none of them. Clips are told by their files alone.

        Args:
            sample: the part.
            sha256: of its file.
        """
        if sha256 in self.sha256:
            return sha256
        content = _content_of(sample)
        return None if content is None else self._contents.get(content)

    @cached_property
    def _contents(self) -> dict[str, str]:
        """Digests of the files by what is in them."""
        pairs = ((_content_of(part.sample), digest) for part, digest in zip(self.parts, self.sha256, strict=True))
        return {content: digest for content, digest in pairs if content is not None}

    def without(self, sha256: str) -> "ReferenceSet":
        """Leave out the reference with that digest: a part is never judged by itself."""
        kept = [i for i, digest in enumerate(self.sha256) if digest != sha256]
        if len(kept) == len(self.parts):
            return self
        return ReferenceSet(tuple(self.parts[i] for i in kept), tuple(self.sha256[i] for i in kept), self.stage)

    def __len__(self) -> int:
        return len(self.parts)


def _content_of(sample: Sample | None) -> str | None:
    """Return a digest of what was read, whatever file it stood in; None of a clip, which is not read at once."""
    if isinstance(sample, ImageSample):
        return " ".join(content_of(page) for page in sample.pages)
    if isinstance(sample, PointCloud):
        return content_of(sample.points)
    if isinstance(sample, Series):  # the same numbers of another channel, or beside other words, are no copy
        return key_of(content_of(np.column_stack([sample.time_s, sample.values])), sample.names, repr(sample.words))
    return None


def load_references(
    paths: Sequence[Path], kind: SampleKind, budget: ViewBudget, progress: Callable[[str], None] = lambda step: None
) -> ReferenceSet:
    """Read, align and render the references; of those with the same content, one.

    Args:
        paths: files, and folders of files.
        kind: of the part, and so of the references.
        budget: how many pictures each may become.
        progress: told which one is at work.

    Raises:
        ReferenceSampleError: one is missing, unreadable, or of another kind than the part.
    """
    samples: dict[str, Sample] = {}
    files = [file for named in paths for file in _files_of(named, kind)]
    for number, path in enumerate(files, start=1):
        progress(f"reading reference {number} of {len(files)}")
        try:
            sample = read(path, as_kind=kind)
        except ConversionError as error:
            raise ReferenceSampleError(_why_unread(path, kind, files, error)) from error
        if kind == "video" and _kind_of(path) == "image":  # a clip of one frame, which says nothing of the next
            raise ReferenceSampleError(_why_unread(path, kind, files))
        samples.setdefault(sha256_of(path), sample)  # a copy says nothing about how much normal parts differ
    stage = set_stage(list(samples.values()))
    parts = []
    for number, sample in enumerate(samples.values(), start=1):
        progress(f"drawing reference {number} of {len(samples)}")
        part = present(sample, stage, budget)
        if part.mismatch is not None and stage.anchor is not None:
            said = f"reference {sample.path}, held against {stage.anchor.path}: {part.mismatch.said}"
            raise ReferenceSampleError(said)
        parts.append(part)
    return ReferenceSet(parts=tuple(parts), sha256=tuple(samples), stage=stage)


def kind_of_references(paths: Sequence[Path]) -> SampleKind:
    """Return what references are where no part says it: what the first one is, of a folder its first file.

    Raises:
        ReferenceSampleError: a folder holds nothing.
        ConversionError: the first one is missing, damaged or of no known kind.
    """
    first = paths[0]
    if first.is_dir():
        frames = frame_files(first)
        if frames and says_frames(frames[0]):
            return "video"
        first = _files_of(first, "image")[0]
    return detect_kind(first)


def reference_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of references of whatever kind, as `load_references` reads them: those of a folder of photos,
    scans or curves, each for itself, while a folder of frames is one.

    Raises:
        ReferenceSampleError: a folder holds nothing.
        ConversionError: the first one is missing, damaged or of no known kind.
    """
    if not any(path.is_dir() for path in paths):
        return list(paths)
    kind = kind_of_references(paths)
    return [file for named in paths for file in _files_of(named, kind)]


def reference_digests(paths: Sequence[Path]) -> list[str]:
    """Return the digests of references, each once, sorted; raises what `reference_files` raises."""
    return sorted({sha256_of(file) for file in reference_files(paths)})


def set_stage(samples: Sequence[Sample]) -> Stage:
    """Return what the samples share when they are drawn; nothing, where there are none."""
    from converters.pose import canonical_frame
    from converters.series import shared_limits

    scans = [sample for sample in samples if isinstance(sample, PointCloud)]
    if scans:
        own = canonical_frame(scans[0])
        return Stage(
            scans[0], content_of(scans[0].points), replace(own, half_extent_mm=own.half_extent_mm * WINDOW_MARGIN)
        )
    curves = [sample for sample in samples if isinstance(sample, Series)]
    return Stage(limits=shared_limits(curves)) if curves else Stage()


def present(sample: Sample, stage: Stage, budget: ViewBudget) -> Part:
    """Bring a sample on the stage of its class and render it there; on an empty stage it stands as it likes."""
    if isinstance(sample, PointCloud):
        from converters.point_cloud import render_point_cloud

        frame, mismatch = _frame_on(stage, sample)
        return Part(sample, tuple(render_point_cloud(sample, budget, frame)), frame, mismatch=mismatch)
    if isinstance(sample, Series):
        from converters.series import render_series

        return Part(sample, tuple(render_series(sample, budget, stage.limits)))
    return Part(sample, tuple(render(sample, budget)))


def _frame_on(stage: Stage, cloud: PointCloud) -> tuple[ScanFrame, Mismatch | None]:
    """Return the frame of a scan, and what it shows where it lies nowhere: it is drawn in a frame of its own then."""
    from converters.pose import canonical_frame

    if stage.anchor is None or stage.frame is None:
        return canonical_frame(cloud), None
    if cloud is stage.anchor:
        return stage.frame, None
    seen_from = repr((cloud.viewpoint, stage.anchor.viewpoint))
    key = key_of(SCAN_VERSION, "pose", content_of(cloud.points), stage.anchor_content, seen_from)
    arrived = user_cache().value("scans", key, lambda: stage.arrival_of(cloud), pack_arrival, unpack_arrival)
    if arrived.mismatch is not None:
        return canonical_frame(cloud), arrived.mismatch
    return replace(stage.frame, pose=stage.frame.pose @ arrived.pose), None


def _files_of(path: Path, kind: SampleKind) -> list[Path]:
    """The files of a folder of references; a folder of frames is one reference."""
    if not path.is_dir() or (kind == "video" and frame_files(path)):
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and not is_system_file(file))
    if not files:
        raise ReferenceSampleError(f"reference {path} is a folder without files; name a folder of normal samples")
    return files


def _why_unread(path: Path, kind: SampleKind, files: Sequence[Path], error: ConversionError | None = None) -> str:
    """Return why a reference cannot be read as the part is, and which of the two is likely to be wrong."""
    own = _kind_of(path)
    if own is None or own == kind:
        return f"reference {path} cannot be read as {ONE[kind]}: {error}"
    alike = next((file for file in files if _kind_of(file) == kind), None)
    if alike is None:
        return (
            f"this part is {ONE[kind]}, and the references of its class are {SEVERAL[own]} ({path.name}); inspect "
            f"{ONE[own]}, or name the rules and references of such parts"
        )
    return (
        f"the references are of different kinds: {alike.name} is {ONE[kind]}, {path.name} "
        f"{ONE[own]}; leave the others out, or give them a rule book of their own"
    )


def _kind_of(path: Path) -> SampleKind | None:
    try:
        return detect_kind(path)
    except ConversionError:
        return None


def expand_references(patterns: Sequence[str]) -> list[Path]:
    """Return the files that paths and patterns (`file_patterns`) name, sorted within each.

    Raises:
        ReferenceSampleError: one of them names nothing.
    """
    found: list[Path] = []
    for pattern in patterns:
        if not pattern:
            raise ReferenceSampleError("--reference is empty; name a file or a pattern such as 'normal/*.png'")
        matches = match_files(pattern)
        if not matches:
            raise ReferenceSampleError(f"--reference {pattern}: no such file, and no file matches it; check the path")
        found += matches
    return found
