"""All replays as their page shows them: those that run, those that ran, the one figure of the Overview."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from decisiongraph.core.api import decode_cursor, encode_cursor
from decisiongraph.core.templatetags.dg.words import counted, number, percent
from replays import selectors
from replays.console.words import MODES, left, person, running, status_of, url_of
from replays.domain import verdict as life
from replays.selectors import ReplayView

SHOWN = 20


def listing(request: Any, cursor: str | None) -> dict[str, Any]:
    before = _position(cursor)
    active = selectors.replays(request.tenant, active_only=True, limit=SHOWN)
    found = selectors.replays(request.tenant, limit=SHOWN + 1 + len(active), before=before)
    over = [view for view in found if view.row.status not in life.ACTIVE]
    following = None
    if len(over) > SHOWN:
        last = over[SHOWN - 1].row
        following = encode_cursor(last.created_at.isoformat(), str(last.pk))
    return {
        "hero": _hero(active, over if before is None else []),
        "running": [running(request, view) for view in active],
        "replays": [_line(request, view) for view in over[:SHOWN]],
        "first_page": before is None,
        "older": following,
        "at": cursor or "",
    }


def _position(cursor: str | None) -> tuple[datetime, uuid.UUID] | None:
    found = decode_cursor(cursor, datetime, uuid.UUID)
    return (found[0], found[1]) if found else None


def _hero(active: Sequence[ReplayView], over: Sequence[ReplayView]) -> dict[str, str]:
    if active:
        first = active[0]
        said = f"{MODES[first.row.mode].capitalize()} of {first.row.projection} is {status_of(first)}"
        title = said if len(active) == 1 else f"{said}, and {counted(len(active) - 1, 'more replay')} with it"
        text = f"{percent(first.progress)} done, {left(first)}. Cancelling leaves the live rows as they are."
        return {"state": status_of(first), "title": title, "text": text}
    if not over:
        return {
            "state": "queued",
            "title": "No replay has run yet",
            "text": "A replay folds the log again. A verify compares that with what readers see and changes nothing.",
        }
    last = over[0]
    what = f"{MODES[last.row.mode]} of {last.row.projection}"
    said = last.row.verdict or last.row.status
    ends = {
        "match": f"The last {what} agrees with the log",
        "mismatch": f"The last {what} disagrees with the log",
        "incomparable": f"The last {what} could not be compared",
        "failed": f"The last {what} failed",
        "cancelled": f"The last {what} was cancelled",
        "completed": f"The last {what} is complete",
    }
    return {"state": said, "title": ends.get(said, f"The last {what} is over"), "text": "No replay is running."}


def figure(request: Any) -> dict[str, Any]:
    active = selectors.replays(request.tenant, active_only=True, limit=SHOWN)
    first = active[0] if active else None
    detail = f"{MODES[first.row.mode]}, {percent(first.progress)}, {left(first)}" if first else "no rows are rebuilt"
    return {
        "label": "Replays",
        "value": number(len(active)),
        "unit": "running",
        "detail": detail,
        "state": status_of(first) if first else "idle",
        "url": f"/t/{request.tenant.slug}/replays" if len(active) != 1 or not first else url_of(request, first.row),
    }


def _line(request: Any, view: ReplayView) -> dict[str, Any]:
    row = view.row
    took = (row.finished_at - (row.started_at or row.created_at)).total_seconds() if row.finished_at else None
    return {
        "id": row.pk,
        "url": url_of(request, row),
        "mode": MODES[row.mode],
        "projection": row.projection,
        "created_at": row.created_at,
        "requested_by": person(row.requested_by),
        "status": view.status,
        "verdict": row.verdict,
        "promoted": row.promoted,
        "events": view.position,
        "took": took,
    }
