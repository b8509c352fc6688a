"""The events of a clip, or of a sensor curve, as the JSON of an inspection holds them."""

from vlm_inspect.frame_curve import ClipEvent, FrameCurve
from vlm_inspect.inspection import CurveEventRecord, EventRecord, TrackPointRecord
from vlm_inspect.sample_curve import SampleCurve


def record_events(curve: FrameCurve | None) -> tuple[EventRecord, ...]:
    """Return the events of a curve in the order of time; none where nothing was learned to hold the clip against."""
    return () if curve is None else tuple(map(_record, curve.events))


def record_curve_events(curve: SampleCurve | None) -> tuple[CurveEventRecord, ...]:
    """Return the events of a sensor curve in the order of time; none where no references set a limit."""
    return tuple(
        CurveEventRecord(
            channels=one.channels,
            description=one.note,
            score=one.score,
            start_sample=one.first,
            peak_sample=one.peak,
            end_sample=one.last,
            start_s=one.first_s,
            peak_s=one.peak_s,
            end_s=one.last_s,
        )
        for one in ([] if curve is None else curve.events)
    )


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
