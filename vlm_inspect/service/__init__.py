"""`vlm-inspect serve`: parts in over HTTP, inspections out.

    app.py         START: everything put together
    settings.py    what a service is started with
    spool.py       accepted parts on the disk; judging.py: the threads that judge them (priority.py)
    deliveries.py  what goes out for each part: webhooks, MQTT, folders
    rule_books.py  rule books and calibrations by name, a warm inspector each
    tokens.py      who may do what; sessions.py: the same for browsers; access.py asks both; rates.py
    audit.py       who changed what, in a chain of digests
    uploads.py     a part out of a request, within limits
    answers.py     inspections as JSON; path_free.py: without the paths of this machine
    gate.py        hosts, origins, security headers, before any route
    bodies.py      what is too long or too slow; connections.py
    routes/        the addresses

Only `serve` imports this package: it loads FastAPI.
"""
