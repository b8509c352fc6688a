"""The prompt ablation: what each variant adds, and the files that make a `bench` run of it.

task         what to do and how to answer
class        + name, description and defect words of the class
rules        + what normal means, as words
references   + pictures of normal parts
evidence     + the heatmap with its marks, words and enlargements, and measured checks
look again   + a second request, with the most suspicious places enlarged
agent without refutation    steps with tools in place of the second request
agent        + hypotheses, and looks that could show them wrong

A variant is a template and rule books without what it lacks, and a number of references. Each holds all before it.
All of it is written down, so that every variant can be run again by `bench` alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from evaluation.bench.options import BenchOptions
from evaluation.errors import RunError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.prompting import EVIDENCE_INGREDIENTS, Ingredient, Template
from vlm_inspect.real_path import real_path
from vlm_inspect.rules import RuleBook

_BOOK_OF_CLASS = {"class_name", "description", "unit", "defects"}
_ADDS: Mapping[str, frozenset[Ingredient]] = {
    "task": frozenset({Ingredient.TASK, Ingredient.SCHEMA, Ingredient.QUESTION}),
    "class": frozenset({Ingredient.CLASS_CONTEXT}),
    "rules": frozenset({Ingredient.RULES}),
    "references": frozenset({Ingredient.REFERENCES}),
    "evidence": EVIDENCE_INGREDIENTS,
    "look again": frozenset(),
    "agent without refutation": frozenset(),
    "agent": frozenset(),
}
VARIANTS = tuple(_ADDS)
AGENTS = ("agent without refutation", "agent")
"""Variants that cost several times as much as the others."""
_WITHOUT_BLOCKS = frozenset({"task", "look again", *AGENTS})
"""Variants that need no block of the template: a second look, and a step, is a request of its own."""


@dataclass(frozen=True)
class Variant:
    """What one run's prompt holds: one part more than the variant before."""

    name: str
    number: int
    steps: tuple[str, ...]
    """Names of the variants up to this one, without those that were left out."""

    @property
    def folder_name(self) -> str:
        """Name of the folder of its run."""
        return f"{self.number}-{self.name.replace(' ', '-')}"

    @property
    def ingredients(self) -> frozenset[Ingredient]:
        """What its prompt may hold."""
        return frozenset().union(*(_ADDS[name] for name in self.steps))

    def has(self, name: str) -> bool:
        """Whether it holds what another variant adds."""
        return name in self.steps


def make_variants(template: Template, missing: Mapping[str, str]) -> tuple[list[Variant], dict[str, str]]:
    """Return the variants of a template, and those left out with the reason.

    Args:
        template: the whole prompt.
        missing: variants that the options leave nothing for, and why.

    Raises:
        RunError: fewer than two variants are left.
    """
    used = {block.ingredient for block in template.blocks}
    variants: list[Variant] = []
    left_out = {}
    for name, adds in _ADDS.items():
        if name in missing:
            left_out[name] = missing[name]
        elif name not in _WITHOUT_BLOCKS and not adds & used:
            left_out[name] = f"template {template.task} has no block of it"
        else:
            variants.append(Variant(name, len(variants) + 1, (*(variants[-1].steps if variants else ()), name)))
    if len(variants) < 2:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise RunError(f"an ablation needs at least two variants, and there is one ({reasons})")
    return variants, left_out


def has_words_without_rules(template: Template) -> bool:
    """Return whether the template says something of normality even where there is no rule book."""
    texts = [block.text for block in template.blocks if block.ingredient is Ingredient.RULES]
    return any(text.strip() and "rules" not in text for text in texts)


def write_variant(
    folder: Path, variant: Variant, template: Template, books: Mapping[str, RuleBook], options: BenchOptions
) -> BenchOptions:
    """Write template and rule books of a variant, and return the options of its run.

    Args:
        folder: of the whole ablation.
        variant: which one.
        template: the whole prompt.
        books: whole rule books by class; those without one are absent.
        options: of the highest variant.

    Raises:
        OutputError: a file cannot be written.
    """
    prompts = folder / "prompts"
    prompts.mkdir(parents=True, exist_ok=True)
    path = real_path(prompts / f"{variant.folder_name}.yaml")
    write_atomically(path, _dump(_cut(template, variant).model_dump(mode="json", exclude_none=True)))
    rules_dir = (
        _write_books(folder / "books" / variant.folder_name, variant, books) if books and variant.has("class") else None
    )
    localizer = {} if variant.has("evidence") else {"name": "none", "checkpoint": None}
    config = options.config.with_changes(
        template=str(path),
        localizer=localizer,
        look_again=variant.name == "look again",
        agent={"enabled": variant.name in AGENTS, "refutation": variant.name == "agent"},
        calibration=None,
        **({} if variant.name == "agent" else {"refuter": None}),
    )
    return replace(options, config=config, rules_dir=rules_dir, shots=options.shots if variant.has("references") else 0)


def _cut(template: Template, variant: Variant) -> Template:
    kept = tuple(
        block for block in template.blocks if block.ingredient is None or block.ingredient in variant.ingredients
    )
    return template.model_copy(update={"blocks": kept})


def _write_books(folder: Path, variant: Variant, books: Mapping[str, RuleBook]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, book in books.items():
        told = book.model_dump(mode="json", include=_BOOK_OF_CLASS, exclude_defaults=True)
        if variant.has("rules"):
            told["rules"] = _rules(book, measured=variant.has("evidence"))
        if variant.has("evidence") and book.ignore:
            told["ignore"] = [list(box) for box in book.ignore]
        write_atomically(folder / f"{name.replace('/', '_')}.yaml", _dump(told))
    return real_path(folder)


def _rules(book: RuleBook, *, measured: bool) -> Sequence[dict[str, Any]]:
    """Return the rules; a check is a measurement, and as long as nothing is measured its rule is words alone."""
    left_out = set() if measured else {"check"}
    return [rule.model_dump(mode="json", exclude=left_out, exclude_none=True) for rule in book.rules]


def _dump(told: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120).encode()
