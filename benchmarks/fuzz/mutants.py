"""Damaged copies of a file, from a seed."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

_VALUES: tuple[Any, ...] = (
    *(None, True, [], {}, "", "x", [[]], [None], {"x": 1}, -1, 0, 0.5, 2, 1e308, -1e308, 5e-324, 2**63, 2**64, 2**2000),
    *("\udce9", "\ud800", "\0", "\x1b[2J", "9" * 5000, "../../etc/passwd", "1e999", "NaN", float("nan"), float("inf")),
)
_DEEP = 100_000
_SNIPPETS = (
    *(b"", b"\0", b"\xff\xfe", b"\xe9", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\ud800", b":", b",", b"-", b"NaN"),
    *(b"1e999", b"9" * 5000, b"[" * _DEEP, b'{"a":' * _DEEP, b"&a [*a]", b"!!python/object:os.system", b"null", b"\n"),
)


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes cut, flipped, doubled, or with something put in."""
    at = rng.randrange(len(data) + 1)
    way = rng.randrange(5)
    if way == 0:
        return data[:at]
    if way == 1:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 4, 64))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if way == 2:
        until = min(len(data), at + rng.choice((1, 8, 100)))
        return data[:at] + data[until:]
    if way == 3:
        until = min(len(data), at + rng.choice((8, 100, 1000)))
        return data[:until] + data[at:]
    return data[:at] + rng.choice(_SNIPPETS) + data[at + rng.choice((0, 1, 10)) :]


def damaged_values(value: Any, rng: random.Random) -> Any:
    """Return plain JSON values with one to three of them replaced, removed, added or doubled."""
    changed = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(changed))
        if not places:
            return rng.choice(_VALUES)
        holder, key = rng.choice(places)
        way = rng.randrange(8)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[str(rng.choice(_VALUES))[:40]] = holder[key]
        elif way == 1:
            holder.insert(0, holder[key])
        elif way == 2 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * rng.choice((-1, 1e6, 1e300, 0))
        else:
            holder[key] = rng.choice(_VALUES)
    return changed


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """Return JSON text whose values are damaged, or whose bytes are."""
    if rng.random() < 0.25:
        return damaged_bytes(data, rng)
    text = json.dumps(damaged_values(json.loads(data), rng))
    return text.encode()


def damaged_lines(data: bytes, rng: random.Random) -> bytes:
    """Return JSON lines of which one is damaged."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = damaged_json(lines[at], rng)
    return b"\n".join(lines) + b"\n"


def damaged_yaml(data: bytes, rng: random.Random) -> bytes:
    """Return YAML text whose values are damaged, or whose bytes are."""
    import yaml

    if rng.random() < 0.35:
        return damaged_bytes(data, rng)
    changed = damaged_values(yaml.safe_load(data), rng)
    return json.dumps(changed).encode() if rng.random() < 0.3 else yaml.safe_dump(changed, allow_unicode=False).encode()


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bytes": damaged_bytes,
    "json": damaged_json,
    "lines": damaged_lines,
    "yaml": damaged_yaml,
}


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
