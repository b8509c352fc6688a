"""A clip to grids of its frames: the frames stay on disk, and are decoded once to choose and once to draw."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from converters.frame_grid import draw_grids, fit_layout
from converters.sample import VideoClip
from converters.video_scan import FrameScan, ScannedFrames, choose_frames, scan_frames, scan_reader
from converters.video_source import open_source
from converters.view import View, ViewBudget

_TELLING_FRAMES = 12
_UNEVEN = 0.1
"""Share of the steps between frames that differ by half from the usual one, from which on it is said."""


def read_video(path: Path) -> VideoClip:
    """Open a clip: mp4, mov, avi, mkv, webm (told by content), an animated gif, webp or png, or a folder of frames.

    The whole clip is decoded once, one frame at a time: headers lie about the number of frames, and a file that breaks
    off in the middle must not pass as a shorter clip. A folder's images are the frames in natural order; it keeps no
    time, so that its frames have numbers only.

    Raises:
        ConversionError: missing, empty, truncated or damaged, no frame, frames of different sizes, or larger than
            `video_source.MAX_FRAME_PIXELS` pixels.
    """
    source = open_source(path)
    scan = scan_frames(source)
    return VideoClip(
        path=path,
        size_hw=scan.size_hw,
        frame_count=scan.frame_count,
        fps=scan.fps,
        frames=ScannedFrames(source, scan),
        time_is_index=scan.time_is_index,
        notes=_uneven_note(scan),
    )


def _uneven_note(scan: FrameScan) -> tuple[str, ...]:
    """Say that frames come at unequal times, where they do: what moves is then as fast as they are far apart."""
    if scan.time_is_index or scan.frame_count < _TELLING_FRAMES:
        return ()
    steps = np.diff(scan.times_s)
    usual, longest = float(np.median(steps)), float(steps.max())
    uneven = float(np.mean(np.abs(steps - usual) > 0.5 * usual))
    if uneven < _UNEVEN:
        return ()
    return (
        f"The frames come at unequal times, {usual:.3g} s apart as a rule and up to {longest:.3g} s: motion is told "
        "from frame to frame, so record at an even rate.",
    )


def render_video(clip: VideoClip, budget: ViewBudget) -> list[View]:
    """Draw grids of at most `budget.max_frames` frames, consecutive in time, each cell with its frame and second.

    Raises:
        ConversionError: the clip cannot be decoded any more.
    """
    scan = clip.frames.scan if isinstance(clip.frames, ScannedFrames) else scan_reader(clip.frames)
    return render_frames(clip, choose_frames(scan, budget.max_frames), budget)


def render_frames(clip: VideoClip, chosen: Sequence[int], budget: ViewBudget) -> list[View]:
    """Draw grids of these frames, which are given in order; see `render_video`."""
    layout = fit_layout(clip.size_hw, len(chosen), budget)
    return list(draw_grids(clip.frames(frozenset(chosen)), layout, clip))


def render_stretches(clip: VideoClip, stretches: Sequence[Sequence[int]], budget: ViewBudget) -> list[list[View]]:
    """Draw the frames of each stretch of a clip into grids of their own; the clip is decoded once.

    Args:
        clip: stays on disk.
        stretches: the frames of each, in order; no stretch begins before the one before it has ended.
        budget: sizes of the grids.

    Raises:
        ConversionError: the clip cannot be decoded any more.
    """
    layout = fit_layout(clip.size_hw, max(map(len, stretches)), budget)
    frames = clip.frames(frozenset(frame for chosen in stretches for frame in chosen))
    return [list(draw_grids(islice(frames, len(chosen)), layout, clip)) for chosen in stretches]
