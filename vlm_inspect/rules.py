"""`RuleBook`, `Rule`, `Check`: what normal means for a class of parts, from YAML.

`load_rules` reads a file, `parse_rules` a text, `resolve_references` finds the reference files that a book names.
Everything that is wrong is one `RuleError` of one line: file, line, key, what to write instead.
"""

import difflib
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from converters.errors import ConversionError
from converters.registry import detect_kind
from converters.sample import ONE
from vlm_inspect.errors import RuleError
from vlm_inspect.file_patterns import match_files
from vlm_inspect.real_path import real_path
from vlm_inspect.sensitivity.smallest import SmallestDefect, parse_smallest_defect
from vlm_inspect.strict_yaml import MAX_BYTES, Document, Loc, YamlError, key_path, misread_text, read_yaml

Severity = Literal["critical", "major", "minor"]
Unit = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class _WrongPlaceError(ValueError):
    """Raised in a validator for a value further inside; `where` is its place below the validated one."""

    def __init__(self, message: str, where: Loc) -> None:
        super().__init__(message)
        self.where = where


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Strict):
    """A measurable rule: the value of `measure` must lie in [min, max]; a bound that is None does not count."""

    measure: str
    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)
    channel: str | None = None
    """Series only: which channel, by name; None: every channel, the worst one counts."""

    @field_validator("measure")
    @classmethod
    def _is_known(cls, name: str) -> str:
        from vlm_inspect.measurement.registry import MEASURES, known_measures

        if name not in MEASURES:
            near = difflib.get_close_matches(name, MEASURES, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"unknown measure {name!r}{hint}; known: {known_measures()}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        from vlm_inspect.measurement.registry import MEASURES

        if self.min is None and self.max is None:
            raise ValueError("a check needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise _WrongPlaceError(f"min {self.min:g} is above max {self.max:g}", ("min",))
        if self.channel is not None and MEASURES[self.measure].scope != "channel":
            raise _WrongPlaceError(
                f"only measures of a curve's channel take one, and {self.measure} is none", ("channel",)
            )
        return self


class Rule(_Strict):
    """One sentence about a normal part; with a `check` it is measured, without one the model judges it."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    text: str = Field(min_length=1, max_length=2000)
    severity: Severity = "major"
    check: Check | None = None
    by: Literal["likeness"] | None = None
    """"likeness": being like the references decides this rule in words, so that no model needs to read it."""
    defects: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """Words of the book's vocabulary that break this rule; without any, the words that both share tell."""

    @model_validator(mode="after")
    def _has_one_judge(self) -> Self:
        if self.check is not None and self.by is not None:
            raise _WrongPlaceError("a rule with a check is decided by its measurement; leave by out", ("by",))
        return self


class RuleBook(_Strict):
    """What normal means for a class of parts."""

    class_name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=4000)
    unit: str = Field(default="mm", max_length=16)
    rules: tuple[Rule, ...] = ()
    defects: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    references: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    ignore: tuple[tuple[Unit, Unit, Unit, Unit], ...] = ()
    smallest_defect: Annotated[SmallestDefect, BeforeValidator(parse_smallest_defect)] | None = None
    """The smallest defect that matters: a part is OK only where defects of this size would have been seen."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _sha256: str = PrivateAttr(default="")
    _name: str = PrivateAttr(default="rule book")
    _text: str = PrivateAttr(default="")
    _reference_lines: tuple[int, ...] = PrivateAttr(default=())

    @field_validator("rules")
    @classmethod
    def _has_each_id_once(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        for i, rule in enumerate(rules):
            if any(rule.id == other.id for other in rules[:i]):
                raise _WrongPlaceError(f"the rule id {rule.id!r} is used twice; give each rule its own", (i, "id"))
        return rules

    @field_validator("defects")
    @classmethod
    def _has_each_defect_once(cls, defects: tuple[str, ...]) -> tuple[str, ...]:
        plain = [" ".join(word.lower().split()) for word in defects]
        for i, word in enumerate(plain):
            if word in plain[:i]:
                raise _WrongPlaceError(f"the defect {defects[i]!r} stands twice", (i,))
        return defects

    @model_validator(mode="after")
    def _knows_the_defects_of_its_rules(self) -> Self:
        for i, rule in enumerate(self.rules):
            for j, word in enumerate(rule.defects):
                if word not in self.defects:
                    near = difflib.get_close_matches(word, self.defects, n=1)
                    hint = f"; did you mean {near[0]}?" if near else "; add it to defects"
                    raise _WrongPlaceError(f"{word!r} is none of the book's defects{hint}", ("rules", i, "defects", j))
        return self

    @field_validator("ignore")
    @classmethod
    def _has_boxes_with_area(
        cls, ignore: tuple[tuple[float, float, float, float], ...]
    ) -> tuple[tuple[float, float, float, float], ...]:
        for i, (x0, y0, x1, y1) in enumerate(ignore):
            if x0 >= x1 or y0 >= y1:
                raise _WrongPlaceError("a box is x0, y0, x1, y1 with x0 < x1 and y0 < y1", (i,))
        return ignore

    @property
    def scoring_sha256(self) -> str:
        """Digest of all that may move a score: everything but the description and the places of the references."""
        moving = self.model_dump_json(exclude={"description", "references"})
        return hashlib.sha256(moving.encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Folder that `references` are relative to."""
        return self._folder

    @property
    def sha256(self) -> str:
        """Digest of the YAML bytes, or of the canonical JSON of a book made in code."""
        return self._sha256 or hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def text(self) -> str:
        """The YAML that it was read from, or the canonical JSON of a book made in code."""
        return self._text or self.model_dump_json()

    def rule(self, rule_id: str) -> Rule | None:
        """Return the rule of that id, or None."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


def load_rules(path: Path | str) -> RuleBook:
    """Return the rule book of one YAML file.

    Raises:
        RuleError: the file cannot be read, or says something that a rule book cannot; one line with file, line, key.
    """
    path = Path(path)
    if path.is_dir():
        raise RuleError(f"{path} is a folder; name the rule file in it")
    if path.exists() and not path.is_file():  # a pipe or a device: reading it could wait for ever
        raise RuleError(f"{path} is not a file; save the rules to a file first")
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except FileNotFoundError as e:
        raise RuleError(f"{path}: no such rule file; check the path") from e
    except OSError as e:
        raise RuleError(f"{path} cannot be read: {e.strerror or e}") from e
    if raw is None:
        _refuse_other_kind(path)
        raise RuleError(f"{path} is larger than {MAX_BYTES >> 20} MB; a rule book is a short text")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        _refuse_other_kind(path)
        line = raw[: e.start].count(b"\n") + 1
        raise RuleError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from e
    book = parse_rules(text, name=str(path), folder=real_path(path).parent)
    book._sha256 = hashlib.sha256(raw).hexdigest()
    return book


def _refuse_other_kind(path: Path) -> None:
    """Say what a file is that is no text, or a long one: a photo, a scan, a clip or a curve, where that can be told."""
    with suppress(ConversionError):
        kind = detect_kind(path)
        raise RuleError(f"{path} is {ONE[kind]}, not a rule book; name the YAML file of the rules with --rules")


def parse_rules(text: str, *, name: str = "rules", folder: Path | None = None) -> RuleBook:
    """Return the rule book of a YAML text.

    Args:
        text: the YAML.
        name: what errors call it, as a rule its file.
        folder: what `references` are relative to; None: the current folder.

    Raises:
        RuleError: one line that names file, line and key.
    """
    try:
        document = read_yaml(text)
    except YamlError as e:
        where = f", {e.key}" if e.key else ""
        raise RuleError(f"{name}, line {e.line}{where}: {e}") from e
    if not isinstance(document.data, dict):
        raise RuleError(f"{name}, line 1: a rule book is keys and values (class_name: ...), not {_show(document.data)}")
    try:
        book = RuleBook.model_validate(document.data, strict=True)
    except ValidationError as e:
        raise RuleError(_in_words(e, document, name)) from e
    book._folder = real_path(folder or Path.cwd())
    book._sha256 = hashlib.sha256(text.encode()).hexdigest()
    book._name = name
    book._text = text
    book._reference_lines = tuple(document.line(("references", i)) for i in range(len(book.references)))
    return book


def restore_rules(canonical_json: str, *, text: str, sha256: str, folder: Path) -> RuleBook:
    """Return a rule book from a record.

    Args:
        canonical_json: `model_dump_json()` of the book.
        text: its `text`.
        sha256: its `sha256`, which a byte order mark in the file sets apart from that of the text.
        folder: what its `references` are relative to.

    Raises:
        pydantic.ValidationError: the record does not hold for this version of the program.
    """
    book = RuleBook.model_validate_json(canonical_json)
    book._text, book._sha256, book._folder = text, sha256, folder
    return book


def resolve_references(book: RuleBook) -> list[Path]:
    """Return the files (or folders of frames) that the book's `references` name, each once, pattern by pattern.

    Patterns are relative to the book's folder; `**` goes into subfolders; the matches of one pattern are sorted.

    Raises:
        RuleError: a pattern matches nothing.
        ReferenceSampleError: a pattern leads through too many files.
    """
    found: dict[Path, None] = {}
    for i, pattern in enumerate(book.references):
        matches = match_files(pattern, book.folder)
        if not matches:
            line = f", line {book._reference_lines[i]}" if book._reference_lines else ""
            raise RuleError(f"{book._name}{line}, references: {pattern!r} matches no file in {book.folder}")
        found.update(dict.fromkeys(matches))
    return list(found)


def outside_references(book: RuleBook, references: Sequence[Path]) -> list[Path]:
    """Return those references that do not lie in the rule book's folder, links followed.

    A rule book from elsewhere could name any picture of this machine, and have it sent to a model.
    """
    folder = real_path(book.folder)
    return [path for path in references if not real_path(path).is_relative_to(folder)]


def _in_words(error: ValidationError, document: Document, name: str) -> str:
    """Put the first thing that is wrong, by line, into one line."""
    places = []
    for item in error.errors(include_url=False):
        loc: Loc = item["loc"]
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, _WrongPlaceError):
            loc = (*loc, *cause.where)
        # A misspelt key is also a missing one; the misspelling is what helps.
        rank = (document.line(loc), item["type"] == "missing")
        places.append((rank, key_path(loc), _message(dict(item))))
    (line, _), key, message = min(places, key=lambda place: place[0])
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return f"{name}, line {line}, {key or 'rule book'}: {message}{more}"


_BOX = "a box is four numbers from 0 to 1: x0, y0, x1, y1"


def _message(item: dict[str, Any]) -> str:
    """Say what one pydantic error means to the writer of a rule book."""
    kind, value, loc = item["type"], item["input"], item["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(loc, value)
    if loc[:1] == ("ignore",) and len(loc) > 1:
        return _BOX + ("" if kind in {"missing", "too_long"} else f", not {_show(value)}")
    if kind in {"float_type", "string_type"}:
        wanted = "a number" if kind == "float_type" else "text"
        return f"must be {wanted}, not {_show(value)}{_hint(kind, value)}"
    words = {
        "missing": "this key is missing",
        "tuple_type": f"must be a list, not {_show(value)}",
        "model_type": f"must be keys and values, not {_show(value)}",
        "model_attributes_type": f"must be keys and values, not {_show(value)}",
        "literal_error": f"must be {item.get('ctx', {}).get('expected', '')}, not {_show(value)}",
        "string_too_short": "must not be empty",
        "string_pattern_mismatch": f"{value!r} is no id: use letters, digits, '.', '_', '-', first a letter or digit",
        "finite_number": "must be a finite number",
    }
    return words.get(kind, str(item["msg"]).removeprefix("Value error, "))


def _unknown_key(loc: Loc, value: Any) -> str:
    models: dict[int, type[BaseModel]] = {1: RuleBook, 3: Rule}
    known = list(models.get(len(loc), Check).model_fields)
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; {misread_text(str(loc[-1]), value) or 'known here: ' + ', '.join(known)}"


def _hint(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, tuple) and all(isinstance(one, str) for one in value):
        return f'; quote it if it is text: "[{", ".join(value)[:60]}]"'
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes if it is text"
    if kind == "float_type" and isinstance(value, str):
        try:
            return f"; write {float(value)} without quotes"  # YAML reads 1e3 as text, 1.0e+3 as a number
        except ValueError:
            return ""
    return ""


def _show(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, bool):
        return f"the YAML word for {str(value).lower()}"
    return {tuple: "a list", dict: "keys and values", type(None): "nothing"}.get(type(value), str(value)[:40])
