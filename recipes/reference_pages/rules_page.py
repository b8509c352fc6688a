"""docs/rules.md: every key of a rule book and every measure, from the models and the registry."""

from pydantic import BaseModel

from recipes.reference_pages.fields import default_words, field_texts, type_words
from vlm_inspect.measurement.registry import MEASURES, Measure, kind_names
from vlm_inspect.rules import Check, Rule, RuleBook

_HEAD = """# Rule books

A rule book is a YAML file that says what is normal for one class of parts. Only `class_name` is required. A rule is
either words, which a model that reads pictures judges, or has a `check`, which is measured without a model. Every error
names file, line and key.

```yaml
class_name: screw
unit: mm
rules:
  - {id: thread-complete, text: The thread runs unbroken from the neck to the tip., severity: critical,
     defects: [missing thread]}
  - {id: surface, text: The surface is clean., by: likeness}
  - id: length
    text: Overall length is 20 mm, give or take 0.3 mm.
    check: {measure: length, min: 19.7, max: 20.3}
defects: [missing thread, scratch]
references: [good/*.ply]
smallest_defect: 3 %
```

This page is generated from the code: `make docs`.
"""
_MEANINGS = {
    "class_name": "what the part is called, in words that a model understands",
    "description": "what else the model should know about the part",
    "unit": "unit of scans; a scan keeps none itself",
    "rules": "the rules, in the order in which they are reported; see below",
    "defects": "words for what can be wrong; a defect is called by one of them",
    "references": "normal parts: files or patterns, relative to the rule book",
    "ignore": "boxes `[x0, y0, x1, y1]`, fractions of the picture, in which nothing counts: a label, a date",
    "id": "letters, digits, `.`, `_`, `-`; each once",
    "text": "one sentence about a normal part",
    "severity": "a critical rule that nothing could tell makes the outcome REVIEW",
    "check": "measures the rule; see below",
    "measure": "what is measured: one of the measures below",
    "min": "least allowed value; min, max or both",
    "max": "largest allowed value",
}
_EXAMPLES = {
    "length": "min: 19.7, max: 20.3",
    "width": "min: 7.2, max: 8.4",
    "height": "max: 8.4",
    "volume": "min: 900, max: 960",
    "area": "max: 1200",
    "hole_count": "min: 4, max: 4",
    "flatness": "max: 0.05",
    "point_spacing": "max: 0.2",
    "max_deviation": "max: 0.3",
    "rms_deviation": "max: 0.1",
    "part_count": "min: 1, max: 1",
    "fill_ratio": "min: 0.2, max: 0.6",
    "mean_color_l": "min: 40, max: 55",
    "mean_color_a": "min: -5, max: 5",
    "mean_color_b": "min: -5, max: 8",
    "color_distance": "max: 3",
    "sharpness": "min: 80",
    "brightness": "min: 60, max: 200",
    "frame_rate": "min: 24",
    "frozen_seconds": "max: 1",
    "black_seconds": "max: 0",
    "duration": "min: 2, max: 4",
    "min": "min: 0.1",
    "max": "max: 12.5, channel: current",
    "rms": "max: 2.8",
    "peak_count": "min: 3, max: 3",
    "dominant_frequency": "min: 48, max: 52, channel: vibration",
}
_UNITS = {
    "": "number",
    "{unit}": "unit of the book",
    "{unit}^2": "unit of the book, squared",
    "{unit}^3": "unit of the book, cubed",
    "{channel}": "unit of the channel",
    "s": "s",
    "1/s": "1/s",
    "Hz": "Hz",
}


def rules_page() -> str:
    """Return the page.

    Raises:
        KeyError: a key or a measure has no meaning or example here.
        pydantic.ValidationError: an example is no check.
    """
    parts = [_HEAD, _keys("The book", RuleBook), _keys("A rule", Rule), _keys("A check", Check)]
    rows = [_row(measure) for measure in MEASURES.values()]
    return "\n".join(
        [*parts, "## Measures\n", "| measure | of | unit | what it is | example |", "|---|---|---|---|---|", *rows, ""]
    )


def _keys(title: str, model: type[BaseModel]) -> str:
    texts = field_texts(model)
    rows = [
        f"| `{name}` | {type_words(field.annotation)} | {default_words(field.default)} "
        f"| {texts.get(name) or _MEANINGS[name]} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join([f"## {title}\n", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _row(measure: Measure) -> str:
    import yaml

    example = f"{{measure: {measure.name}, {_EXAMPLES[measure.name]}}}"
    Check.model_validate(yaml.safe_load(example))
    unit = _UNITS.get(measure.unit) or measure.unit.replace("{unit}", "unit of the book").replace(
        "^2", ", squared"
    ).replace("^3", ", cubed")
    return f"| `{measure.name}` | {kind_names(measure)} | {unit} | {measure.description} | `{example}` |"
