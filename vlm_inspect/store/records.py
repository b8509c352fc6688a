"""What a case rests on, as JSON: views, references, evidence, opinion, thresholds, settings.

Text enters a program again here, so that pydantic reads it: a record that is damaged or of another form is an error,
never a wrong number. Floats keep every digit; arrays are files.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from converters.view import BoxXyxyn, Pane, View, ViewKind
from vlm_inspect.backends.backend import Reply
from vlm_inspect.clip_windows import ClipWindow
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.enlargement import Enlargement
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, Phrases, Region, TypeMap, WordedMaps
from vlm_inspect.looks.look import HotPlace, Look, Phase, Refutation, Seen
from vlm_inspect.prompting.assembly import PromptLimits
from vlm_inspect.safe_text import path_text
from vlm_inspect.sensitivity.standing import Standing
from vlm_inspect.store.files import Arrays, Bundle, FileFolder
from vlm_inspect.store.origins import pack_origins, unpack_origin
from vlm_inspect.tolerance import Tolerance
from vlm_inspect.verdict import Verdict

_SURROGATES = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\ud[89a-f][0-9a-f]{2}")
"""What JSON in ASCII may hold: an escaped backslash, both halves of a character, or one alone."""
REPLY = TypeAdapter(Reply)
REPLIES = TypeAdapter(tuple[Reply, ...])
MESSAGES = TypeAdapter(tuple[dict[str, Any], ...])
Causes = Literal["empty", "refusal", "truncated", "unreadable"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ViewEntry(_Entry):
    """One view: its picture and mask are files."""

    picture: str
    mask: str | None
    kind: ViewKind
    label: str
    key: str
    panes: tuple[Pane, ...]
    origin: dict[str, Any]


class MapEntry(_Entry):
    """One anomaly map: its values, matches and types are arrays of one file."""

    view: int
    arrays: str
    score: float
    source: str
    unit: str
    tolerance: Tolerance | None
    peak_tolerance: Tolerance | None
    nearest_reference: int | None
    type_words: tuple[str, ...] | None
    type_names: bool = True
    """Whether places may be called by them; true in records of versions that called all places."""
    phrases: Phrases | None = None
    """None too in records of versions that kept them as a note alone."""
    notes: tuple[str, ...]
    normal_scores: tuple[float, ...]
    normal_peaks: tuple[float, ...]


class WordedEntry(_Entry):
    """The maps that were made again with words that were said of the part."""

    words: tuple[str, ...]
    maps: tuple[MapEntry, ...]
    regions: tuple[Region, ...]
    notes: tuple[str, ...]


class EvidenceEntry(_Entry):
    """The evidence, its maps as entries."""

    maps: tuple[MapEntry, ...]
    regions: tuple[Region, ...]
    measurements: tuple[Measurement, ...]
    reference_count: int
    localizer: str
    notes: tuple[str, ...]
    mismatch: str = ""
    incomplete: bool = False
    standing: Standing | None = None
    worded: WordedEntry | None = None
    """None too in records of versions that made no such maps."""


class OpinionEntry(_Entry):
    """The verdict, or why there is none."""

    verdict: Verdict | None = None
    failure: str = ""
    cause: Causes = "unreadable"
    reply_text: str = ""


class EnlargementEntry(_Entry):
    """One place that a second look shows closer: its pictures are files."""

    view: int
    box_xyxyn: BoxXyxyn
    reasons: tuple[tuple[str, dict[str, Any]], ...]
    picture: str
    from_source: bool
    reference: int | None
    twin: str | None


class LookFacts(_Entry):
    """What a look was for, and what it showed; the defaults are those of records that do not say."""

    phase: Phase = "judge"
    tool: str | None = None
    arguments: dict[str, Any] = {}
    saw: tuple[Seen, ...] = ()
    said: str = ""
    note: str = ""
    elapsed_s: float = 0.0
    refutation: Refutation = "off"
    places: tuple[HotPlace, ...] = ()
    by_refuter: bool = False
    window: ClipWindow | None = None


class LookEntry(_Entry):
    """A look other than the one that decided: what was asked and answered."""

    prompt_sha256: str
    """Empty where no model was asked; likewise `prompt` and `messages`."""
    prompt: str
    messages: tuple[dict[str, Any], ...]
    replies: tuple[Reply, ...]
    opinion: OpinionEntry | None
    """None: it gave no verdict."""
    facts: LookFacts = LookFacts()
    enlargements: tuple[EnlargementEntry, ...]


class InputFile(_Entry):
    """One inspected file, kept: its own name, and that in the folder of files."""

    name: str
    file: str


class CaseRecord(_Entry):
    """All that a case rests on but its rule book, request and replies."""

    views: tuple[ViewEntry, ...]
    references: tuple[tuple[ViewEntry, ...], ...]
    """Empty for a reference that the prompt does not show."""
    evidence: EvidenceEntry
    opinion: OpinionEntry
    thresholds: Thresholds
    template: str
    limits: PromptLimits
    notes: tuple[str, ...]
    enlargements: tuple[EnlargementEntry, ...]
    """Of the last look."""
    earlier_looks: tuple[LookEntry, ...]
    facts: LookFacts = LookFacts()
    """Of the last look, the one that decided; its request and replies are columns of the case's row."""
    rules_folder: str
    inputs: tuple[InputFile, ...]
    """Empty where the input is not kept."""
    input_is_folder: bool
    settings: dict[str, Any]


