"""Proposals: what an engineer's correction would change in the rule book; nothing is written before a yes.

Every correction becomes a change of the rule book's file, since that is what the next inspection reads: a rule, a word
for a defect, an ignored box, or a reference.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from converters.view import BoxXyxyn
from vlm_inspect.chat.places import box_to_ignore
from vlm_inspect.chat.rule_edits import Entry, add_entry, replace_entry
from vlm_inspect.errors import RuleError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.real_path import real_path
from vlm_inspect.rules import Rule, RuleBook, load_rules, parse_rules, resolve_references
from vlm_inspect.store.case import Case
from vlm_inspect.tools.arguments import Arguments, BoxPermille
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.result import ToolError, ToolResult

Kind = Literal["rule", "remove_rule", "defect", "ignore", "reference"]
_KEYS: dict[Kind, str] = {
    "rule": "rules",
    "remove_rule": "rules",
    "defect": "defects",
    "ignore": "ignore",
    "reference": "references",
}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class Proposal:
    """One change of one rule book, checked, not made."""

    kind: Kind
    title: str
    reason: str
    path: Path
    raw: bytes
    """The file as it was when this was proposed."""
    before: str
    after: str
    old: RuleBook
    new: RuleBook

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        lines = difflib.unified_diff(
            self.before.splitlines(),
            self.after.splitlines(),
            str(self.path),
            f"{self.path} (proposed)",
            lineterm="",
            n=2,
        )
        return "\n".join(lines)

    @property
    def payload(self) -> Mapping[str, Any]:
        """The change as the store keeps it."""
        return {"title": self.title, "reason": self.reason, "rules": str(self.path), "diff": self.diff}

    def apply(self) -> None:
        """Write the changed rule book, whole or not at all.

        Raises:
            RuleError: the file changed since.
            OutputError: it cannot be written.
        """
        if _read(self.path) != self.raw:
            raise RuleError(f"{self.path} changed since this was proposed; propose it again")
        text = self.after.replace("\n", "\r\n") if b"\r\n" in self.raw else self.after
        write_atomically(self.path, (_BOM if self.raw.startswith(_BOM) else b"") + text.encode("utf-8"))


class ProposeChange(Arguments):
    """What a model proposes."""

    kind: Kind
    reason: str
    rule_id: str | None = None
    text: str | None = None
    severity: Literal["critical", "major", "minor"] | None = None
    measure: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    view: int | None = None
    box: BoxPermille | None = None


class Corrector:
    """Makes proposals for the rule book of a case."""

    def __init__(self, case: Case, path: Path | None) -> None:
        """Propose changes of the rule book at `path`; None: there is none, and nothing can be kept."""
        self._case = case
        self.path = path
        self.pending: list[Proposal] = []
        """Proposals of the model that nobody has decided on."""

    def current(self) -> RuleBook:
        """Return the rules as they are now: those of the file, or of the case where there is no file."""
        return self._case.rules if self.path is None else load_rules(self.path)

    def propose_rule(
        self,
        rule_id: str,
        text: str | None,
        *,
        severity: str | None = None,
        check: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> Proposal:
        """Propose a new rule, or other values of one that is there.

        Raises:
            RuleError: the result would be no rule book.
        """
        known = self.current().rule(rule_id)
        index = None if known is None else self.current().rules.index(known)
        entry = _rule_entry(known, rule_id, text, severity, check)
        title = f"add the rule {rule_id}" if known is None else f"change the rule {rule_id}"
        return self._propose("rule", title, reason, entry, index)

    def propose_removal(self, rule_id: str, *, reason: str = "") -> Proposal:
        """Propose to take a rule away; see `propose_rule`."""
        known = self.current().rule(rule_id)
        if known is None:
            names = ", ".join(rule.id for rule in self.current().rules) or "none"
            raise RuleError(f"there is no rule {rule_id!r} to remove; the rules are: {names}")
        index = self.current().rules.index(known)
        return self._propose("remove_rule", f"remove the rule {rule_id}", reason, None, index)

    def propose_defect(self, word: str, *, reason: str = "") -> Proposal:
        """Propose a word more for the kinds of defects; see `propose_rule`."""
        return self._propose("defect", f"add {word!r} to the kinds of defects", reason, word.strip(), None)

    def propose_ignore(self, view: int, box_xyxyn: BoxXyxyn, *, margin: float = 0.05, reason: str = "") -> Proposal:
        """Propose a box that never counts, around a place of a view; see `propose_rule`."""
        box = box_to_ignore(view, box_xyxyn, self._case.views, margin)
        shown = ", ".join(f"{value:g}" for value in box)
        return self._propose("ignore", f"ignore the box [{shown}] of every view", reason, list(box), None)

    def propose_reference(self, path: Path | None = None, *, reason: str = "") -> Proposal:
        """Propose a file, by default the inspected one, as a known-normal sample; see `propose_rule`."""
        sample = (path or self._case.source).absolute()
        if not sample.exists():
            raise RuleError(f"{sample} is not there any more; name the file of a normal part")
        book = self.current()
        if book.references and real_path(sample) in {real_path(known) for known in resolve_references(book)}:
            raise RuleError(f"{sample} is a reference of {self.path} already")
        entry = os.path.relpath(real_path(sample), book.folder)
        proposal = self._propose("reference", f"make {sample.name} a known-normal reference", reason, entry, None)
        resolve_references(proposal.new)
        return proposal

    def take_call(self, material: Material, given: ProposeChange) -> ToolResult:
        """Put a model's proposal to the engineer; this is the tool `propose_change`."""
        try:
            proposal = self._of_call(material, given)
        except RuleError as error:
            raise ToolError(f"this change cannot be made: {error}") from error
        self.pending.append(proposal)
        return ToolResult(f"Put to the engineer, who decides after your answer: {proposal.title}.\n{proposal.diff}")

    def _of_call(self, material: Material, given: ProposeChange) -> Proposal:
        if given.kind == "rule":
            bounds = {"measure": given.measure, "min": given.minimum, "max": given.maximum}
            check = {name: value for name, value in bounds.items() if value is not None}
            rule_id = _needed(given, "rule_id")
            return self.propose_rule(rule_id, given.text, severity=given.severity, check=check, reason=given.reason)
        if given.kind == "remove_rule":
            return self.propose_removal(_needed(given, "rule_id"), reason=given.reason)
        if given.kind == "defect":
            return self.propose_defect(_needed(given, "text"), reason=given.reason)
        if given.kind == "ignore":
            if given.view is None or given.box is None:
                raise ToolError("kind ignore needs view and box")
            box = material.box(given.view, given.box)
            return self.propose_ignore(given.view, box, margin=0.0, reason=given.reason)
        return self.propose_reference(reason=given.reason)

    def _propose(self, kind: Kind, title: str, reason: str, entry: Entry | None, index: int | None) -> Proposal:
        if self.path is None:
            raise RuleError("this case has no rule book that could be changed; resume it with --rules FILE")
        raw = _read(self.path)
        before = raw.removeprefix(_BOM).decode("utf-8").replace("\r\n", "\n")
        key = _KEYS[kind]
        if index is not None:
            after = replace_entry(before, key, index, entry)
        elif entry is None:
            raise RuleError(f"there is nothing to change in {key}")
        else:
            after = add_entry(before, key, entry)
        old = load_rules(self.path)
        new = parse_rules(after, name=f"{self.path} as proposed", folder=real_path(self.path).parent)
        if old.model_dump() == new.model_dump():
            raise RuleError(f"{self.path} says that already; there is nothing to change")
        if old.model_dump(exclude={key}) != new.model_dump(exclude={key}):
            raise RuleError(f"{self.path} is written in a way that cannot be edited here; change {key} by hand")
        return Proposal(kind, title, reason, self.path, raw, before, after, old, new)


def _rule_entry(
    known: Rule | None, rule_id: str, text: str | None, severity: str | None, check: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a rule as its YAML holds it, with what is given in place of what was there."""
    if known is None and not text:
        raise RuleError(f"the new rule {rule_id!r} needs its text: what is true of a normal part")
    entry: dict[str, Any] = {"id": rule_id, "text": text or (known.text if known else "")}
    entry["severity"] = severity or (known.severity if known else "major")
    own = known.check.model_dump(exclude_none=True) if known is not None and known.check is not None else {}
    if own or check:
        entry["check"] = {**own, **(check or {})}
    return entry


def _needed(given: ProposeChange, name: str) -> str:
    value = getattr(given, name)
    if not value:
        raise ToolError(f"kind {given.kind} needs {name}")
    return str(value)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RuleError(f"{path} cannot be read: {error.strerror or error}") from error
