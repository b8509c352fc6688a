"""Qualification: what the references of a class can decide is tried out before the first part is judged.

As in non-destructive testing, an inspection is qualified on specimens with known defects. Here the references are the
specimens, each left out of what judges it, and the defects are planted.

trial.py     plants defects on left-out references and scores them
qualify.py   learns from that when a part is OK, and says what would have been found
advice.py    says it in words, and what would help
"""
