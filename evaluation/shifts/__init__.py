"""Test pictures as another light or another camera would have taken them: how much a method loses by it.

shifts.py     what changes, by name and strength
copying.py    a data set with its test pictures changed, and its masks with them
"""
