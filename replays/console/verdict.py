"""One replay as its page shows it: facts, verdict, every row that differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from decisiongraph.core.api import encode_cursor
from decisiongraph.core.templatetags.dg.words import counted, duration, number, percent
from projections.domain.digest import key_sha
from replays import selectors
from replays.console.words import MODES, left, person, running, status_of
from replays.domain import verdict as life
from replays.models import ALL, Replay
from replays.selectors import DifferenceView, ReplayView

SHOWN_ROWS, SHOWN_FIELDS = 20, 12
LONGEST_VALUE = 400
"""Characters of one value of a differing row; the API has the whole."""


def detail(request: Any, view: ReplayView, after: tuple[Any, ...] | None) -> dict[str, Any]:
    row = view.row
    active = row.status in life.ACTIVE
    context: dict[str, Any] = {
        "replay": running(request, view),
        "active": active,
        "verdict_hero": _verdict(view),
        "children": [running(request, child) | {"found": _found(child)} for child in view.children],
        "facts": _facts(view, request.people),
        "digests": [(name, value) for name, value in _digests(row) if value],
        "row": row,
        "sums": _found(view),
    }
    if not active and _total(view):
        context |= _rows(request, view, after)
    if not active and row.verdict == "mismatch" and not row.promoted and request.principal.may("operate"):
        context["promote"] = _promote(request)
    return context


def _promote(request: Any) -> dict[str, Any]:
    action = {"label": "Promote anyway", "dialog": "promote", "kind": "danger"}
    if request.principal.may("admin"):
        return action
    return action | {"why_not": "Only an admin may replace what readers see with rows that were found to differ."}


def _total(view: ReplayView) -> int:
    return sum(child.row.differences for child in view.children) if view.children else view.row.differences


def _rows(request: Any, view: ReplayView, after: tuple[Any, ...] | None) -> dict[str, Any]:
    at = None if after is None else (after[0], after[1])
    found = selectors.differences(request.tenant, str(view.row.pk), after=at, limit=SHOWN_ROWS)
    shown = found[:SHOWN_ROWS]
    following = encode_cursor(str(shown[-1].row.replay_id), shown[-1].row.ordinal) if len(found) > SHOWN_ROWS else None
    generations = {child.row.pk: child.row.live_generation for child in view.children} or {
        view.row.pk: view.row.live_generation
    }
    return {
        "differences": [_difference(request, each, generations.get(each.row.replay_id)) for each in shown],
        "differing": sorted({key_sha(each.row.key)[0] for each in shown}),
        "following": following,
        "later_page": at is not None,
    }


def _difference(request: Any, found: DifferenceView, generation: int | None) -> dict[str, Any]:
    row, base = found.row, f"/t/{request.tenant.slug}"
    names = list(row.columns) or sorted(row.expected or row.live or {})
    live, rebuilt = row.live or {}, row.expected or {}
    if row.kind != "changed":
        names.sort(key=lambda name: (live.get(name, rebuilt.get(name)) in (None, "", [], {}), name))
    hidden = len(names) - SHOWN_FIELDS
    fields = [
        {"name": name, "live": _value(live.get(name)), "rebuilt": _value(rebuilt.get(name)), "same": False}
        for name in names[:SHOWN_FIELDS]
    ]
    words = {"missing": "only in the log", "surplus": "only in the live copy"}
    trace = quote(found.trace_id, safe="") if found.trace_id else ""
    return {
        "key": row.key,
        "url": f"{base}/traces/{quote(row.key, safe='')}" if row.table == "trace_summary" else "",
        "kind": row.kind,
        "summary": words.get(row.kind, counted(len(row.columns), "field")),
        "table": f"{found.projection}, {row.table}",
        "log_seq": row.log_seq,
        "event_type": found.event_type or "",
        "event_url": f"{base}/traces/{trace}?event={found.trace_seq}" if trace else "",
        "generation": number(generation),
        "fields": fields,
        "hidden": max(0, hidden),
    }


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _found(view: ReplayView) -> str:
    """What a comparison counted, in words."""
    rows = [child.row for child in view.children] or [view.row]
    counts = {
        "changed": sum(row.changed for row in rows),
        "missing from the live copy": sum(row.missing for row in rows),
        "only in the live copy": sum(row.surplus for row in rows),
    }
    return ", ".join(f"{number(count)} {words}" for words, count in counts.items() if count)


def _verdict(view: ReplayView) -> dict[str, str]:
    row, what = view.row, f"{MODES[view.row.mode]} of {view.row.projection}"
    status = status_of(view)
    if row.status in life.ACTIVE:
        title = f"{what.capitalize()} is {status}" if status != "queued" else f"{what.capitalize()} waits for a worker"
        text = f"{percent(view.progress)} done, {left(view)}."
        return {"state": status, "title": title, "text": text}
    if row.status == "failed":
        text = f"{row.error or 'No reason was recorded.'} The live rows are as they were."
        return {"state": "failed", "title": f"{what.capitalize()} failed", "text": text}
    if row.status == "cancelled":
        text = f"It stopped at event {number(view.position)}. The live rows are as they were."
        return {"state": "cancelled", "title": f"{what.capitalize()} was cancelled", "text": text}
    at = f" at event {number(row.compared_at)}" if row.compared_at is not None else ""
    if row.verdict == "mismatch":
        total = _total(view)
        differ = "differs" if total == 1 else "differ"
        title = f"Mismatch: {counted(total, 'row')} of {row.projection} {differ} from the log"
        fate = "The rebuilt rows were promoted by an admin." if row.promoted else "The rebuilt rows were not promoted."
        if row.live_digest is not None and row.live_digest == row.rebuilt_digest:
            fate += " The kept digests agree, so these rows were changed past the platform."
        return {"state": "mismatch", "title": title, "text": f"Compared{at}: {_found(view) or 'only the sums'}. {fate}"}
    if row.verdict == "incomparable":
        fate = " The rebuilt rows were promoted." if row.promoted else ""
        why = "Live and rebuilt rows were made by different rules, or nothing is recorded at that position."
        return {"state": "incomparable", "title": f"{what.capitalize()} could not compare", "text": why + fate}
    if row.verdict == "match":
        fate = " Readers see the rebuilt generation now." if row.promoted else " Nothing had to change."
        title = f"Match: every row of {row.projection} is what the log says"
        if row.projection == ALL:
            title = "Match: every row of every projection is what the log says"
        return {"state": "match", "title": title, "text": f"Compared{at or ' at the live cursors'}.{fate}"}
    return {"state": "completed", "title": f"{what.capitalize()} is complete", "text": "The cursor stands at the head."}


def _facts(view: ReplayView, names: Mapping[str, str]) -> list[dict[str, Any]]:
    row = view.row
    took = (row.finished_at - (row.started_at or row.created_at)).total_seconds() if row.finished_at else None
    facts: list[dict[str, Any]] = [
        {"label": "Requested by", "value": names.get(person(row.requested_by), person(row.requested_by))},
        {"label": "Requested", "moment": row.created_at},
    ]
    if took is not None:
        speed = view.position / took if took > 0 else 0
        facts.append({"label": "Took", "value": duration(took), "detail": f"{number(round(speed))} events/s"})
        facts.append({"label": "Events", "value": number(view.position)})
    if row.until_log_seq is not None:
        facts.append({"label": "Until", "value": f"event {number(row.until_log_seq)}"})
    if row.live_generation is not None:
        detail = f"rebuilt as {row.generation}" if row.generation is not None else ""
        facts.append({"label": "Live generation", "value": number(row.live_generation), "detail": detail})
    if row.rule_version is not None:
        old = row.live_rule_version
        detail = f"live rows by v{old}" if old not in (None, row.rule_version) else ""
        facts.append({"label": "Rules", "value": f"v{row.rule_version}", "detail": detail})
    if row.held_seconds is not None:
        facts.append({"label": "Catch-up waited", "value": duration(row.held_seconds)})
    if row.takeovers:
        facts.append({"label": "Taken over", "value": counted(row.takeovers, "time")})
    return facts


def _digests(row: Replay) -> list[tuple[str, str | None]]:
    return [
        ("Live", row.live_digest),
        ("Rebuilt", row.rebuilt_digest),
        ("Canonical", row.canonical_digest),
    ]
