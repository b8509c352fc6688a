"""Imports: no circle of files, nor of what lies side by side in a package; those in functions and for types count."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

import grimp

ROOTS = ("converters", "vlm_inspect", "evaluation")


@cache
def _imports() -> Mapping[str, frozenset[str]]:
    graph = grimp.build_graph(*ROOTS)
    return {module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def _circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _between_neighbours(package: str) -> dict[str, set[str]]:
    """What each file and folder of a package imports of those beside it."""
    depth = package.count(".") + 2
    between: dict[str, set[str]] = defaultdict(set)
    for module, imported in _imports().items():
        own = ".".join(module.split(".")[:depth])
        for other in imported:
            theirs = ".".join(other.split(".")[:depth])
            inside = {one for one in (own, theirs) if one.startswith(f"{package}.")}
            if len(inside) == 2:
                between[own].add(theirs)
    return between


def test_no_circle_of_files() -> None:
    assert _circle(_imports()) == []


def test_no_circle_of_neighbours_in_any_package() -> None:
    packages = {module.rpartition(".")[0] for module in _imports()} - {""}
    circles = {package: circle for package in packages if (circle := _circle(_between_neighbours(package)))}
    assert not circles


def test_a_circle_is_found() -> None:
    assert _circle({"a": ["b"], "b": ["c"], "c": ["a"]})


def test_evaluation_makes_its_inspectors_without_the_commands() -> None:
    wrong = {
        (module, other)
        for module, imported in _imports().items()
        for other in imported
        if module.startswith("evaluation") and f"{other}.".startswith(("vlm_inspect.commands.", "vlm_inspect.cli."))
    }
    assert not wrong
