"""OBJ and GLB by trimesh, after what they would unfold to was counted."""

import json
import logging
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.faults import FAULTS, in_one_line
from converters.limits import claim
from converters.raw_scan import RawScan, refuse_too_many

_SILENT = logging.NullHandler()
_POINT_BYTES = 400
"""Bytes a vertex while trimesh builds a scene, places its parts, and they are joined and welded."""
_MOST_PARTS = 100_000


def read_obj(path: Path) -> RawScan:
    """Read a Wavefront OBJ: vertices, their colours, faces.

    Raises:
        ConversionError: it cannot be read, or takes too much memory.
    """
    data = path.read_bytes()
    lines = data.count(b"\n") + data.count(b"\r")
    claim(path, 6 * len(data) + 250 * lines)
    return _read(path, "obj", skip_materials=True)


def read_glb(path: Path) -> RawScan:
    """Read a binary glTF 2.0; the parts of its scene are placed by their transforms.

    Raises:
        ConversionError: it cannot be read, or its scene unfolds to too much.
    """
    with path.open("rb") as handle:
        head = handle.read(20)
        length = int.from_bytes(head[12:16], "little")
        try:
            struct.unpack("<4sII4x4x", head)
            document = json.loads(handle.read(min(length, 1 << 28)))
            _check_scene(path, document)
        except ConversionError:
            raise
        except FAULTS as error:
            raise broken(path, "GLB", error) from error
    return _read(path, "glb")


def _check_scene(path: Path, document: Mapping[str, Any]) -> None:
    """Count the points of a scene as it unfolds: a node may be the child of many, and each of them of many."""
    counts = [int(accessor["count"]) for accessor in document.get("accessors", [])]
    refuse_too_many(path, sum(counts) if min(counts, default=0) >= 0 else -1, "values")
    meshes = [
        sum(counts[part["attributes"]["POSITION"]] for part in mesh["primitives"] if "POSITION" in part["attributes"])
        for mesh in document.get("meshes", [])
    ]
    nodes = document.get("nodes", [])
    known: dict[int, tuple[int, int]] = {}
    children = {child for node in nodes for child in node.get("children", [])}
    for index in range(len(nodes)):
        _unfold(path, nodes, meshes, index, known)
    roots = [found for index, found in known.items() if index not in children]
    parts, points = (sum(column) for column in zip(*roots, strict=True)) if roots else (0, 0)
    if parts > _MOST_PARTS:
        raise ConversionError(f"{path}: the scene unfolds to {parts:.3g} parts, the limit is {_MOST_PARTS}: join them")
    refuse_too_many(path, points)
    claim(path, path.stat().st_size + 8 * sum(counts) + _POINT_BYTES * points)


def _unfold(path: Path, nodes: Any, meshes: list[int], top: int, known: dict[int, tuple[int, int]]) -> None:
    """Fill `known` with the nodes and the points that hang on each node, from the leaves up."""
    stack = [(top, False)]
    above: set[int] = set()
    while stack:
        index, is_done = stack.pop()
        children = nodes[index].get("children", [])
        if is_done:
            own = meshes[nodes[index]["mesh"]] if "mesh" in nodes[index] else 0
            known[index] = (
                1 + sum(known[child][0] for child in children),
                own + sum(known[child][1] for child in children),
            )
            above.discard(index)
        elif index in above:
            raise ConversionError(f"{path}: node {index} of the scene hangs on itself: export it again")
        elif index not in known:
            above.add(index)
            stack.append((index, True))
            stack.extend((child, False) for child in children if child not in known)


def _read(path: Path, kind: str, **options: bool) -> RawScan:
    import trimesh

    # trimesh logs what it also raises; without a handler Python would print it.
    logging.getLogger("trimesh").addHandler(_SILENT)
    try:
        with path.open("rb") as handle:
            scene = trimesh.load_scene(handle, file_type=kind, process=False, **options)
        parts = scene.dump(concatenate=False)
    except FAULTS as error:
        raise broken(path, kind.upper(), error) from error
    return _joined([_part(part) for part in parts if hasattr(part, "vertices")])


def _part(part) -> RawScan:  # type: ignore[no-untyped-def]  # trimesh's geometry classes are untyped here
    points = np.asarray(part.vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.asarray(part.faces, dtype=np.int64) if hasattr(part, "faces") else None
    colors = getattr(part, "colors", None)
    if hasattr(part, "faces"):
        colors = part.visual.vertex_colors if part.visual.kind == "vertex" else None
    fits = colors is not None and len(colors) == len(points) > 0
    return RawScan(points, np.asarray(colors, dtype=np.uint8)[:, :3] if fits else None, faces=faces)


def _joined(parts: list[RawScan]) -> RawScan:
    """One scan of all parts; colours are kept where every part has them."""
    if not parts:
        return RawScan(np.empty((0, 3)))
    faces, start = [], 0
    for part in parts:
        if part.faces is not None:
            faces.append(part.faces + start)
        start += len(part.points)
    colors = [part.colors for part in parts if part.colors is not None]
    return RawScan(
        np.concatenate([part.points for part in parts]),
        np.concatenate(colors) if len(colors) == len(parts) else None,
        faces=np.concatenate(faces) if faces else None,
    )


def broken(path: Path, kind: str, error: Exception) -> ConversionError:
    """Return the error of a file that its parser stumbled over."""
    return ConversionError(f"{path}: not a readable {kind}: {in_one_line(error)}: export the scan again")
