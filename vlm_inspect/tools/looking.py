"""Looking closer at a view: a box at full resolution, beside the references, under a heatmap."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from converters.sample import ImageSample, PointCloud, Series, VideoClip
from converters.view import BoxXyxy, BoxXyxyn, View
from vlm_inspect.citation import cite
from vlm_inspect.errors import StoreError
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.localization.subject import subject_of
from vlm_inspect.prompting.encoding import fit_size, shrink
from vlm_inspect.prompting.marks import crop_around, enlarge, place_side_by_side
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.tools.arguments import Compare, Heatmap, Zoom
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.result import Picture, ToolError, ToolResult

SHOWN_SIDE = 768
"""Longest side of a zoomed picture in pixels."""
PANEL_SIDE = 384
BY_WORDS = "dapo"
"""Who makes a map for words, where no other is named."""
_CONTEXT = 0.15
"""Surroundings of a zoomed box on each side, as a share of its longest side."""


def zoom(material: Material, wanted: Zoom) -> ToolResult:
    """Cut a box out of what was inspected, at full resolution; from the view where the file is gone."""
    box = material.box(wanted.view, wanted.box)
    view = material.view(wanted.view)
    try:
        picture, how = _at_full_resolution(material, view, box)
    except (ToolError, StoreError) as error:
        picture, how = _from_view(view, box), f"cut out of the view as it was shown: {error}"
    heat = heat_words(material.case.evidence, wanted.view, box)
    text = f"{cite(wanted.view, box)} {view.label}: {how}."
    return ToolResult(f"{text} {heat}".strip(), (picture,))


def compare(material: Material, wanted: Compare) -> ToolResult:
    """Show a box beside the same place of the nearest references."""
    box = material.box(wanted.view, wanted.box)
    view = material.view(wanted.view)
    found = list(_same_places(material, wanted.view, box))[: wanted.references]
    if not found:
        raise ToolError(
            f"no reference picture compares with view {wanted.view}, so there is nothing to hold it against"
        )
    own, side = crop_around(view.image, box)
    panels = [(enlarge(own, PANEL_SIDE), "this part")]
    for reference, twin, place in found:
        scale = twin.size_hw[1] / view.size_hw[1]
        same, _ = crop_around(twin.image, place, max(8, round(side * scale)))
        panels.append((enlarge(same, PANEL_SIDE), f"reference {reference + 1}"))
    names = ", ".join(str(reference + 1) for reference, _, _ in found)
    heat = heat_words(material.case.evidence, wanted.view, box)
    text = f"{cite(wanted.view, box)} beside the same place of reference {names} (nearest first). {heat}"
    return ToolResult(text.strip(), (place_side_by_side(panels),))


def show_heatmap(material: Material, wanted: Heatmap) -> ToolResult:
    """Lay a heatmap over a view: one of the record, or of a localizer that is asked now."""
    from vlm_inspect.report.heat import blend, heat_of_view

    view = material.view(wanted.view)
    evidence = material.case.evidence
    maps = [one for one in evidence.maps if one.view == wanted.view and wanted.localizer in (None, one.source)]
    if wanted.words:
        maps = _made_now(material, wanted.view, wanted.localizer or BY_WORDS, wanted.words)
    elif not maps:
        if wanted.localizer is None:
            raise ToolError(f"view {wanted.view} has no heatmap in the record; name a localizer to make one")
        maps = _made_now(material, wanted.view, wanted.localizer)
    heat = heat_of_view(Evidence(maps=tuple(maps)), wanted.view)
    if heat is None:
        raise ToolError(f"{wanted.localizer} makes no heatmap of view {wanted.view}: no reference compares with it")
    words = [_map_words(one) for one in maps]
    text = f"Heatmap over view {wanted.view} ({view.label}). {' '.join(words)}"
    picture = blend(view.image, heat)
    return ToolResult(text, (shrink(picture, fit_size(view.size_hw, SHOWN_SIDE)),))


def heat_words(evidence: Evidence, view: int, box_xyxyn: BoxXyxyn) -> str:
    """Say how hot a box is on each map of its view."""
    said = []
    for one in evidence.maps:
        if one.view != view:
            continue
        inside = _window(one.values, box_xyxyn)
        peak = float(inside.max(initial=0.0))
        unit = f" {one.unit}" if one.unit else ""
        limit = one.tolerance_of_places
        against = "uncalibrated" if limit is None else f"limit {limit.limit:.3g}{unit}"
        said.append(f"{one.source} peak there {peak:.3g}{unit}, {against}")
    return f"Heat: {'; '.join(said)}." if said else ""


def _at_full_resolution(material: Material, view: View, box: BoxXyxyn) -> tuple[Picture, str]:
    sample = material.sample
    if isinstance(sample, ImageSample):
        place = view.origin.locate(box)
        if place.source_xyxy is None:
            raise ToolError("the place of this view on the image is not kept")
        return _cut(sample.pages[place.page or 0], place.source_xyxy)
    if isinstance(sample, PointCloud):
        from vlm_inspect.tools.scan_looks import zoom_scan

        return zoom_scan(sample, view, box)
    from vlm_inspect.tools.clip_looks import zoom_clip, zoom_series

    if isinstance(sample, VideoClip):
        index, frame, place_xyxy = zoom_clip(sample, view, box)
        picture, how = _cut(frame, place_xyxy)
        return picture, f"frame {index}, {how}"
    if isinstance(sample, Series) and view.kind == "plot":
        return zoom_series(sample, view, box)
    raise ToolError("this kind of view is drawn, not photographed")


def _cut(image: Picture, place_xyxy: BoxXyxy) -> tuple[Picture, str]:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = place_xyxy
    margin = _CONTEXT * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
    right, bottom = min(width, int(np.ceil(x1 + margin))), min(height, int(np.ceil(y1 + margin)))
    cut = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    how = f"pixels {left}, {top} to {right}, {bottom} of {width} x {height}"
    return _fitted(np.ascontiguousarray(cut)), how


def _from_view(view: View, box: BoxXyxyn) -> Picture:
    height, width = view.size_hw
    inside = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    return _cut(view.image, inside)[0]


def _fitted(picture: Picture) -> Picture:
    """Enlarge what is small, shrink what is larger than a model sees."""
    if max(picture.shape[:2]) < SHOWN_SIDE:
        return enlarge(picture, SHOWN_SIDE)
    return shrink(picture, fit_size(picture.shape[:2], SHOWN_SIDE))


def _same_places(material: Material, number: int, box: BoxXyxyn) -> Iterator[tuple[int, View, BoxXyxyn]]:
    """Yield reference, its view and the box there: first those that match the box best, then the rest in order."""
    view, references = material.view(number), material.references
    seen: set[int] = set()
    shares_axes = material.kind in {"point_cloud", "series"}  # a pixel is the same place on every sample
    for reference, twin, centre in _matched(material.case.evidence.maps, number, box):
        if reference in seen or not reference < len(references) or not twin < len(references[reference]):
            continue
        seen.add(reference)
        yield reference, references[reference][twin], box if shares_axes else _moved(box, centre)
    for reference, views in enumerate(references):
        alike = next((other for other in views if other.key == view.key), None)
        if reference not in seen and alike is not None:
            yield reference, alike, box


def _matched(maps: Sequence[AnomalyMap], view: int, box: BoxXyxyn) -> Iterator[tuple[int, int, tuple[float, float]]]:
    """Yield reference, its view and the centre there, the most frequent match inside the box first."""
    for one in maps:
        if one.view != view or one.matches is None:
            continue
        cells = _window(one.matches, box).reshape(-1, 4)
        known = cells[~np.isnan(cells).any(axis=1)]
        counted = Counter((int(cell[0]), int(cell[1])) for cell in known)
        for (reference, twin), _ in counted.most_common():
            own = known[(known[:, 0] == reference) & (known[:, 1] == twin)]
            yield reference, twin, (float(np.median(own[:, 2])), float(np.median(own[:, 3])))


def _moved(box: BoxXyxyn, centre_xyn: tuple[float, float]) -> BoxXyxyn:
    half_w, half_h = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    x, y = centre_xyn
    moved = (x - half_w, y - half_h, x + half_w, y + half_h)
    return cast("BoxXyxyn", tuple(min(1.0, max(0.0, value)) for value in moved))


def _window(values: NDArray[np.float32], box: BoxXyxyn) -> NDArray[np.float32]:
    height, width = values.shape[:2]
    top, left = int(box[1] * height), int(box[0] * width)
    bottom, right = int(np.ceil(box[3] * height)), int(np.ceil(box[2] * width))
    return values[top : max(bottom, top + 1), left : max(right, left + 1)]


def _map_words(one: AnomalyMap) -> str:
    unit = f" {one.unit}" if one.unit else ""
    peak = float(one.values.max(initial=0.0))
    limit = one.tolerance_of_places
    if limit is None:
        return f"{one.source}: uncalibrated, peak {peak:.3g}{unit}."
    return f"{one.source}: peak {peak:.3g}{unit}, limit {limit.limit:.3g}{unit}."


def _made_now(material: Material, view: int, name: str, words: Sequence[str] = ()) -> list[AnomalyMap]:
    from vlm_inspect.localization import load_localizer

    localizer = load_localizer(name)
    if localizer is None:
        raise ToolError("none makes no heatmap")
    if material.kind not in localizer.kinds:
        raise ToolError(f"{name} makes no heatmap of a {material.kind.replace('_', ' ')}")
    known = ReferenceSet.of_views([views for views in material.references if views])
    subject = subject_of(material.rules)
    if words:
        subject = replace(subject, defects=tuple(words))
    found = localizer.fit(known, subject).localize(Part(None, tuple(material.views)))
    return [one for one in found.maps if one.view == view]
