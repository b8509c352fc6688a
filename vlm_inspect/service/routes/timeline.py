"""A curve or a clip over time: what is drawn, and the frames that are played."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as PathPart
from fastapi.responses import Response

from converters.errors import ConversionError
from vlm_inspect.report.pictures import encode_jpeg
from vlm_inspect.service.access import AtWork, Viewer
from vlm_inspect.service.frame_sheet import MOST_FRAMES, draw_sheet
from vlm_inspect.service.timeline import is_over_time
from vlm_inspect.store import Case

router = APIRouter(prefix="/v1/inspections/{case_id}", tags=["inspections"])
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}
_JPEG: dict[int | str, dict[str, object]] = {200: {"content": {"image/jpeg": {}}}, 404: {"description": "None."}}


@router.get("/timeline", responses={404: {"description": "It is no curve and no clip, or was not kept."}})
def get_timeline(case_id: str, station: AtWork, person: Viewer) -> dict[str, Any]:
    """Return the lines of a curve or a clip, thinned out so that every spike stays, and the marked stretches."""
    del person
    told: dict[str, Any] = station.path_free.values(station.judges.timelines.of(_kept(case_id, station)))
    return told


@router.get("/frames/{first}.jpg", responses=_JPEG, response_class=Response)
def get_frames(
    case_id: str,
    first: Annotated[int, PathPart(ge=0, le=100_000_000)],
    station: AtWork,
    person: Viewer,
    count: Annotated[int, Query(ge=1, le=MOST_FRAMES, description="Frames of one sheet, four a row.")] = 1,
) -> Response:
    """Return a frame of a clip, or a sheet of several, smaller, in the order of time."""
    del person
    from converters.frame_seek import frames_from

    case = _kept(case_id, station)
    try:
        with case.kept_input() as path:
            frames = frames_from(path, first, count)
    except ConversionError as error:
        raise HTTPException(404, f"{case.source.name} is no clip whose frames can be shown") from error
    if not frames:
        raise HTTPException(404, f"the clip has no frame {first}")
    return Response(encode_jpeg(draw_sheet(frames, whole=count == 1)), media_type="image/jpeg", headers=_KEEP)


def _kept(case_id: str, station: AtWork) -> Case:
    """Return a case of a curve or a clip whose input is kept."""
    case = station.store.load(case_id)
    if not is_over_time(case):
        raise HTTPException(404, "this case is of no curve and no clip")
    if not case.input_names:
        raise HTTPException(404, "the curve or clip of this case was not kept")
    return case
