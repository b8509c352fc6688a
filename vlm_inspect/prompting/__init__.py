"""A template, rules, references and evidence to one `Request`.

    template = load_template("inspect")
    request  = build_request(template, views, rules, references, evidence, question)
    print(describe_messages(request.messages))

The words are data (`prompts/*.yaml`); this package only picks, numbers, draws and encodes.
"""

from vlm_inspect.prompting.assembly import PromptLimits, build_request
from vlm_inspect.prompting.description import describe_messages
from vlm_inspect.prompting.template import (
    ALL_INGREDIENTS,
    EVIDENCE_INGREDIENTS,
    Ingredient,
    Template,
    list_templates,
    load_template,
)

__all__ = [
    "ALL_INGREDIENTS",
    "EVIDENCE_INGREDIENTS",
    "Ingredient",
    "PromptLimits",
    "Template",
    "build_request",
    "describe_messages",
    "list_templates",
    "load_template",
]
