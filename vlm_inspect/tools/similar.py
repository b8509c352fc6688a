"""Earlier cases of the class that look alike: nearest by the features of their first comparable view."""

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.array_cache import content_of, key_of, user_cache
from vlm_inspect.errors import StoreError
from vlm_inspect.prompting.marks import enlarge, place_side_by_side
from vlm_inspect.store.listing import Filters
from vlm_inspect.tools.arguments import Similar
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.result import ToolError, ToolResult

COMPARED = 60
"""Most cases that are compared, the newest first."""
_SIDE = 224
"""Side in pixels that a view is scaled to: what the network was trained with."""
_VERSION = 1


def find_similar(material: Material, wanted: Similar) -> ToolResult:
    """Find the cases of the class whose views look most like those of this one."""
    own_view = material.view(0)
    lines = material.store.list(Filters(class_name=material.case.rules.class_name, limit=COMPARED + 1))
    others = [
        (line, view)
        for line in lines
        if line.id != material.case.id and (view := _comparable(material, line.id, own_view.key)) is not None
    ]
    if not others:
        raise ToolError("the store holds no other case of this class whose pictures can be compared")
    own = view_features(own_view)
    found = [(float(own @ view_features(view)), line, view) for line, view in others]
    found.sort(key=lambda entry: -entry[0])
    best = found[: wanted.count]
    told = "; ".join(
        f"{line.id} ({line.outcome}, {line.created_at[:10]}, likeness {likeness:.3f})" for likeness, line, _ in best
    )
    panels = [(enlarge(own_view.image, _SIDE), "this part")]
    panels += [(enlarge(view.image, _SIDE), f"{line.id} {line.outcome}") for _, line, view in best]
    return ToolResult(f"Most alike of {len(found)} cases: {told}.", (place_side_by_side(panels),))


def view_features(view: View) -> NDArray[np.float32]:
    """Return the mean patch feature of a view, float32 (C,), of length 1."""
    from vlm_inspect.vision import load_network

    network = load_network("lite0")

    def compute() -> NDArray[np.float32]:
        from PIL import Image

        scaled = Image.fromarray(view.image).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        grid = network.extract([np.asarray(scaled, dtype=np.uint8)])[0].layers[0]
        mean = grid.reshape(-1, grid.shape[2]).mean(axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)

    key = key_of(_VERSION, network.identity, _SIDE, content_of(view.image))
    return np.asarray(user_cache().array("case-features", key, (None,), compute), dtype=np.float32)


def _comparable(material: Material, case_id: str, key: str) -> View | None:
    try:
        views = material.store.load(case_id).views
    except StoreError:
        return None  # deleted meanwhile, or its files are
    return next((view for view in views if view.key == key), None)
