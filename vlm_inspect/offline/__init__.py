"""The `evidence` model: no language model; it words what was measured, and says so.

report.py    the evidence of a part as an answer to the request
wording.py   the sentences, from prompts/words/evidence_report.yaml
"""
