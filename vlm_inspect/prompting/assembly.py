"""`build_request`: walk through the blocks of a template, fill them, and put the pictures between them."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn, View
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.box_conventions import BoxConvention, BoxFrame, usual_convention
from vlm_inspect.backends.messages import PICTURE_LABELS, PICTURE_ROLES, PictureRole, digest_messages
from vlm_inspect.errors import PromptError
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.prompting.encoding import EncodedImage, encode, encode_view, fit_size, form_of, shrink
from vlm_inspect.prompting.facts import (
    Facts,
    ShownReferences,
    choose_references,
    class_facts,
    evidence_facts,
    kind_facts,
    view_facts,
)
from vlm_inspect.prompting.labels import sent_labels
from vlm_inspect.prompting.marks import crop_around, draw_marks, enlarge, place_side_by_side
from vlm_inspect.prompting.point_text import point_facts
from vlm_inspect.prompting.template import ALL_INGREDIENTS, Block, Ingredient, Template, look_of
from vlm_inspect.rules import RuleBook

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


@dataclass(frozen=True)
class PromptLimits:
    """How many pictures a prompt may hold, how large they are, and how boxes and texts are written."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, where a file sets these
    max_side: int = 1024
    """Longest side of a picture in pixels."""
    references: int = 4
    reference_views: int = 12
    """Pictures of references in all: a scan of six views shows two references."""
    regions: int = 6
    """Marks, the hottest first."""
    crops: int = 3
    """Zoomed marks, the hottest first."""
    detail: Literal["auto", "low", "high"] = "high"
    """How closely the server shall look, where it offers a choice; "low" also sends one tile a picture."""
    pictures: int | None = None
    """Pictures in all: zoomed marks, marks, then references but one give way. None: as many as there are."""
    boxes: BoxConvention | None = None
    """How the model writes boxes; None: as the contract says, per mille."""
    language: str | None = None
    """What the texts of the answer are written in; None: the language of the question."""
    calibrated: bool = False
    """Whether a calibration file says what the scores of normal parts reach."""

    @property
    def sent_side(self) -> int:
        """Longest side of a picture as it is sent, in pixels."""
        return min(self.max_side, 512) if self.detail == "low" else self.max_side

    @property
    def crop_side(self) -> int:
        """Longest side of one half of a zoomed picture in pixels; at "low" detail both halves fit into one tile."""
        return 240 if self.detail == "low" else 384


DEFAULT_LIMITS = PromptLimits()


@dataclass(frozen=True, eq=False)
class _Item:
    """One round of a block with `each`: values for its text, and the picture that follows it."""

    values: Facts
    picture: EncodedImage
    label: str
    role: PictureRole


@dataclass(frozen=True, eq=False)
class _Material:
    """What the blocks draw their items from."""

    template: Template
    views: Sequence[View]
    labels: Sequence[str]
    """Of the views, as they are sent."""
    references: Sequence[Sequence[View]]
    shown: ShownReferences
    regions: Mapping[int, Region]
    limits: PromptLimits


def build_request(
    template: Template,
    views: Sequence[View],
    rules: RuleBook,
    references: Sequence[Sequence[View]],
    evidence: Evidence,
    question: str | None,
    *,
    ingredients: frozenset[Ingredient] = ALL_INGREDIENTS,
    limits: PromptLimits = DEFAULT_LIMITS,
) -> Request:
    """Put everything that the model shall see into messages; the same input gives the same bytes.

    Args:
        template: from `load_template`.
        views: the views of the part; their position is their number in the answer.
        rules: what normal means.
        references: for every reference, its views.
        evidence: what was measured; its view and reference numbers count in `views` and `references`.
        question: the user's own words, or None.
        ingredients: blocks of other ingredients are left out.
        limits: numbers and sizes of the pictures.

    Raises:
        PromptError: no view, a question that the template has no place for, or a variable without a value.
    """
    question = (question or "").strip() or None
    if not views:
        raise PromptError("there is no view to show to the model")
    if question and not template.takes_question:
        raise PromptError(f"template {template.task} has no place for a question; leave it out or use inspect")
    points = point_facts(views) if template.shows_points else None
    if template.shows_points and points is None:
        raise PromptError(f"template {template.task} shows the points of a scan, and this part is none; use inspect")
    regions = dict(enumerate(evidence.regions[: limits.regions], start=1))
    limits = _within_pictures(limits, template, len(views), evidence.regions, ingredients)
    shown = _shown_references(template, references, ingredients, limits)
    labels = sent_labels(views, limits.sent_side)
    material = _Material(template, views, labels, references, shown, regions, limits)
    frame = box_frame(views, limits if template.states_boxes else replace(limits, boxes=None))
    looks = {look_of(view) for view in views}
    known_looks = {look_of(view) for _, view in shown.pictures} or looks
    values = {
        **class_facts(rules),
        "kinds": kind_facts(template.words, known_looks),
        "further_kinds": kind_facts(template.words, looks - known_looks),
        "reference_count": shown.count,
        "references_shown": shown.shown,
        "reference_views_left_out": shown.views_left_out,
        "views": [view_facts(template.words, view, i, labels[i]) for i, view in enumerate(views)],
        **evidence_facts(evidence, regions, views, frame),
        "points": points,
        "reference_points": _reference_points(template, references, shown),
        "question": question,
        "language": limits.language,
        "calibrated": limits.calibrated,
        "box": {"key": frame.convention.key, "form": frame.convention.form, "words": frame.convention.words},
    }
    blocks = [
        b
        for b in template.blocks
        if (b.ingredient is None or b.ingredient in ingredients)
        and (b.each not in ("marked_views", "crops") or (limits.regions if b.each == "marked_views" else limits.crops))
    ]
    messages = _messages(blocks, material, values)
    return Request(
        messages=messages,
        answer_schema=with_boxes(template.answer_schema, frame.convention),
        boxes=frame,
        views=tuple(views),
        rules=rules,
        evidence=evidence,
        question=question,
        language=limits.language,
        prompt_sha256=digest_messages(messages),
    )


