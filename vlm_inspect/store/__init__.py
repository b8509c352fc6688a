"""Cases: inspections that are kept, found again, replayed and talked over.

    location.py    where the store is: a SQLite file, or a PostgreSQL server
    database.py    the connection, and its migration to this version
    tables.py      the rows; migrations/ makes them
    files.py       pictures, maps and inputs, named by their content
    records.py     what a case rests on, as JSON; origins.py, messages.py likewise
    saving.py      an examination -> rows and files; reading.py the way back
    case.py        `Case`, read back; its pictures and maps on demand
    listing.py     finding cases; dialogue.py: turns and corrections
    judgements.py  what people judge of the parts
    outbox.py      messages about parts, until they have arrived
    case_store.py  `CaseStore`, all of it together
    export.py      JSON lines and CSV

Only what uses a store imports this package: it loads SQLAlchemy.
"""

from vlm_inspect.store.case import Case, CaseLine, Correction, Judged, JudgedCase, Judgement, Turn
from vlm_inspect.store.case_store import CaseStore
from vlm_inspect.store.listing import Filters
from vlm_inspect.store.outbox import Message, Outbox
from vlm_inspect.store.saving import new_case_id

__all__ = [
    "Case",
    "CaseLine",
    "CaseStore",
    "Correction",
    "Filters",
    "Judged",
    "JudgedCase",
    "Judgement",
    "Message",
    "Outbox",
    "Turn",
    "new_case_id",
]