def to_json(value: object) -> str:
    """Return JSON of plain values, dataclasses, pydantic objects and numpy scalars.

    Bytes of file names that are no UTF-8 are kept as in `path_text`: a half of a character is no JSON that others read.
    """
    return _SURROGATES.sub(_without_halves, json.dumps(value, default=_plain))


def _without_halves(found: re.Match[str]) -> str:
    if len(found[0]) != len(r"\udce9"):
        return found[0]  # an escaped backslash, or both halves of a character
    return json.dumps(path_text(json.loads(f'"{found[0]}"')))[1:-1]


def pack_views(views: Sequence[View], bundle: Bundle) -> list[dict[str, Any]]:
    """Return the views of a part as entries; pictures, masks and origins go into the bundle."""
    origins = pack_origins(views, bundle)
    return [_pack_view(view, origin, bundle) for view, origin in zip(views, origins, strict=True)]


def pack_references(
    references: Sequence[Sequence[View]], evidence: Evidence, limits: PromptLimits, bundle: Bundle
) -> list[list[dict[str, Any]]]:
    """Return the references as entries: whole where the prompt may show them, empty elsewhere.

    The prompt shows the first few, and those that match a region best; a dialogue asks for the nearest ones.
    """
    wanted = set(range(limits.references))
    wanted |= {region.match.reference for region in evidence.regions if region.match is not None}
    wanted |= {one.nearest_reference for one in evidence.maps if one.nearest_reference is not None}
    return [
        [_pack_view(view, {"kind": "unknown"}, bundle) for view in views] if number in wanted else []
        for number, views in enumerate(references)
    ]


def unpack_view(entry: ViewEntry, files: FileFolder) -> View:
    """Return the view.

    Raises:
        StoreError: one of its files is gone or damaged.
    """
    return View(
        image=files.picture(entry.picture),
        kind=entry.kind,
        label=entry.label,
        origin=unpack_origin(entry.origin, files),
        key=entry.key,
        mask=None if entry.mask is None else files.picture(entry.mask),
        panes=entry.panes,
    )


def pack_evidence(evidence: Evidence, bundle: Bundle) -> dict[str, Any]:
    """Return the evidence as an entry; its arrays go into the bundle."""
    return {
        "maps": [_pack_map(one, bundle) for one in evidence.maps],
        "regions": evidence.regions,
        "measurements": evidence.measurements,
        "reference_count": evidence.reference_count,
        "standing": evidence.standing,
        "localizer": evidence.localizer,
        "notes": evidence.notes,
        "mismatch": evidence.mismatch,
        "incomplete": evidence.incomplete,
        "worded": None if evidence.worded is None else _pack_worded(evidence.worded, bundle),
    }


def unpack_evidence(entry: EvidenceEntry, files: FileFolder) -> Evidence:
    """Return the evidence.

    Raises:
        StoreError: a file of its maps is gone or damaged.
    """
    return Evidence(
        maps=tuple(_unpack_map(one, files) for one in entry.maps),
        regions=entry.regions,
        measurements=entry.measurements,
        reference_count=entry.reference_count,
        standing=entry.standing,
        localizer=entry.localizer,
        notes=entry.notes,
        mismatch=entry.mismatch,
        incomplete=entry.incomplete,
        worded=None if entry.worded is None else _unpack_worded(entry.worded, files),
    )


