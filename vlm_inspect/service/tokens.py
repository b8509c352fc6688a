"""Who may use a service: names, roles and the digests of their tokens, in a text file.

    # NAME ROLE SHA-256 of the token
    line-3 operator 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

Tokens are 256 random bits (`vlm-inspect token`), so that a plain digest cannot be turned back. The file is read again
when it changes: who is taken out of it is out at once.
"""

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlm_inspect.errors import ConfigError

Role = Literal["operator", "engineer"]
ROLES: tuple[Role, ...] = ("operator", "engineer")
"""An operator inspects, talks and judges; an engineer also changes rule books and calibrations, and reads the audit."""
ENVIRONMENT = "VLM_INSPECT_TOKEN"
"""Holds one engineer's token, where no file is named."""
_LEAST_LENGTH = 16
_LINE = re.compile(r"(?P<name>[\w.@+-]{1,60})\s+(?P<role>operator|engineer)\s+(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class Person:
    """Somebody, or some machine, who uses the service."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Return whether this person has the role, or one above it."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Entry:
    """One line of the file."""

    person: Person
    digest: str
    """SHA-256 of the token, hexadecimal."""


class Tokens:
    """The tokens of a service."""

    def __init__(self, path: Path | None = None, *, token: str | None = None) -> None:
        """Read the tokens.

        Args:
            path: the file; None: none.
            token: an engineer's token beside the file.

        Raises:
            ConfigError: the file cannot be read, or says something else; the token is too short.
        """
        if token is not None and len(token) < _LEAST_LENGTH:
            raise ConfigError(f"{ENVIRONMENT} has fewer than {_LEAST_LENGTH} characters; vlm-inspect token makes one")
        self._own = () if token is None else (Entry(Person("engineer", "engineer"), digest_of(token)),)
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._entries: Sequence[Entry] = ()
        self.entries()

    @property
    def are_asked_for(self) -> bool:
        """Whether anybody needs a token at all."""
        return self._path is not None or bool(self._own)

    def entries(self) -> Sequence[Entry]:
        """Return all entries, as the file has them now.

        Raises:
            ConfigError: see the constructor.
        """
        if self._path is None:
            return self._own
        with self._lock:
            try:
                told = self._path.stat()
                stamp = (told.st_mtime_ns, told.st_size)
                if stamp != self._stamp:
                    self._entries = (*self._own, *read_entries(self._path.read_text(encoding="utf-8"), self._path))
                    self._stamp = stamp
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{self._path} cannot be read as a file of tokens; check it") from error
            return self._entries

    def who(self, token: str) -> Entry | None:
        """Return whose token this is, in a time that does not tell how much of it is right."""
        digest = digest_of(token)
        found = None
        for entry in self.entries():  # all of them, always
            if hmac.compare_digest(entry.digest, digest):
                found = entry
        return found

    def named(self, name: str) -> Sequence[Entry]:
        """Return the entries of a name."""
        return [entry for entry in self.entries() if entry.person.name == name]


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def entry_line(name: str, role: Role, token: str) -> str:
    """Return the line of the file for a token.

    Raises:
        ConfigError: the name has other signs than letters, digits and . _ @ + -, or more than 60.
    """
    line = f"{name} {role} {digest_of(token)}"
    if not _LINE.fullmatch(line):
        raise ConfigError(f"{name!r} cannot name a person; take letters, digits and . _ @ + -, at most 60")
    return line


def read_entries(text: str, path: Path) -> list[Entry]:
    """Return the entries of a file's text.

    Raises:
        ConfigError: a line is something else, or there is none; it names the line, never what is in it.
    """
    roles: Mapping[str, Role] = {role: role for role in ROLES}
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ConfigError(f"{path}, line {number}: write NAME operator|engineer SHA256; vlm-inspect token does")
        entries.append(Entry(Person(found["name"], roles[found["role"]]), found["digest"]))
    if not entries:
        raise ConfigError(f"{path} names nobody; add a line with vlm-inspect token NAME --tokens {path}")
    return entries
