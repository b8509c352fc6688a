"""Which pictures of a request are left out where there are too many, by what each is there for."""

from collections.abc import Sequence

_FIRST_OUT = ("crop", "marks", "reference", "side")
"""What is left out, in this order; other views of the part and closer looks never are."""
_FIELDS = 9
"""Fields of a sheet up to which all are large enough: a scan's plain sides and further references are left off then."""


def spared_by_a_sheet(roles: Sequence[str]) -> frozenset[int]:
    """Return which pictures of a request a sheet is better without, as long as it has many fields.

    Where a scan's strongest places are shown closer and beside references: its plain sides, and references but one.

    Args:
        roles: what each picture is there for, in order.
    """
    return left_out_of(len(roles), _FIELDS, roles, ("side", "reference")) if "side" in roles else frozenset()


def left_out_of(count: int, most: int, roles: Sequence[str], first_out: Sequence[str] = _FIRST_OUT) -> frozenset[int]:
    """Return which of `count` pictures are left out so that `most` remain, as far as their roles allow."""
    dropped: list[int] = []
    for role in first_out:
        places = [i for i in range(count) if i < len(roles) and roles[i] == role]
        for place in reversed(places[1:] if role == "reference" else places):
            if count - len(dropped) > most:
                dropped.append(place)
    return frozenset(dropped)
