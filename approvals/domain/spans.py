"""Durations as people write them: ``4 h``, ``1 d 12 h``, ``-30 min``. Pure."""

from __future__ import annotations

import re

UNITS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
"""Unit -> seconds, the longest first."""
_WORDS = {
    "d": "d", "day": "d", "days": "d", "h": "h", "hour": "h", "hours": "h", "hr": "h", "m": "min", "min": "min",
    "minute": "min", "minutes": "min", "s": "s", "sec": "s", "second": "s", "seconds": "s",
}  # fmt: skip
_PART = re.compile(r"(\d{1,9})\s*([a-z]+)\s*")


def read_span(text: str) -> int | None:
    """Seconds of a duration, whole; None when it is not understood. A sign stands in front of all of it.

    Units are ``d h min s`` and their English words; each may occur once. A number without a unit is not a
    duration: nobody should have to guess whether it is minutes.
    """
    rest = text.strip().casefold().replace("\u2212", "-")
    sign = -1 if rest.startswith("-") else 1
    rest = rest.lstrip("+-").lstrip() if rest[:1] in ("+", "-") else rest
    if not rest:
        return None
    total, seen = 0, set()
    while rest:
        part = _PART.match(rest)
        unit = _WORDS.get(part[2]) if part else None
        if part is None or unit is None or unit in seen:
            return None
        seen.add(unit)
        total += int(part[1]) * UNITS[unit]
        rest = rest[part.end() :]
    return sign * total


def write_span(seconds: int) -> str:
    """A duration as `read_span` reads it: ``1 d 12 h``."""
    if seconds == 0:
        return "0 s"
    left, parts = abs(seconds), []
    for unit, size in UNITS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return ("-" if seconds < 0 else "") + " ".join(parts)
