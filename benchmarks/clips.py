"""Events of generated clips found in time, frames a second and peak memory: `python -m benchmarks.clips`.

Four normal clips of a belt are the references. Twenty more must show no event; sixty events (toppled, missing,
reversed, slow, doubled) in twenty clips must be found: an event that is found counts where its peak lies within 0.5 s
of the time in which a true one can be seen, each true one once. Sixteen clips of a walkway (`walkers.py`) give frame
AUROC and events, the first 60 frames of each taken as normal; `--real FOLDER` adds that of UCSD clips. The seeds of the
report are not those of choices: belts were chosen at seed 1, walkways at seeds 1 to 3.
"""

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.walkers import EVENT_KINDS as WALKWAY_KINDS
from benchmarks.walkers import FPS as WALKWAY_FPS
from benchmarks.walkers import VIEWS, film_walkway, make_scene
from converters.clip_stretch import beginning_of
from converters.sample import Frame, VideoClip
from converters.video import read_video
from converters.view import ViewBudget
from evaluation.metrics.image import image_auroc
from vlm_inspect.datasets.listing import files_in, folders_in
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.demo.conveyor import EVENT_KINDS, FPS, BeltEvent, Image, film_events
from vlm_inspect.frame_curve import ClipEvent, FrameCurve
from vlm_inspect.localization.clip_events.localizer import ClipLocalizer, FittedClips
from vlm_inspect.references import Part, ReferenceSet, present

SPEED_PX_S = 430.0
REACH_S = 0.5
REFERENCES, NORMALS, CLIPS = 4, 20, 20
NORMAL_UNTIL = 60
WALKWAYS = 16


