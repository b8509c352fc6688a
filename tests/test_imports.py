"""The direction of imports: no circle of files, none of packages; imports inside functions and for types count."""

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


def _package(module: str) -> str:
    """The part of the house that a module belongs to: a folder or a lone file below one of the three packages."""
    return ".".join(module.split(".")[:2])


def test_no_circle_of_files() -> None:
    assert _circle(_imports()) == []


def test_no_circle_of_packages() -> None:
    between: dict[str, set[str]] = defaultdict(set)
    for module, imported in _imports().items():
        for other in imported:
            own, theirs = _package(module), _package(other)
            if own != theirs and not {own, theirs} & set(ROOTS):
                between[own].add(theirs)
    assert _circle(between) == []


def test_a_circle_is_found() -> None:
    assert _circle({"a": ["b"], "b": ["c"], "c": ["a"]})


def test_evaluation_makes_its_inspectors_without_the_commands() -> None:
    wrong = {
        (module, other)
        for module, imported in _imports().items()
        for other in imported
        if module.startswith("evaluation") and other.startswith(("vlm_inspect.commands", "vlm_inspect.cli"))
    }
    assert not wrong
