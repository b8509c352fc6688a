"""`bench --engine ray`: a run over the machines of a Ray cluster, into the one journal of the process that started it.

engine.py      READ FIRST: open_workers(), from a recipe to a `RemoteExaminer` of the runner
shares.py      how many processes of each kind, and the cores and GPUs that they get
recipe.py      what a process needs to make an examiner, or its part of one
members.py     what runs there: workers (whole items), models and localizers (what items ask of them)
group.py       actors of one kind: who is asked next, and what becomes of a call whose process died
stand_ins.py   the model and the localizer as a worker sees them, where others share them

Workers live on cores; models and localizers that want a GPU are groups of their own, so that no GPU waits while a file
is read, and a model answers for several items at once.
"""
