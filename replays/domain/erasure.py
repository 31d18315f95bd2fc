"""Which texts an erasure has to make sure of, and the life of an erasure. Pure.

An erased payload is looked for everywhere it may have been copied to. What is looked for is chosen here:
whatever the requester names, and by itself every text of the payload that is long and unlike a word of the
vocabulary. What other events of the log still say for themselves is subtracted by whoever reads the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Literal

Status = Literal["surveying", "waiting", "running", "completed", "incomplete", "withdrawn"]

ACTIVE: frozenset[Status] = frozenset(("surveying", "running"))
"""States in which a worker has something to do."""
OPEN: frozenset[Status] = frozenset(("surveying", "waiting", "running"))

STEPS = ("redact", "rebuild", "purge", "scrub", "search", "verify", "prove")
"""What a confirmed erasure does, in this order; each may be done again without harm."""

SHORTEST_TOLD = 3
"""Characters of a text that the requester names."""
SHORTEST_FOUND = 8
"""Characters of a text that is chosen by itself."""
MARK = "[erased]"
"""What stands where a text was."""

_WORD = re.compile(r"[a-z]+(?:[_.-][a-z]+)*|[A-Z][a-z]+(?:[A-Z][a-z]+)*")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][0-9:.]+(?:Z|[+-]\d\d:\d\d)?)?")
_NUMBER = re.compile(r"[-+]?[\d.,]+")


def spans(positions: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of every run of positions without a gap, in order."""
    found: list[tuple[int, int]] = []
    for at in sorted(positions):
        if found and at == found[-1][1] + 1:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


def texts(value: Any) -> set[str]:
    """Every text of a JSON value; names of members are vocabulary and do not count."""
    found: set[str] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, str):
            found.add(current)
        elif isinstance(current, dict):
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)
    return found


def telling(text: str) -> bool:
    """Whether a text is worth looking for: not a short one, a word of a vocabulary, a moment or a number."""
    return len(text) >= SHORTEST_FOUND and not any(pattern.fullmatch(text) for pattern in (_WORD, _MOMENT, _NUMBER))


def spellings(wanted: Iterable[str]) -> list[str]:
    """Every form in which the texts may be stored: as they are and inside JSON, the longest first.

    The longest first, so that a replacement never leaves the rest of a longer text behind.
    """
    found: set[str] = set()
    for text in wanted:
        found |= {text, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]}
    return sorted(found, key=lambda text: (-len(text), text))


def following(step: str) -> str | None:
    """The step after this one; None behind the last."""
    at = STEPS.index(step) + 1
    return STEPS[at] if at < len(STEPS) else None
