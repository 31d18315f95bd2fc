"""Changes as the templates draw them: short texts, types named where only they differ."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from traces.domain.diff import Change, spell, type_name

LONG = 400
"""Characters of a value that are shown; the whole value is in the payload."""
_WORDS = {
    "added": "only right",
    "removed": "only left",
    "changed": "changed",
    "type_changed": "other type",
    "moved": "moved",
}


def rows(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The context of ``components/changes.html``: path, word and both values of each change."""
    return [_row(change) for change in changes]


def _row(change: Change) -> dict[str, Any]:
    typed = change.kind == "type_changed"
    row: dict[str, Any] = {"path": change.path, "kind": change.kind, "word": _WORDS[change.kind]}
    if change.kind == "moved":
        row |= {"left": spell(change.left_path), "right": spell(change.right_path)}
    else:
        row["left"] = None if change.kind == "added" else short(change.left, typed=typed)
        row["right"] = None if change.kind == "removed" else short(change.right, typed=typed)
    return row


def short(value: Any, *, typed: bool = False, limit: int = LONG) -> str:
    """A value in one piece of text; with ``typed`` its JSON type is said and texts are quoted."""
    if isinstance(value, str) and not typed:
        said = value or '""'
    else:
        said = orjson.dumps(value).decode()
    if len(said) > limit:
        said = said[: limit - 1] + "…"
    return f"{said} ({type_name(value)})" if typed else said
