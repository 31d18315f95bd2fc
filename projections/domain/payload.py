"""Reading payloads without trusting them.

A payload was validated against the schema of its own version; a rule may meet a newer one. So
every reader here is total: a missing key or another type answers None, never an exception.
"""

from __future__ import annotations

from typing import Any

from traces.domain.envelope import Said


def part(value: Any, *path: str) -> Any:
    """The value at ``path`` inside nested objects, or None."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text(value: Any, *path: str) -> str | None:
    """The string at ``path`` inside nested objects, or None when there is no string."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value if isinstance(value, str) else None


def objects(value: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of the list at ``path``; anything else in it is left out."""
    found = part(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def strings(value: Any, *path: str) -> list[str]:
    """The strings of the list at ``path``; anything else in it is left out."""
    found = part(value, *path)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def subject_trace(event: Said) -> str | None:
    """The other trace a platform event is about (``subject.trace_id``), or None.

    Only the platform may speak about another trace: an agent's ``subject`` may carry any further
    keys, and those must not reach into somebody else's rows.
    """
    if event.origin != "platform" or event.payload is None:
        return None
    found = text(event.payload, "subject", "trace_id")
    return found if found and found != event.trace_id else None
