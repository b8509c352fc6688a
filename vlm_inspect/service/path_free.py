"""Answers without the paths of this machine, and without advice for its command line, which callers do not have."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from vlm_inspect.real_path import real_path

_ABSOLUTE = re.compile(r"""(?<![\w/:.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:;,'"<>|()\[\]]+){2,}[/\\]?""")
"""A path of two parts or more: /v1 and 3/4 are none."""

_COMMAND = re.compile(r"\bvlm-inspect [a-z]|(?<!\S)--[a-z]")


class PathFree:
    """Takes paths out of texts: what a message names is told by its last part."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Know the folders of the service: whatever lies in them is told relative to them, spaces and all."""
        known = {str(one) for folder in folders for one in (folder.absolute(), real_path(folder))}
        self._known = [
            (re.compile(rf"(?<![\w./\\-]){re.escape(one)}(?P<on>/|(?![\w.-]))"), PurePath(one).name)
            for one in sorted(known, key=len, reverse=True)
            if len(PurePath(one).parts) > 1
        ]

    def message(self, text: str) -> str:
        """Return an error's text without any path, and without the clauses that name commands or options."""
        free = _ABSOLUTE.sub(lambda found: PurePath(found[0].replace("\\", "/")).name, self.text(text))
        clauses = free.split("; ")
        return "; ".join(clause for clause in clauses if not _COMMAND.search(clause)) or free

    def text(self, text: str) -> str:
        """Return a text without the service's own folders; other words with slashes stay as they are."""
        for folder, name in self._known:
            text = folder.sub(lambda found, name=name: "" if found["on"] else name, text)  # type: ignore[misc]
        return text

    def values(self, told: Any) -> Any:
        """Return JSON values whose texts name none of the service's own folders."""
        if isinstance(told, str):
            return self.text(told)
        if isinstance(told, dict):
            return {key: self.values(value) for key, value in told.items()}
        if isinstance(told, list | tuple):
            return [self.values(value) for value in told]
        return told
