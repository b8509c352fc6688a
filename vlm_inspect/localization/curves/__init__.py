"""Curves held against normal ones of their class, channel by channel and all channels together.

windows.py    a curve as short windows, each described by a few robust numbers
courses.py    the course of a stretch against every stretch of a reference: the matrix profile of two curves
comparison.py one curve against one reference: how far each window is off, by every kind of evidence
matching.py   which channel is which, and why a curve cannot be compared, or not in full
gaps.py       where samples are missing
normality.py  what reference curves say about each other: which windows compare, and how far normal ones differ
deviation.py  how far a curve is off its references, window by window, and painted on its plots
events.py     when: the curve of P(anomalous), and the stretches that exceed the limit
picture.py    the plot with the events marked and, in step, the nearest reference beside it
localizer.py  all of it as a localizer
"""
