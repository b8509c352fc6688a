"""The report of a run: one HTML file that needs nothing else.

    write_report(Path("runs/evidence"))     # reads results.json, items.jsonl, previews; writes report.html

page.py     what stands on the page, in words and numbers ready to print
curves.py   the points of the curves, from the records
listening.py  whether the model listens
charts.py   points to inline SVG
templates/  the page itself and its style sheet
"""

from evaluation.report.page import REPORT, compile_page, render_report, write_report
from evaluation.report.prompt_tests import warnings_of

__all__ = ["REPORT", "compile_page", "render_report", "warnings_of", "write_report"]
