"""Only the registry of models looks at a model's name: who judged is told by the verdict's source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlm_inspect.backends import PROVIDERS, is_local, is_offline

ROOT = Path(__file__).parent.parent
REGISTRY = ROOT / "vlm_inspect" / "backends" / "__init__.py"
SOURCES = [path for top in ("converters", "vlm_inspect", "evaluation") for path in sorted((ROOT / top).rglob("*.py"))]


def comparisons_with_a_model(source: str) -> Iterator[int]:
    """Yield the lines that compare something with the name of a model or a provider, or look how it begins."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            within = isinstance(node.ops[0], ast.In)  # a word within a text is no name of a model
            operands = [*([] if within else [node.left]), *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
            operands = list(node.args)
        elif isinstance(node, ast.MatchValue):
            operands = [node.value]
        else:
            continue
        if any(_is_name(constant) for operand in operands for constant in ast.walk(operand)):
            yield node.lineno if isinstance(node, ast.expr) else 0


def _is_name(node: ast.AST) -> bool:
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr) in {"EVIDENCE_MODEL", "DEFAULT_MODEL"}
    said = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    return said in PROVIDERS or any(said.startswith(f"{name}:") for name in PROVIDERS)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('if model == "evidence": pass', True),
        ('own = "evidence" != record.model', True),
        ("x = name in {'hf', 'langchain'}", True),
        ('model.startswith(("evidence", "hf:"))', True),
        ("if model == EVIDENCE_MODEL: pass", True),
        ('verdict.source == "model"', False),
        ('variant.has("evidence")', False),
    ],
)
def test_a_comparison_is_found(source: str, found: bool) -> None:
    assert bool(list(comparisons_with_a_model(source))) is found


def test_nothing_but_the_registry_compares_the_name_of_a_model() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if path != REGISTRY and (lines := list(comparisons_with_a_model(path.read_text(encoding="utf-8"))))
    }
    assert not found


def test_the_registry_tells_what_runs_here() -> None:
    assert [is_offline(name) for name in ("evidence", " evidence ", "openai:evidence", "hf:evidence")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert [is_local(name) for name in ("evidence", "hf:folder", "openai:x", "langchain:a:b")] == [
        True, True, False, False,
    ]  # fmt: skip
