"""Many parts judged: all at once (`batch`), or as they arrive (`watch`).

parts.py         which parts files, folders and patterns name
arrivals.py      which parts arrive in a folder, when they are complete
destinations.py  all that becomes of the parts; sinks/ has each of them
line.py          the way of one judged part, in an order that a kill cannot spoil
journal.py       what is done, on the disk after every part
gallery.py       the page that shows all parts, worst first
run.py           a batch; watching.py: a folder that is watched
"""
