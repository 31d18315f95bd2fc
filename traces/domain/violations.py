"""One finding about a piece of input, and how a place inside JSON is spelled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_LONGEST_KEY = 64


class Violation(NamedTuple):
    """Why a piece of input is refused. Never carries the offending value."""

    path: str
    """Where, for example ``payload.facts[0].key``; empty for the document itself."""
    code: str
    """``noun.problem``, stable."""
    detail: str
    """A sentence that says how to fix it."""
    status: int = 422
    """The HTTP status this violation alone would be answered with."""

    def as_error(self) -> dict[str, str]:
        """The shape of one entry of ``errors`` in a problem document."""
        return {"path": self.path, "code": self.code, "detail": self.detail}


_RANK = {403: 0, 413: 1, 400: 2, 422: 3}


def status_of(violations: Iterable[Violation]) -> int:
    """The status that answers several violations: a prohibition first, then size, form, content."""
    return min((v.status for v in violations), key=lambda status: _RANK.get(status, 9), default=422)


def member(path: str, key: str) -> str:
    """The path of a member of the object at ``path``."""
    if _PLAIN_KEY.fullmatch(key) and len(key) <= _LONGEST_KEY:
        return f"{path}.{key}" if path else key
    shown = key if len(key) <= _LONGEST_KEY else key[:_LONGEST_KEY] + "..."
    printable = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in shown)
    return f'{path}["{printable}"]'


def item(path: str, index: int) -> str:
    """The path of an item of the array at ``path``."""
    return f"{path}[{index}]"


def spell(loc: Sequence[str | int], prefix: str = "") -> str:
    """A path from its steps: text is a member, a number an item."""
    path = prefix
    for step in loc:
        path = item(path, step) if isinstance(step, int) else member(path, step)
    return path
