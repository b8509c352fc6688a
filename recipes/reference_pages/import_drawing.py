"""The imports of the three packages as a Mermaid drawing: every folder and file below them, without what follows."""

from collections import defaultdict
from collections.abc import Mapping
from graphlib import TopologicalSorter

import grimp

_ROOTS = ("converters", "vlm_inspect", "evaluation")


def draw_imports() -> str:
    """Return one Mermaid block a package: an arrow for each import that does not follow from others.

    Raises:
        graphlib.CycleError: there is a circle.
    """
    graph = grimp.build_graph(*_ROOTS, cache_dir=None)
    return "\n".join(f"### {root}\n\n{_draw(_reduced(_neighbours(graph, root)))}" for root in _ROOTS)


def _neighbours(graph: grimp.ImportGraph, root: str) -> dict[str, set[str]]:
    """What each file and folder of a package imports of those beside it, functions' imports included."""
    between: dict[str, set[str]] = defaultdict(set)
    inside = [module for module in graph.modules if module.startswith(f"{root}.")]
    for module in inside:
        own = module.split(".")[1]
        others = {
            one.split(".")[1] for one in graph.find_modules_directly_imported_by(module) if one.startswith(f"{root}.")
        }
        between[own] |= others - {own}
    return between


def _reduced(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave out every import that another way leads to (transitive reduction)."""
    below: dict[str, set[str]] = {}
    for name in TopologicalSorter(imports).static_order():
        below[name] = set().union(*({one} | below[one] for one in imports.get(name, ())), set())
    return {
        name: {one for one in imports[name] if not any(one in below[other] for other in imports[name])}
        for name in sorted(imports)
    }


def _draw(imports: Mapping[str, set[str]]) -> str:
    arrows = [f"    {name} --> {one}" for name, ones in imports.items() for one in sorted(ones)]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```", ""])
