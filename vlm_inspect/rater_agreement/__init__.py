"""Attribute agreement: do people who judge parts agree with each other, with the tool, and with a standard?

ratings.py      from the cases of a store to one rating a part and rater
standard.py     what the parts truly are, from a file
figures.py      rates with exact intervals, Cohen's and Fleiss' kappa
study.py        all comparisons of one study; START: `study_agreement`
report.py       the study in words and as a page

The terms are those of measurement systems analysis (AIAG, "Measurement Systems Analysis", 4th edition, chapter III C).
"""
