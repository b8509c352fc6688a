"""Small changes of a rule book's YAML: one entry more, other or less; all else stays as it was written.

Only the lines of the changed entry are written anew, so that comments and order survive and the diff is short. The
parsed result is compared with what the change means; a text that cannot be edited this way is refused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from vlm_inspect.errors import RuleError

_PLAIN = re.compile(r"[A-Za-z./](?:[\w .;/()'+*-]*[\w.;/()])?")
_WHOLE = 1e15
"""Numbers without a fraction below this are written without a point."""
Entry = Mapping[str, Any] | Sequence[Any] | str


def add_entry(text: str, key: str, entry: Entry) -> str:
    """Return the text with an entry more at the end of a list; the list is made where it is missing.

    Raises:
        RuleError: the text is no mapping, or the key holds no list.
    """
    node = _list_of(text, key)
    if node is None:
        separator = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{separator}{_whole_list(key, [entry])}"
    if node.flow_style:
        at = node.end_mark.index - 1
        comma = ", " if node.value else ""
        before = text[:at].rstrip(" ")
        if before.endswith(","):  # a trailing comma stands already
            comma = " "
        return f"{before}{comma}{_flow(entry)}{text[at:]}"
    last = node.value[-1]
    return _replaced(text, _end_of(text, last), _end_of(text, last), _block(entry, _dash_column(text, node.value[0])))


def replace_entry(text: str, key: str, index: int, entry: Entry | None) -> str:
    """Return the text with an entry of a list written anew; None removes it.

    Raises:
        RuleError: the key holds no list with such an entry.
    """
    node = _list_of(text, key)
    if node is None or not 0 <= index < len(node.value):
        raise RuleError(f"the rule book has no {key}[{index}]")
    item = node.value[index]
    if node.flow_style:
        return _in_flow(text, node, index, entry)
    column = _dash_column(text, item)
    start = text.rfind("\n", 0, item.start_mark.index) + 1
    if len(node.value) == 1 and entry is None:
        head = text.rfind("\n", 0, start - 1) + 1
        return text[:head] + f"{key}: []\n" + text[_end_of(text, item) :]
    return _replaced(text, start, _end_of(text, item), "" if entry is None else _block(entry, column))


def _in_flow(text: str, node: yaml.SequenceNode, index: int, entry: Entry | None) -> str:
    item = node.value[index]
    if entry is not None:
        return text[: item.start_mark.index] + _flow(entry) + text[item.end_mark.index :]
    if len(node.value) == 1:
        return text[: item.start_mark.index] + text[item.end_mark.index :]
    if index:
        return text[: node.value[index - 1].end_mark.index] + text[item.end_mark.index :]
    return text[: item.start_mark.index] + text[node.value[1].start_mark.index :]


def _list_of(text: str, key: str) -> yaml.SequenceNode | None:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise RuleError(f"the rule book is not YAML any more: {' '.join(str(error).split())}") from error
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise RuleError("the rule book is not written as keys and values, line by line; edit it by hand")
    for name, value in root.value:
        if name.value == key:
            if not isinstance(value, yaml.SequenceNode):
                raise RuleError(f"the key {key} of the rule book holds no list; edit it by hand")
            return value
    return None


def _end_of(text: str, node: yaml.Node) -> int:
    """Return where the line after a node's last line begins; blank lines and comments below it stay below."""
    end = node.end_mark.index
    content = text[node.start_mark.index : end]
    lines = content.splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        end -= len(lines.pop())
    if end and text[end - 1] == "\n":
        return end
    line_end = text.find("\n", end)
    return len(text) if line_end < 0 else line_end + 1


def _dash_column(text: str, item: yaml.Node) -> int:
    start = text.rfind("\n", 0, item.start_mark.index) + 1
    return text.index("-", start) - start


def _replaced(text: str, start: int, end: int, lines: str) -> str:
    head = text[:start]
    if lines and head and not head.endswith("\n"):
        head += "\n"
    return head + lines + text[end:]


def _block(entry: Entry, column: int) -> str:
    indent = " " * column
    if not isinstance(entry, Mapping):
        return f"{indent}- {_flow(entry)}\n"
    rows = [f"{key}: {_flow(value)}" for key, value in entry.items()]
    return "".join(f"{indent}{'- ' if not i else '  '}{row}\n" for i, row in enumerate(rows))


def _whole_list(key: str, entries: Sequence[Entry]) -> str:
    if all(not isinstance(entry, Mapping) for entry in entries):
        return f"{key}: [{', '.join(map(_flow, entries))}]\n"
    return f"{key}:\n" + "".join(_block(entry, 2) for entry in entries)


def _flow(value: Any) -> str:
    """Return a value on one line of YAML."""
    if isinstance(value, str):
        return _scalar(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    return json.dumps(value)


def _scalar(text: str) -> str:
    """Return text as YAML: plain where a reader of YAML finds the same text again, else in JSON's quotes."""
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)
