"""The tables. `migrations/` makes them; a test holds the two together.

What is searched or listed has a column; the rest of a case is JSON text, kept as it was written. Times are ISO 8601 in
UTC, so that they sort as text.
"""

from typing import Any

from sqlalchemy import Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from vlm_inspect.safe_text import path_text


class PlainText(TypeDecorator[str]):
    """Text without what a database refuses: NUL, and the bytes of file names that are no UTF-8 (kept as in \\xe9)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as it is kept."""
        if value is None:
            return None
        return path_text(value.replace("\0", "\N{REPLACEMENT CHARACTER}"))


class Table(DeclarativeBase):
    """Root of the tables."""

    type_annotation_map: dict[Any, Any] = {str: PlainText()}  # noqa: RUF012 - SQLAlchemy reads it from the class


def check_types(row: Table) -> None:
    """Make sure that every value of a row is of its column's type: SQLite itself keeps anything anywhere.

    Raises:
        ValueError: one is not; names the column.
    """
    for column in row.__table__.columns:
        value = getattr(row, row.__mapper__.get_property_by_column(column).key)
        kind = str if isinstance(column.type, PlainText) else column.type.python_type
        if value is None and column.nullable:
            continue
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise ValueError(f"{column.name} is no {_TYPE_WORDS.get(kind, kind.__name__)}")


_TYPE_WORDS = {str: "text", float: "number", int: "whole number", bool: "yes or no"}


class FactRow(Table):
    """What holds for the whole store: its id."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str]


class CaseRow(Table):
    """One inspection."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_class_outcome", "class_name", "outcome"),
        Index("ix_cases_created_at", "created_at"),
        Index("ix_cases_serial", "serial"),
    )

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    created_at: Mapped[str] = mapped_column(String(32))
    source: Mapped[str]
    """Path of the inspected file."""
    class_name: Mapped[str]
    serial: Mapped[str | None]
    """Serial number or lot of the part, where one was given."""
    outcome: Mapped[str] = mapped_column(String(8))
    score: Mapped[float] = mapped_column(Float(53))
    model: Mapped[str]
    localizer: Mapped[str]
    question: Mapped[str | None]
    answer: Mapped[str]
    reasoning: Mapped[str]
    input_sha256: Mapped[str] = mapped_column(String(64))
    rules_sha256: Mapped[str] = mapped_column(String(64))
    prompt_sha256: Mapped[str] = mapped_column(String(64))
    inspection: Mapped[str]
    """JSON of the contract."""
    record: Mapped[str]
    """JSON of `records.CaseRecord`."""
    rules_text: Mapped[str]
    rules_json: Mapped[str]
    messages: Mapped[str]
    answer_schema: Mapped[str]
    prompt: Mapped[str]
    """The messages as people read them."""
    replies: Mapped[str]


class CaseFileRow(Table):
    """One file that a case names."""

    __tablename__ = "case_files"
    __table_args__ = (Index("ix_case_files_name", "name"),)

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(96), primary_key=True)


class TurnRow(Table):
    """One turn of the dialogue over a case."""

    __tablename__ = "turns"
    __table_args__ = (UniqueConstraint("case_id", "number", name="uq_turns_case_number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    """From 1, without a gap."""
    role: Mapped[str] = mapped_column(String(16))
    text: Mapped[str]
    tool_calls: Mapped[str]
    """JSON: what tools were called, and what they gave."""
    pictures: Mapped[str]
    """JSON: names of files."""
    created_at: Mapped[str] = mapped_column(String(32))


class CorrectionRow(Table):
    """One change that came out of a case: proposed, accepted or turned down."""

    __tablename__ = "corrections"
    __table_args__ = (UniqueConstraint("case_id", "number", name="uq_corrections_case_number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(32))
    payload: Mapped[str]
    accepted: Mapped[bool | None]
    """None: not decided."""
    created_at: Mapped[str] = mapped_column(String(32))


class JudgementRow(Table):
    """What a person judged of the part of a case."""

    __tablename__ = "judgements"
    __table_args__ = (UniqueConstraint("case_id", "number", name="uq_judgements_case_number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    """From 1, without a gap; the last one counts."""
    outcome: Mapped[str] = mapped_column(String(8))
    """OK or NG."""
    by: Mapped[str] = mapped_column("judged_by", PlainText())
    reason: Mapped[str]
    created_at: Mapped[str] = mapped_column(String(32))


class OutboxRow(Table):
    """One message that is sent until it has arrived."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_next_at", "delivered_at", "next_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    target: Mapped[str]
    """URL without a password."""
    body: Mapped[str]
    """JSON."""
    created_at: Mapped[str] = mapped_column(String(32))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[float] = mapped_column(Float(53))
    """When it is tried next, in seconds since 1970."""
    delivered_at: Mapped[str | None] = mapped_column(String(32))
    error: Mapped[str]
    """Why the last attempt failed; empty: none did."""
