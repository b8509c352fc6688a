"""Many parts judged in one go.

parts.py      which parts files, folders and patterns name
row.py        one line of the table, safe for a spreadsheet
journal.py    what is done, on the disk after every part
gallery.py    the page that shows all parts, worst first
run.py        the run itself
"""
