"""Sessions of browsers: a cookie that is signed, ends, and dies with its token; a proof against forged requests."""

import hashlib
import hmac
import secrets
import time
from pathlib import Path

from vlm_inspect.errors import StoreError
from vlm_inspect.service.tokens import Entry, Tokens
from vlm_inspect.store.files import PRIVATE_FILE

COOKIE = "vlm_inspect_session"
LONGEST_S = 12 * 3600
"""A session ends after a shift, in seconds."""


class Sessions:
    """Signs and reads cookies: NAME.END.MAC, with a key that stays on this machine."""

    def __init__(self, key_file: Path, tokens: Tokens) -> None:
        """Use the key of a file, which is made where there is none.

        Raises:
            StoreError: it cannot be read or made.
        """
        self._tokens = tokens
        try:
            if not key_file.exists():
                key_file.touch(mode=PRIVATE_FILE)
                key_file.write_bytes(secrets.token_bytes(32))
            self._key = key_file.read_bytes()
        except OSError as error:
            raise StoreError(f"the key of the sessions cannot be used: {error.strerror or error}") from error
        if len(self._key) < 32:
            raise StoreError("the key of the sessions is damaged; remove the file session.key of the service's data")

    def begin(self, entry: Entry) -> str:
        """Return the cookie of somebody who has shown a token."""
        end = str(int(time.time()) + LONGEST_S)
        return f"{entry.person.name}|{end}|{self._mac('session', entry.person.name, end, entry.digest)}"

    def who(self, cookie: str) -> Entry | None:
        """Return whose cookie this is; None: nobody's, or not any more."""
        name, _, rest = cookie.partition("|")
        end, _, mac = rest.partition("|")
        if not end.isdecimal() or len(end) > 12 or int(end) < time.time():
            return None
        found = None
        for entry in self._tokens.named(name):
            if hmac.compare_digest(self._mac("session", name, end, entry.digest).encode(), mac.encode()):
                found = entry
        return found

    def proof(self, cookie: str) -> str:
        """Return what a page of this session sends back with every change (against forged requests)."""
        return self._mac("proof", cookie)

    def is_proof(self, cookie: str, given: str) -> bool:
        """Return whether it is that."""
        return hmac.compare_digest(self.proof(cookie).encode(), given.encode())

    def _mac(self, *parts: str) -> str:
        return hmac.new(self._key, "\n".join(parts).encode("utf-8", "replace"), hashlib.sha256).hexdigest()