def clip_of(frames: Iterator[Image], name: str, fps: float = FPS) -> VideoClip:
    """Return frames, kept in memory, as a clip."""
    kept = list(frames)

    def read(wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        return (Frame(k, k / fps, one) for k, one in enumerate(kept) if wanted is None or k in wanted)

    height, width = kept[0].shape[:2]
    return VideoClip(Path(name), (height, width), len(kept), fps, read)


def events_of(fitted: FittedClips, clip: VideoClip) -> tuple[ClipEvent, ...]:
    """Return the events that are found in a clip."""
    found = fitted.localize(Part(clip, present(clip, ReferenceSet().stage, ViewBudget(max_frames=4)).views))
    assert found.curve is not None
    return found.curve.events


def count_matches(found: Sequence[ClipEvent], true: Sequence[BeltEvent]) -> list[str]:
    """Return the kinds of the true events that are found, each by an event of its own."""
    left = list(found)
    kinds = []
    for event in true:
        hit = next(
            (one for one in left if event.first_s - REACH_S <= (one.peak_s or 0.0) <= event.last_s + REACH_S), None
        )
        if hit is not None:
            left.remove(hit)
            kinds.append(event.kind)
    return kinds


def measure_events(seed: int) -> None:
    """Print precision, recall and F1 of events, and by kind what was found."""
    references = []
    for number in range(REFERENCES):
        frames, _ = film_events(np.random.default_rng([seed, 0, number]), (), seconds=5.0, speed_px_s=SPEED_PX_S)
        references.append(present(clip_of(frames, f"normal{number}"), ReferenceSet().stage, ViewBudget(max_frames=4)))
    fitted = ClipLocalizer().fit(ReferenceSet(tuple(references)))
    false = 0
    for number in range(NORMALS):
        frames, _ = film_events(np.random.default_rng([seed, 1, number]), (), seconds=5.0, speed_px_s=SPEED_PX_S)
        false += len(events_of(fitted, clip_of(frames, "normal")))
    print(f"normal clips: {NORMALS}, events in them: {false}", flush=True)
    planted: list[str] = []
    hit: list[str] = []
    extra, frame_count, seconds = false, 0, 0.0
    for number in range(CLIPS):
        rng = np.random.default_rng([seed, 2, number])
        kinds = [EVENT_KINDS[(3 * number + k) % len(EVENT_KINDS)] for k in range(3)]
        wanted = [(kind, 2.5 + 4.5 * k + float(rng.uniform(0, 0.8))) for k, kind in enumerate(kinds)]
        frames, true = film_events(rng, wanted, seconds=15.0, speed_px_s=SPEED_PX_S)
        clip = clip_of(frames, "events")
        began = time.process_time()
        found = events_of(fitted, clip)
        seconds += time.process_time() - began
        frame_count += clip.frame_count
        matched = count_matches(found, true)
        planted += kinds
        hit += matched
        extra += len(found) - len(matched)
    for kind in EVENT_KINDS:
        print(f"  {kind}: {hit.count(kind)} of {planted.count(kind)}")
    precision, recall = len(hit) / max(1, len(hit) + extra), len(hit) / len(planted)
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    print(f"events: {len(planted)}, found {len(hit)}, false {extra}: F1 {f1:.3f} at {REACH_S} s")
    print(f"{frame_count / seconds:.0f} frames a second of processor time, decoding not counted")


def measure_walkers(seed: int) -> None:
    """Print the frame AUROC of generated clips of a walkway, and how many of their events are found."""
    scores, labels, kinds = [], [], []
    hit, planted, extra = 0, 0, 0
    for number in range(WALKWAYS):
        rng = np.random.default_rng([seed, number])
        scene = make_scene(rng, VIEWS[number % len(VIEWS)])
        possible = [kind for kind in WALKWAY_KINDS if kind != "against" or scene.one_way]
        first, second = (str(kind) for kind in rng.choice(possible, 2, replace=False))
        wanted = [(first, float(rng.uniform(6, 8))), (second, float(rng.uniform(12, 15)))]
        film, events = film_walkway(rng, scene, wanted, frames=200)
        curve = curve_from_beginning(clip_of(iter(film), f"walkway{number}", fps=WALKWAY_FPS))
        found = curve.scores
        true = [BeltEvent(one.kind, one.first / WALKWAY_FPS, one.last / WALKWAY_FPS) for one in events]
        matched = count_matches(curve.events, true)
        hit, planted, extra = hit + len(matched), planted + len(true), extra + len(curve.events) - len(matched)
        label = np.zeros(len(found), bool)
        kind = np.full(len(found), "", dtype="U10")
        for event in events:
            label[event.first : event.last + 1] = True
            kind[event.first : event.last + 1] = event.kind
        scores.append(found)
        labels.append(label)
        kinds.append(kind)
    for number, view in enumerate(VIEWS):
        print(f"walkway, {view}:", end=" ")
        print_frame_auroc(scores[number :: len(VIEWS)], labels[number :: len(VIEWS)])
    f1 = 2 * hit / max(1, planted + hit + extra)
    print(f"events: {planted}, found {hit}, false {extra}: F1 {f1:.3f} at {REACH_S} s")
    every, what = (
        np.concatenate([one[NORMAL_UNTIL:] for one in scores]),
        np.concatenate([k[NORMAL_UNTIL:] for k in kinds]),
    )
    for kind in WALKWAY_KINDS:
        chosen = (what == kind) | (what == "")
        if (what == kind).any():
            print(f"  {kind}: {image_auroc(what[chosen] == kind, every[chosen]):.3f}")


def measure_real(folder: Path) -> None:
    """Print the frame AUROC of every clip beside a folder of masks, and of all their frames together."""
    scores, labels = [], []
    for path in folders_in(folder):
        masks = path.with_name(path.name + "_gt")
        if not masks.is_dir():
            continue
        found = curve_from_beginning(read_video(path)).scores
        true = {one.stem for one in files_in(masks) if ImageMask(one).read().any()}
        label = np.array([one.stem in true for one in files_in(path)])
        scores.append(found)
        labels.append(label)
        print(f"{path.name}: frame AUROC {image_auroc(label, found):.3f} ({label.sum()} of {len(label)} anomalous)")
    print_frame_auroc(scores, labels)


def curve_from_beginning(clip: VideoClip) -> FrameCurve:
    """Return the curve of a clip, the first `NORMAL_UNTIL` frames taken as normal."""
    beginning = present(beginning_of(clip, NORMAL_UNTIL), ReferenceSet().stage, ViewBudget())
    fitted = ClipLocalizer().fit(ReferenceSet((beginning,)))
    found = fitted.localize(present(clip, ReferenceSet().stage, ViewBudget())).curve
    assert found is not None
    return found


def print_frame_auroc(scores: Sequence[NDArray[np.float64]], labels: Sequence[NDArray[np.bool_]]) -> None:
    """Print that of all frames together, without the beginnings, and the mean of clips, without them, too."""
    late = [one[NORMAL_UNTIL:] for one in scores], [one[NORMAL_UNTIL:] for one in labels]
    whole = image_auroc(np.concatenate(labels), np.concatenate(scores))
    own = [image_auroc(two, one) for one, two in zip(*late, strict=True) if two.any() and not two.all()]
    print(
        f"frame AUROC {whole:.3f}; without the first {NORMAL_UNTIL} frames "
        f"{image_auroc(np.concatenate(late[1]), np.concatenate(late[0])):.3f}, mean of clips {np.mean(own):.3f}"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="folder of UCSD clips and their masks")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--skip-generated", action="store_true", help="real clips alone")
    parser.add_argument("--skip-belts", action="store_true", help="walkways, and real clips, alone")
    given = parser.parse_args()
    if not (given.skip_generated or given.skip_belts):
        measure_events(given.seed)
    if not given.skip_generated:
        measure_walkers(given.seed)
    if given.real is not None:
        measure_real(given.real)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
