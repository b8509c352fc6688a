"""The page of a run: what stands on it, in words and numbers ready to print; its form is data (`templates/`).

Like the page of one inspection it holds no script and loads nothing; its content-security policy allows its own style
sheet, by digest, and pictures in data URLs.
"""

import base64
import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from evaluation.report.figures import ablation_figure, latency_figure
from evaluation.report.formats import breakable, number, share
from evaluation.report.prompt_tests import figures_of_tests
from evaluation.report.sections import image_values, notices, question_values, settings_in_words, tiles
from evaluation.runs.ablation import AblationDocument
from evaluation.runs.documents import read_document
from evaluation.runs.finished_run import FinishedRun, read_run
from evaluation.runs.results import PromptTests, RuleTestDocument
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.safe_text import plain

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT = "report.html"
_TEMPLATES = ("run.html.j2", "base.html.j2", "parts.html.j2")
"""The page of a run, and what it is made of."""
RULE_TEST = "rule_test.json"
ABLATION = "ablation.json"
"""Two folders above each of its runs."""
_FAILURES = 20
"""Listed at once; the others fold."""


def write_report(folder: Path) -> Path:
    """Write the page of a finished run into its own folder, and return where.

    Raises:
        RunError: the folder holds no finished run.
        OutputError: the page cannot be written.
    """
    run = read_run(folder)
    beside, above = folder / RULE_TEST, folder.absolute().parent.parent / ABLATION
    rule_test = ablation = None
    if beside.is_file():
        rule_test = read_document(RuleTestDocument, beside, "make it again with vlm-inspect rule-test")
    if above.is_file():
        ablation = read_document(AblationDocument, above, "make it again with vlm-inspect ablate --resume")
    page = render_report(run, rule_test=rule_test, ablation=ablation)
    write_atomically(folder / REPORT, page.encode())
    return folder / REPORT


def render_report(
    run: FinishedRun, *, rule_test: RuleTestDocument | None = None, ablation: AblationDocument | None = None
) -> str:
    """Return the page.

    Args:
        run: what to report.
        rule_test: a rule test of the same model, where `rule-test` made one; else the run's own.
        ablation: the ablation that the run is a part of.
    """
    results = run.results
    tests = results.rule_test if rule_test is None else PromptTests(classes={"": rule_test})
    return fill_page(
        _TEMPLATES[0],
        run=run,
        results=results,
        title=f"{results.dataset}: {run.title}",
        notices=list(notices(run, tests)),
        tiles=list(tiles(run)),
        settings=list(settings_in_words(results.settings)),
        checks=results.checks,
        failures=results.failures,
        first_failures=_FAILURES,
        latency=latency_figure(run.records),
        ablation_chart=None if ablation is None else ablation_figure(ablation.model_dump()),
        prompt_tests=figures_of_tests(tests),
        option_order=None if tests is None else tests.option_order,
        **(question_values(run) if run.asks_questions else image_values(run)),
    )


def fill_page(template: str, **values: Any) -> str:
    """Return a template of this package filled; everything foreign is escaped.

    Args:
        template: its file name.
        values: what it names.
    """
    style = (_folder() / "page.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),  # our own file, whose digest the policy names
            style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            **values,
        )
    )


def compile_page() -> None:
    """Compile the templates of `render_report`, so that nobody waits for it at the end of a run."""
    for name in _TEMPLATES:
        _environment().get_template(name)


@cache
def _environment() -> "Environment":
    """Return what holds the compiled templates: compiling them takes longer than filling them."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: (_folder() / name).read_text(encoding="utf-8")),
    )
    environment.filters |= {"plain": plain, "number": number, "share": share, "breakable": breakable}
    return environment


def _folder() -> Traversable:
    return resources.files("evaluation.report") / "templates"
