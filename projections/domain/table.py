"""Traces as lines of a CSV file. Event text is hostile: a spreadsheet must not run it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMNS: tuple[str, ...] = (
    "trace_id",
    "kind",
    "workflow",
    "title",
    "status",
    "outcome",
    "entity_type",
    "entity_id",
    "started_at",
    "finished_at",
    "last_event_at",
    "event_count",
    "last_policy",
    "last_policy_decision",
    "policies",
    "actors",
    "open_exceptions",
    "open_approvals",
    "actions_committed",
    "actions_failed",
    "summary",
    "first_log_seq",
    "last_log_seq",
)
"""The columns in their order; the first line names them."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet."""


def cell(value: Any) -> str:
    """A value as text; one that a spreadsheet would run begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    text = str(value)
    return "'" + text if isinstance(value, str) and text.startswith(FORMULA) else text


def row_of(trace: Mapping[str, Any], columns: Sequence[str] = COLUMNS) -> list[Any]:
    """The cells of a trace as the API shows it, in some columns."""
    entity = trace["primary_entity"] or {}
    policy = trace["last_policy"] or {}
    named = "@".join(part for part in (policy.get("policy_id"), policy.get("policy_version")) if part)
    known = {
        **trace,
        "entity_type": entity.get("entity_type"),
        "entity_id": entity.get("entity_id"),
        "last_policy": named or None,
        "last_policy_decision": policy.get("decision"),
    }
    return [known[column] for column in columns]


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """CSV (RFC 4180)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([[cell(value) for value in row] for row in rows])
    return out.getvalue()
