"""What a rule test leaves on disk: its numbers, its page, and the page of a run beside it."""

import json
from pathlib import Path

from evaluation.errors import RunError
from evaluation.report.page import RULE_TEST, fill_page, write_report
from evaluation.report.prompt_tests import moves_figure
from evaluation.runs.results import RESULTS, RuleTestDocument
from vlm_inspect.file_writing import write_atomically

PAGE = "rule_test.html"


def write_rule_test(folder: Path, document: RuleTestDocument) -> None:
    """Write `rule_test.json` and `rule_test.html`; where the folder holds a finished run, its report again, too.

    Args:
        folder: made if new.
        document: from `RuleTest.as_document`.

    Raises:
        RunError: the folder cannot be made, or the run in it cannot be read.
        OutputError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {folder} cannot be used: {error.strerror or error}; give another folder") from error
    text = json.dumps(document.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / RULE_TEST, (text + "\n").encode())
    write_atomically(folder / PAGE, render_rule_test(document).encode())
    if (folder / RESULTS).is_file():
        write_report(folder)


def render_rule_test(document: RuleTestDocument) -> str:
    """Return the page of a rule test."""
    return fill_page(
        "rule_test.html.j2",
        title=f"rule test of {document.model}",
        test=document,
        figure=moves_figure(document.rows),
    )
