"""YAML from strangers, read strictly: plain data only, bounded, and every value knows its line.

`read_yaml` refuses what a hand-written file never needs (tags that build Python objects, alias bombs, duplicate
keys, deep nesting) before anything is built, and returns the data beside a map from its keys to their lines, so that
whoever validates the data can say where it is wrong.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
MAX_VALUES = 20_000
"""Most values after every alias is written out."""

Loc = tuple[int | str, ...]
_PLAIN_TAGS = "tag:yaml.org,2002:"


class YamlError(ValueError):
    """A text is not acceptable YAML; `line` counts from 1, `key` is "" where none is at fault."""

    def __init__(self, message: str, *, line: int = 1, key: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.key = key


@dataclass(frozen=True)
class Document:
    """One YAML text: `data` (dicts, tuples, scalars) and the line of every key and item."""

    data: Any
    lines: dict[Loc, int] = field(default_factory=dict)

    def line(self, loc: Loc) -> int:
        """Return the line of a place, from 1; of the nearest enclosing place where it has none of its own."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def read_yaml(text: str) -> Document:
    """Return the data of one YAML text; sequences become tuples.

    Raises:
        YamlError: not YAML, more than one document, or something that such a file may not hold.
    """
    if len(text) > MAX_BYTES:
        raise YamlError(f"{len(text):,} characters; at most {MAX_BYTES:,} are read")
    try:
        _check_events(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise YamlError("it is empty")
        lines: dict[Loc, int] = {}
        data = _Builder(lines).build(root, ())
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        problem = e.problem or e.context or ""
        raise YamlError(f"not YAML: {problem}{_quoting(problem)}", line=mark.line + 1 if mark else 1) from e
    except yaml.YAMLError as e:  # an unprintable character: the reader has no mark, only words
        raise YamlError(f"not YAML: {' '.join(str(e).split())}") from e
    return Document(data, lines)


def key_path(loc: Loc) -> str:
    """Write a place as a person would: ("rules", 1, "check", "min") -> "rules[1].check.min"."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return words.removeprefix(".")


def misread_text(key: str, value: Any) -> str:
    """Return a hint where an unknown key is the rest of an unquoted text or number that a comma cut; "" elsewhere.

    Args:
        key: as it was read: of `{text: It is red, not blue}` this is "not blue".
        value: its value; None where there is none, as behind a comma.
    """
    if value is None and key.isdigit():
        return "a decimal sign is a point: write 19.7, not 19,7"
    if value is None or " " in key:
        return f'a comma ends an unquoted text; if {key!r} belongs to the text before it, quote the text: "..., {key}"'
    return ""


def _quoting(problem: str) -> str:
    """Return a hint for what YAML says of an unquoted text."""
    if "mapping values are not allowed" in problem:
        return "; quote a text that holds a colon and a space"
    signs = ("expected ',' or", "cannot start any token", "expected <block end>", "expected the node content")
    return "; quote a text that holds , : # [ ] { } or begins with a sign" if any(s in problem for s in signs) else ""


def _check_events(text: str) -> None:
    """Refuse tags and deep nesting on the event stream, which needs no recursion of its own."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        line = event.start_mark.line + 1 if event.start_mark else 1
        if depth > MAX_DEPTH:
            raise YamlError(f"nested more than {MAX_DEPTH} deep", line=line)
        tag = getattr(event, "tag", None)
        if tag and (not tag.startswith(_PLAIN_TAGS) or tag.startswith(f"{_PLAIN_TAGS}python")):
            raise YamlError(f"the tag {tag.replace(_PLAIN_TAGS, '!!')} is refused; write plain values", line=line)


class _Builder:
    """Builds data from nodes, writing aliases out under a budget."""

    def __init__(self, lines: dict[Loc, int]) -> None:
        self._lines = lines
        self._left = MAX_VALUES
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, loc: Loc) -> Any:
        """Return the value of a node; `loc` is where it stands in the document."""
        line = node.start_mark.line + 1
        self._lines.setdefault(loc, line)
        self._left -= 1
        if self._left < 0 or len(loc) > MAX_DEPTH:  # the depth also ends an alias to its own parent
            raise YamlError(
                f"aliases blow it up to more than {MAX_VALUES:,} values or {MAX_DEPTH} levels",
                line=line,
                key=key_path(loc[:1]),
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.build(item, (*loc, i)) for i, item in enumerate(node.value))
        return self._scalar(node, loc)

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        seen: dict[str, int] = {}
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = self._key(key_node, loc), key_node.start_mark.line + 1
            if key in seen:
                raise YamlError(
                    f"this key stands twice, first on line {seen[key]}", line=line, key=key_path((*loc, key))
                )
            seen[key] = line
            self._lines.setdefault((*loc, key), line)
            built[key] = self.build(value_node, (*loc, key))
        return built

    def _key(self, node: yaml.Node, loc: Loc) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise YamlError("a key must be a word", line=node.start_mark.line + 1, key=key_path(loc))
        if node.tag == f"{_PLAIN_TAGS}merge":
            raise YamlError("merge keys (<<) are not read; write the keys out", line=node.start_mark.line + 1, key="<<")
        return str(node.value)

    def _scalar(self, node: yaml.Node, loc: Loc) -> Any:
        try:
            return self._scalars.construct_object(node)
        except (ValueError, OverflowError) as e:  # 2024-13-45 looks like a date and is none
            message = f"{node.value!r} cannot be read ({e}); put it in quotes if it is text"
            raise YamlError(message, line=node.start_mark.line + 1, key=key_path(loc)) from e
