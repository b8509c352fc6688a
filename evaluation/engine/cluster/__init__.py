"""`bench --engine ray`: a run over the machines of a Ray cluster, into the one journal of the process that started it.

engine.py      READ FIRST: open_workers(), from a recipe to an `Elsewhere` of the runner
shares.py      how many processes of each kind, and the cores and GPUs that they get
recipe.py      what a process needs to make an examiner, or its part of one
members.py     what runs there: workers (whole items), models and localizers (what items ask of them)
stand_ins.py   the model and the localizer as a worker sees them, where others share them
desk.py        the one place where what workers ask waits for a model or a localizer
pool.py        who does what next: batches, the dead and what they had

Workers live on cores; models and localizers that want a GPU are pools of their own, so that no GPU waits while a file
is read, and a model answers for several items at once.
"""
