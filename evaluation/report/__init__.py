"""The report of a run: one HTML file that needs nothing else.

    write_report(Path("runs/evidence"))     # reads results.json, items.jsonl, previews; writes report.html

page.py     the page of a run; sections.py: what stands on it, in words and numbers ready to print
curves.py   the points of the curves, from the records
prompt_tests.py  whether the model follows its rules
charts.py   points to inline SVG
templates/  the page itself and its style sheet
"""

from evaluation.report.page import REPORT, compile_page, render_report, write_report

__all__ = ["REPORT", "compile_page", "render_report", "write_report"]