def _reference_points(
    template: Template, references: Sequence[Sequence[View]], shown: ShownReferences
) -> list[dict[str, Any]]:
    if not template.shows_points:
        return []
    return [facts for views in references[: shown.shown] if (facts := point_facts(views)) is not None]


def _shown_references(
    template: Template,
    references: Sequence[Sequence[View]],
    ingredients: frozenset[Ingredient],
    limits: PromptLimits,
) -> ShownReferences:
    if Ingredient.REFERENCES not in ingredients:
        return ShownReferences((), 0, 0, 0)
    most = min(limits.references, template.max_references or limits.references)
    return choose_references(references, max_references=most, max_views=limits.reference_views)


def _within_pictures(
    limits: PromptLimits,
    template: Template,
    views: int,
    regions: Sequence[Region],
    ingredients: frozenset[Ingredient],
) -> PromptLimits:
    """Return limits under which a request holds as few pictures as allowed; the views of the part are always sent.

    Zoomed marks give way first, then the copies with marks, then references but one picture.
    """
    if limits.pictures is None:
        return limits
    used = regions[: limits.regions]
    marked = len({region.view for region in used}) if Ingredient.EVIDENCE_MARKS in ingredients else 0
    crops = min(limits.crops, len(used)) if Ingredient.EVIDENCE_CROPS in ingredients else 0
    wanted = limits.reference_views if Ingredient.REFERENCES in ingredients else 0
    room = limits.pictures - views
    known = min(wanted, max(room, 1)) if wanted else 0
    room -= known
    marks = limits.regions if marked <= room else 0
    room -= marked if marks else 0
    return replace(limits, reference_views=known, regions=marks, crops=min(crops, max(0, room)))


def box_frame(views: Sequence[View], limits: PromptLimits) -> BoxFrame:
    """Return how boxes are written in a prompt of these limits, and in the answer to it."""
    return BoxFrame(limits.boxes or usual_convention(), tuple(fit_size(one.size_hw, limits.sent_side) for one in views))


def with_boxes(schema: Mapping[str, Any], convention: BoxConvention) -> dict[str, Any]:
    """Return the schema of an answer with its boxes as a convention writes them."""
    changed = copy.deepcopy(dict(schema))
    defect = changed.get("properties", {}).get("defects", {}).get("items", {})
    if "box" not in defect.get("properties", {}):
        return changed
    numbers = {"fraction": ("number", 1), "per_mille": ("integer", 1000), "pixels": ("integer", _MOST_PIXELS)}
    kind, most = numbers[convention.unit]
    box = {**defect["properties"]["box"], "items": {"type": kind, "minimum": 0, "maximum": most}}
    defect["properties"] = {
        (convention.key if name == "box" else name): (box if name == "box" else part)
        for name, part in defect["properties"].items()
    }
    return changed


_MOST_PIXELS = 4096
"""No picture is sent with a longer side."""


def _messages(blocks: Sequence[Block], material: _Material, values: Facts) -> "tuple[BaseMessage, ...]":
    from langchain_core.messages import HumanMessage, SystemMessage

    fill = material.template.fill
    told = [fill(block.text, values) for block in blocks if block.role == "system"]
    content: list[str | dict[Any, Any]] = []
    labels: list[str] = []
    roles: list[PictureRole] = []
    for block in blocks:
        if block.role == "system":
            continue
        if block.each is None:
            content += [{"type": "text", "text": text} for text in [fill(block.text, values)] if text]
            continue
        for item in _ITEMS[block.each](material):
            content.append({"type": "text", "text": fill(block.text, {**values, **item.values})})
            content.append(_image_block(item.picture, material.limits.detail))
            labels.append(item.label)
            roles.append(item.role)
    human = HumanMessage(content=content, additional_kwargs={PICTURE_LABELS: labels, PICTURE_ROLES: roles})
    return (SystemMessage(content="\n\n".join(told)), human) if told else (human,)


