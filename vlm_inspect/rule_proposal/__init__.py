"""`init`: a rule book to start from, made of a folder of normal parts.

ranges.py      measured values -> a range for further parts
proposal.py    START: `propose_rules`: class, unit, kind, ranges of a folder
book.py        the proposal as commented YAML (rule_book.yaml.j2)
"""
