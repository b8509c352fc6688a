"""The events of a clip, as the JSON of an inspection holds them."""

from vlm_inspect.frame_curve import ClipEvent, FrameCurve
from vlm_inspect.inspection import EventRecord, TrackPointRecord


def record_events(curve: FrameCurve | None) -> tuple[EventRecord, ...]:
    """Return the events of a curve in the order of time; none where nothing was learned to hold the clip against."""
    return () if curve is None else tuple(map(_record, curve.events))


def _record(event: ClipEvent) -> EventRecord:
    return EventRecord(
        kind=event.kind,
        description=event.note,
        score=event.score,
        start_frame=event.first,
        peak_frame=event.peak,
        end_frame=event.last,
        start_s=event.first_s,
        peak_s=event.peak_s,
        end_s=event.last_s,
        box_xyxyn=event.box_xyxyn,
        track=tuple(TrackPointRecord(frame=p.frame, time_s=p.time_s, box_xyxyn=p.box_xyxyn) for p in event.track),
    )
