"""What belongs to an inspection beside its JSON: pictures, report, scan."""

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from fastapi import Path as PathPart
from fastapi.responses import Response

from vlm_inspect.report.pictures import encode_jpeg, encode_png
from vlm_inspect.service.access import AtWork, Viewer
from vlm_inspect.service.gate import REPORT_POLICY
from vlm_inspect.service.station import Station
from vlm_inspect.store import Case

router = APIRouter(prefix="/v1/inspections/{case_id}", tags=["inspections"])
Number = Annotated[int, PathPart(ge=0, le=10_000)]
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}
"""A case never changes, and neither do its pictures."""
_PNG: dict[int | str, dict[str, object]] = {200: {"content": {"image/png": {}}}, 404: {"description": "None."}}


@router.get("/overlay.png", responses=_PNG, response_class=Response)
def get_overlay(case_id: str, station: AtWork, person: Viewer) -> Response:
    """Return the views, their heat and the marks on one sheet."""
    del person
    from vlm_inspect.report.rendering import overlay_png

    return _png(overlay_png(station.store.load(case_id).examination))


@router.get("/report.html", response_class=Response)
def get_report(case_id: str, station: AtWork, person: Viewer) -> Response:
    """Return the self-contained report."""
    del person
    from vlm_inspect.report.rendering import html_page

    page = html_page(station.store.load(case_id).examination).decode()
    told = station.path_free.text(page).encode()
    return Response(told, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})


@router.get("/views/{number}.png", responses=_PNG, response_class=Response)
def get_view(case_id: str, number: Number, station: AtWork, person: Viewer) -> Response:
    """Return one view."""
    del person
    case = _with_view(station, case_id, number)
    return _png(encode_png(case.views[number].image))


@router.get("/views/{number}/{layer}.png", responses=_PNG, response_class=Response)
def get_layer(
    case_id: str, number: Number, layer: Literal["heat", "reference"], station: AtWork, person: Viewer
) -> Response:
    """Return what lies over a view, or beside it: its heat (RGBA), or the same view of the nearest reference."""
    del person
    case = _with_view(station, case_id, number)
    draw: Callable[[Case, int], bytes | None] = _heat if layer == "heat" else _reference
    content = draw(case, number)
    if content is None:
        raise HTTPException(404, f"view {number} has no {layer}")
    return _png(content)


@router.get("/scan.ply", response_class=Response)
def get_scan(case_id: str, station: AtWork, person: Viewer) -> Response:
    """Return the scan coloured by its deviation."""
    del person
    found = station.store.find(case_id)
    try:
        content = station.judges.scan_path(found).read_bytes()
    except OSError as error:
        raise HTTPException(404, "this case has no scan that was compared with others") from error
    name = {"Content-Disposition": f'attachment; filename="{found}.ply"'}
    return Response(content, media_type="application/octet-stream", headers={**_KEEP, **name})


@router.get("/pictures/{name}", responses=_PNG, response_class=Response)
def get_picture(case_id: str, name: str, station: AtWork, person: Viewer) -> Response:
    """Return a picture of the talk over a case."""
    del person
    if all(name not in turn.pictures for turn in station.store.turns(case_id)):
        raise HTTPException(404, "no picture of this name in the talk")
    return _png(encode_png(station.store.picture(name)))


@router.get("/thumbnail.jpg", response_class=Response)
def get_thumbnail(case_id: str, station: AtWork, person: Viewer) -> Response:
    """Return the most telling view with its heat, small."""
    del person
    case = station.store.load(case_id)
    return Response(thumbnail(case), media_type="image/jpeg", headers=_KEEP)


def thumbnail(case: Case) -> bytes:
    """Return the most telling view of a case with its heat as JPEG, at most 320 x 240 pixels."""
    import numpy as np
    from PIL import Image

    from vlm_inspect.report.heat import blend, heat_of_view
    from vlm_inspect.report.marks import rank_views

    index = rank_views(case.inspection, case.views, case.evidence)[0]
    heat = heat_of_view(case.evidence, index)
    picture = case.views[index].image if heat is None else blend(case.views[index].image, heat)
    small = Image.fromarray(picture)
    small.thumbnail((320, 240))
    return encode_jpeg(np.asarray(small))


def _with_view(station: Station, case_id: str, number: int) -> Case:
    case = station.store.load(case_id)
    if number >= len(case.inspection.views):
        raise HTTPException(404, f"the case has no view {number}")
    return case


def _heat(case: Case, number: int) -> bytes | None:
    from vlm_inspect.report.heat import colour_levels, heat_of_view

    heat = heat_of_view(case.evidence, number)
    return None if heat is None else encode_png(colour_levels(heat.level, calibrated=heat.calibrated))


def _reference(case: Case, number: int) -> bytes | None:
    """Return the view of the reference that most regions are nearest to; where there is none, of the first shown."""
    matches = [region.match for region in case.evidence.regions if region.view == number and region.match]
    order = [*dict.fromkeys(match.reference for match in matches), *range(len(case.references))]
    key = case.views[number].key
    for index in order:
        views = case.references[index] if index < len(case.references) else ()
        for view in views:
            if view.key == key:
                return encode_png(view.image)
    return None


def _png(content: bytes) -> Response:
    return Response(content, media_type="image/png", headers=_KEEP)