def _image_block(picture: EncodedImage, detail: str) -> dict[Any, Any]:
    return {"type": "image_url", "image_url": {"url": picture.data_url, "detail": detail}}


def _reference_items(material: _Material) -> Iterator[_Item]:
    words = material.template.words
    for number, view in material.shown.pictures:
        (label,) = sent_labels([view], material.limits.sent_side)
        values = {"reference": number, "view": view_facts(words, view, None, label)}
        yield _Item(
            values, encode_view(view, material.limits.sent_side), f"reference {number}: {view.label}", "reference"
        )


def _view_items(material: _Material) -> Iterator[_Item]:
    words, sides = material.template.words, _plain_sides(material.views, material.regions.values())
    for index, view in enumerate(material.views):
        picture = encode_view(view, material.limits.sent_side)
        facts = view_facts(words, view, index, material.labels[index])
        yield _Item({"view": facts}, picture, view.label, "side" if index in sides else "view")


def _plain_sides(views: Sequence[View], regions: Iterable[Region]) -> frozenset[int]:
    """Return which views a small request can spare: of a scan whose deviations are drawn, sides without a mark."""
    if not any(view.kind == "deviation" for view in views):
        return frozenset()
    marked = {region.view for region in regions}
    return frozenset(
        i
        for i, view in enumerate(views)
        if i not in marked and view.key.partition("/")[0] in {"depth", "shaded", "normals"}
    )


def _marked_items(material: _Material) -> Iterator[_Item]:
    words = material.template.words
    for index, view in enumerate(material.views):
        marks = {number: r for number, r in material.regions.items() if r.view == index}
        if marks:
            small = shrink(view.image, fit_size(view.size_hw, material.limits.sent_side))
            drawn = draw_marks(small, [(number, r.box_xyxyn) for number, r in marks.items()])
            values = {"view": view_facts(words, view, index, material.labels[index]), "marks": list(marks)}
            label = f"{view.label}, marks {', '.join(map(str, marks))}"
            yield _Item(values, encode(drawn, form_of(view)), label, "marks")


def _crop_items(material: _Material) -> Iterator[_Item]:
    template = material.template
    for number, region in list(material.regions.items())[: material.limits.crops]:
        view = material.views[region.view]
        crop, side = crop_around(*picture_of(view, region.box_xyxyn))
        side_px = material.limits.crop_side
        panels = [(enlarge(crop, side_px), template.fill(template.words.captions.part, {"number": number}))]
        reference = None
        if region.match and (twin := _matching_view(material, region)) is not None:
            reference = region.match.reference + 1
            same, _ = crop_around(*picture_of(twin, region.match.box_xyxyn), side)
            panels.append(
                (enlarge(same, side_px), template.fill(template.words.captions.reference, {"reference": reference}))
            )
        facts = view_facts(template.words, view, region.view, material.labels[region.view])
        values = {"mark": number, "view": facts, "reference": reference}
        yield _Item(values, encode(place_side_by_side(panels), form_of(view)), f"mark {number}, zoomed", "crop")


def picture_of(view: View, box_xyxyn: BoxXyxyn) -> tuple[NDArray[np.uint8], BoxXyxyn]:
    """Return the picture that a box lies in, and the box on it: the cell of a frame grid, else the whole view.

    The cells beside one show other moments, not surroundings.
    """
    height, width = view.size_hw
    sides = (width, height, width, height)
    x0, y0, x1, y1 = (side * share for side, share in zip(sides, box_xyxyn, strict=True))
    for pane in view.panes if view.kind == "frames" else ():
        left, top, right, bottom = pane.box_xyxy
        if left <= (x0 + x1) / 2 < right and top <= (y0 + y1) / 2 < bottom:
            wide, high = right - left, bottom - top
            inside = ((x0 - left) / wide, (y0 - top) / high, (x1 - left) / wide, (y1 - top) / high)
            return view.image[top:bottom, left:right], cast("BoxXyxyn", tuple(min(1.0, max(0.0, s)) for s in inside))
    return view.image, box_xyxyn


def _matching_view(material: _Material, region: Region) -> View | None:
    """The reference view of the match; None where references are switched off, or it is not there."""
    match = region.match
    if match is None or not material.shown.count or not 0 <= match.reference < len(material.references):
        return None
    views = material.references[match.reference]
    return views[match.view] if 0 <= match.view < len(views) else None


_ITEMS: dict[str, Callable[[_Material], Iterator[_Item]]] = {
    "references": _reference_items,
    "views": _view_items,
    "marked_views": _marked_items,
    "crops": _crop_items,
}