def pack_enlargements(enlargements: Sequence[Enlargement], bundle: Bundle) -> list[dict[str, Any]]:
    """Return what a look shows closer as entries; the pictures go into the bundle."""
    return [
        {
            "view": one.view,
            "box_xyxyn": one.box_xyxyn,
            "reasons": [(key, dict(values)) for key, values in one.reasons],
            "picture": bundle.add_picture(one.picture),
            "from_source": one.from_source,
            "reference": one.reference,
            "twin": None if one.twin is None else bundle.add_picture(one.twin),
        }
        for one in enlargements
    ]


def unpack_enlargement(entry: EnlargementEntry, files: FileFolder) -> Enlargement:
    """Return what a look shows closer.

    Raises:
        StoreError: one of its pictures is gone or damaged.
    """
    return Enlargement(
        view=entry.view,
        box_xyxyn=entry.box_xyxyn,
        reasons=entry.reasons,
        picture=files.picture(entry.picture),
        from_source=entry.from_source,
        reference=entry.reference,
        twin=None if entry.twin is None else files.picture(entry.twin),
    )


def pack_facts(look: Look) -> dict[str, Any]:
    """Return what a look was for and what it showed, as an entry."""
    return {name: getattr(look, name) for name in LookFacts.model_fields}


def pack_opinion(opinion: Verdict | ParseError) -> dict[str, Any]:
    """Return the verdict, or the reason why there is none, as an entry."""
    if isinstance(opinion, Verdict):
        return {"verdict": opinion}
    return {"failure": str(opinion), "cause": opinion.cause, "reply_text": opinion.reply_text}


def unpack_opinion(entry: OpinionEntry) -> Verdict | ParseError:
    """Return the verdict, or the reason why there is none."""
    if entry.verdict is not None:
        return entry.verdict
    return ParseError(entry.failure, reply_text=entry.reply_text, cause=entry.cause)


def _pack_view(view: View, origin: dict[str, Any], bundle: Bundle) -> dict[str, Any]:
    return {
        "picture": bundle.add_picture(view.image),
        "mask": None if view.mask is None else bundle.add_picture(view.mask),
        "kind": view.kind,
        "label": view.label,
        "key": view.key,
        "panes": view.panes,
        "origin": origin,
    }


def _pack_map(one: AnomalyMap, bundle: Bundle) -> dict[str, Any]:
    arrays: dict[str, Any] = {"values": one.values}
    if one.matches is not None:
        arrays["matches"] = one.matches
    if one.types is not None:
        arrays["types"] = one.types.values
    return {
        "view": one.view,
        "arrays": bundle.add_arrays(arrays),
        "score": one.score,
        "source": one.source,
        "unit": one.unit,
        "tolerance": one.tolerance,
        "peak_tolerance": one.peak_tolerance,
        "nearest_reference": one.nearest_reference,
        "type_words": None if one.types is None else one.types.words,
        "type_names": one.types is None or one.types.names,
        "phrases": one.phrases,
        "notes": one.notes,
        "normal_scores": one.normal_scores,
        "normal_peaks": one.normal_peaks,
    }


def _unpack_map(entry: MapEntry, files: FileFolder) -> AnomalyMap:
    arrays: Arrays = files.arrays(entry.arrays)
    return AnomalyMap(
        view=entry.view,
        values=arrays["values"],
        score=entry.score,
        source=entry.source,
        unit=entry.unit,
        tolerance=entry.tolerance,
        peak_tolerance=entry.peak_tolerance,
        nearest_reference=entry.nearest_reference,
        matches=arrays.get("matches"),
        types=None if entry.type_words is None else TypeMap(entry.type_words, arrays["types"], entry.type_names),
        phrases=entry.phrases,
        notes=entry.notes,
        normal_scores=entry.normal_scores,
        normal_peaks=entry.normal_peaks,
    )


def _pack_worded(worded: WordedMaps, bundle: Bundle) -> dict[str, Any]:
    maps = [_pack_map(one, bundle) for one in worded.maps]
    return {"words": worded.words, "maps": maps, "regions": worded.regions, "notes": worded.notes}


def _unpack_worded(entry: WordedEntry, files: FileFolder) -> WordedMaps:
    maps = tuple(_unpack_map(one, files) for one in entry.maps)
    return WordedMaps(entry.words, maps, entry.regions, entry.notes)


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be kept as JSON")
