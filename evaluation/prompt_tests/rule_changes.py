"""The one thing that is changed in a request to see whether the model follows its rules.

again        nothing: how much the model moves by itself
removed      one free-text rule is left out
negated      one free-text rule says the opposite
class        the class has another name, and no description
references   the shown references stand in reverse order
part first   the part to judge stands before the references

What was measured stays as it is, so that nothing but the words and their order can move the answer. Rules with a check
are left alone: they are measured, and not for the model to decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from converters.view import View
from evaluation.errors import RunError
from vlm_inspect.backends.backend import Request
from vlm_inspect.evidence import Evidence
from vlm_inspect.examination import Prepared
from vlm_inspect.inspector import Inspector
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file
from vlm_inspect.prompting import Ingredient, PromptLimits, Template, build_request
from vlm_inspect.prompting.facts import choose_references
from vlm_inspect.rules import Rule, RuleBook

Kind = Literal["as is", "again", "removed", "negated", "class", "references", "part first"]


@dataclass(frozen=True)
class Change:
    """One way of asking; `rule` is the id of the rule that it is about."""

    kind: Kind
    rule: str | None = None


AS_IS = Change("as is")


class _ChangeWords(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    negated: str
    other_classes: tuple[str, ...] = Field(min_length=1)


def load_change_words() -> _ChangeWords:
    """Return the words of `prompts/words/rule_test.yaml`.

    Raises:
        PromptError: they are missing or wrong.
    """
    return read_prompt_file(_ChangeWords, prompt_folder() / "words" / "rule_test.yaml")


def list_changes(inspector: Inspector, prepared: Prepared, template: Template) -> list[Change]:
    """Return the ways in which a part is asked about, the unchanged one first; what the prompt lacks is left out."""
    used = {block.ingredient for block in template.blocks}
    changes = [AS_IS, Change("again")]
    if Ingredient.RULES in used:
        for rule in free_rules(inspector.rules):
            changes += [Change("removed", rule.id), Change("negated", rule.id)]
    if Ingredient.CLASS_CONTEXT in used:
        changes.append(Change("class"))
    shown = _shown(prepared.references, template, inspector.limits) if Ingredient.REFERENCES in used else 0
    if shown > 1:
        changes.append(Change("references"))
    if shown:
        changes.append(Change("part first"))
    return changes


def free_rules(rules: RuleBook) -> list[Rule]:
    """Return the rules that the model judges."""
    return [rule for rule in rules.rules if rule.check is None]


def changed_request(change: Change, inspector: Inspector, prepared: Prepared, template: Template) -> Request:
    """Return the request of a prepared part with one thing changed.

    Raises:
        RunError: the template has no place for the part, which cannot stand first then.
        PromptError: the words for the change cannot be used.
    """
    if change.kind in {"as is", "again"}:
        return prepared.request
    rules, references, evidence = inspector.rules, prepared.references, prepared.evidence
    if change.kind in {"removed", "negated"}:
        rules = _without(rules, change.rule) if change.kind == "removed" else _negated(rules, change.rule)
    elif change.kind == "class":
        rules = rules.model_copy(update={"class_name": _other_class(rules.class_name), "description": ""})
    elif change.kind == "references":
        shown = _shown(references, template, prepared.limits)
        order = [*reversed(range(shown)), *range(shown, len(references))]
        references, evidence = tuple(references[at] for at in order), _renumbered(evidence, order)
    else:
        template = _part_first(template)
    question = prepared.request.question
    return build_request(template, prepared.views, rules, references, evidence, question, limits=prepared.limits)


def _without(rules: RuleBook, rule: str | None) -> RuleBook:
    return rules.model_copy(update={"rules": tuple(one for one in rules.rules if one.id != rule)})


def _negated(rules: RuleBook, rule: str | None) -> RuleBook:
    words = load_change_words()

    def turn(one: Rule) -> Rule:
        if one.id != rule:
            return one
        return one.model_copy(update={"text": fill_text(words.negated, {"text": one.text}, "rule_test.yaml")})

    return rules.model_copy(update={"rules": tuple(map(turn, rules.rules))})


def _other_class(name: str) -> str:
    own = set(name.lower().split())
    others = load_change_words().other_classes
    return next((other for other in others if not own & set(other.lower().split())), others[0])


def _shown(references: Sequence[Sequence[View]], template: Template, limits: PromptLimits) -> int:
    most = min(limits.references, template.max_references or limits.references)
    return choose_references(references, max_references=most, max_views=limits.reference_views).shown


def _renumbered(evidence: Evidence, order: Sequence[int]) -> Evidence:
    """Return the evidence with its references counted in their new order."""
    place = {old: new for new, old in enumerate(order)}
    maps = tuple(
        one if one.nearest_reference is None else replace(one, nearest_reference=place[one.nearest_reference])
        for one in evidence.maps
    )
    regions = tuple(
        one if one.match is None else replace(one, match=replace(one.match, reference=place[one.match.reference]))
        for one in evidence.regions
    )
    return replace(evidence, maps=maps, regions=regions)


def _part_first(template: Template) -> Template:
    """Return the template with its references behind the views of the part."""
    moved = [block for block in template.blocks if block.ingredient is Ingredient.REFERENCES]
    blocks = []
    placed = False
    for block in template.blocks:
        if block.ingredient is not Ingredient.REFERENCES:
            blocks.append(block)
        if block.each == "views" and not placed:
            blocks += moved
            placed = True
    if not placed:
        raise RunError(f"template {template.task} shows no views, so that the part cannot stand first")
    return template.model_copy(update={"blocks": tuple(blocks)})
