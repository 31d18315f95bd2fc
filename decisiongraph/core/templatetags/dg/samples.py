"""What ``/patterns`` shows: every component and state with made-up values, no database.

The page is the screenshot test and the place where a new component is designed, so the samples
cover the awkward cases too: hostile text, very long identifiers, nothing, far too much.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from decisiongraph.core import clock

from . import marks

_HEAD = 1_284_902


def context() -> dict[str, Any]:
    """The whole context of ``patterns.html``."""
    now = clock.now()

    def past(**span: float) -> Any:
        return now - timedelta(**span)

    return {
        "tenant": {"slug": "acme", "name": "Acme Travel"},
        "tenants": [{"slug": "acme", "name": "Acme Travel"}, {"slug": "demo", "name": "Demonstration"}],
        "principal": {"label": "Jonas Weber", "permissions": ["read", "operate"]},
        "socket_url": "",
        "head": _HEAD,
        "section": "overview",
        "crumbs": [{"label": "acme", "url": "#"}, {"label": "Patterns"}],
        "states": [(name, look.tone, look.shape) for name, look in marks.STATES.items()],
        "events": [
            ("TraceStarted", None),
            ("InputObserved", None),
            ("PolicyEvaluated", {"decision": "allow"}),
            ("PolicyEvaluated", {"decision": "require_exception"}),
            ("PolicyEvaluated", {"decision": "deny"}),
            ("ExceptionRequested", None),
            ("ApprovalRecorded", {"decision": "approved"}),
            ("ApprovalRecorded", {"decision": "rejected"}),
            ("PrecedentCited", None),
            ("ActionProposed", None),
            ("ActionCommitted", {"status": "success"}),
            ("ActionCommitted", {"status": "failure"}),
            ("TraceFinished", {"outcome": "success"}),
            ("TraceFinished", {"outcome": "failure"}),
            ("EventRedacted", None),
        ],
        "icons": (
            "overview traces graph precedents live projections replays approvals exceptions incidents "
            "settings search chev right left updown copy theme check lock clock link dots export compare "
            "people person more close plus out keys pause play key filter json audit"
        ).split(),
        "hero_actions": [
            {"label": "Catch up all", "url": "#"},
            {"label": "New replay", "url": "#", "icon": "replays"},
        ],
        "agenda": [
            {
                "state": "mismatch",
                "title": "Mismatch: 3 rows of trace_summary differ from the log.",
                "why": "Found by verify at 1,271,440, not promoted. Likely since rules v4.",
                "since": past(minutes=3, seconds=2),
                "action": {"label": "See rows", "url": "#", "kind": "primary"},
            },
            {
                "state": "stale",
                "title": "precedent_index is stale.",
                "why": "Batch at 1,283,977 waits for a row lock, third try of five.",
                "since": past(minutes=2, seconds=14),
                "action": {"label": "Catch up", "url": "#"},
            },
            {
                "state": "overdue",
                "title": "Approval overdue: refund of 1,180.00 EUR, booking M4TB9C.",
                "why": "Deadline 10:18. Escalated to refund leads; nobody holds it.",
                "age": "6 min late",
                "action": {"label": "Decide", "url": "#"},
            },
            {
                "state": "silent",
                "title": "Producer loan-sync is silent.",
                "why": "Last event 24 min ago, its set interval is 15 min.",
                "age": "9 min over",
                "action": {"label": "See producer", "why_not": "Only an operator may do this."},
            },
        ],
        "figures": [
            {
                "label": "Worst lag",
                "value": "926",
                "unit": "events",
                "detail": "precedent_index, 134 s",
                "state": "stale",
                "url": "#",
            },
            {
                "label": "Freshness",
                "value": "0.4",
                "unit": "s median",
                "detail": "append to readable",
                "state": "fresh",
            },
            {
                "label": "Refused",
                "value": "129",
                "unit": "of 23,287",
                "detail": "last hour, mostly us desk",
                "state": "degraded",
                "url": "#",
            },
            {
                "label": "Replays",
                "value": "1",
                "unit": "running",
                "detail": "verify, 64 %, 39 s left",
                "state": "running",
                "url": "#",
            },
            {"label": "Open traces", "value": "41", "unit": "of 48,213", "detail": "oldest 2 days", "state": "open"},
            {"label": "Parked", "value": "1", "unit": "trace", "detail": "policy_evaluations", "state": "parked"},
        ],
        "accepted": [(380 + (index * 37) % 90) if index not in (31, 32, 33) else 180 for index in range(59)] + [412],
        "refused": [{12: 8, 13: 6, 31: 60, 32: 70, 33: 30, 44: 9}.get(index, 0) for index in range(60)],
        "labels": ["09:25", "09:40", "09:55", "10:10", "now"],
        "producers": [
            {
                "name": "loan-sync",
                "system": "core-lending",
                "state": "silent",
                "per_minute": 0,
                "minutes": [0] * 20,
                "refused": 0,
                "last_at": past(minutes=24),
            },
            {
                "name": "refund-desk-us",
                "system": "agent/refund-desk-1",
                "state": "sending",
                "per_minute": 96,
                "minutes": [90 + (i * 13) % 30 for i in range(20)],
                "refused": 112,
                "last_at": past(seconds=1.2),
                "url": "#",
            },
            {
                "name": "<b>evil</b>\u202egnp.exe",
                "system": "hostile text stays text",
                "state": "quiet",
                "per_minute": 3,
                "minutes": [0, 0, 2, 0, 5] * 4,
                "refused": 0,
                "last_at": past(hours=3),
            },
        ],
        "workers": [
            {"name": "fold-1", "state": "working", "doing": "context_graph, 500 events", "beat_at": past(seconds=0.6)},
            {"name": "replay-1", "state": "working", "doing": "verify context_graph, 64 %", "beat_at": past(seconds=2)},
            {"name": "fold-2", "state": "lost", "doing": "", "beat_at": past(minutes=4)},
        ],
        "projections": _projections(),
        "replay": {
            "id": 42,
            "url": "#",
            "mode": "verify",
            "projection": "context_graph",
            "status": "running",
            "position": 822_337,
            "target": _HEAD,
            "share": 0.64,
            "rate": 11_840,
            "eta_seconds": 39,
            "ends_at": now + timedelta(seconds=39),
            "started_at": past(seconds=69),
            "worker": "replay-1",
            "reason": "After FND-118: is the graph right?",
            "requested_by": "Jonas Weber",
            "created_at": past(seconds=71),
            "cancel": {"label": "Cancel", "url": "#", "method": "post", "kind": "danger"},
        },
        "stalled": {
            "id": 43,
            "url": "#",
            "mode": "rebuild",
            "projection": "precedent_index",
            "status": "stalled",
            "position": 12_000,
            "target": _HEAD,
            "share": 0.0093,
            "rate": None,
            "eta_seconds": None,
            "started_at": past(minutes=3),
            "worker": "replay-2",
            "reason": "Rules v3",
            "requested_by": "Mira Costa",
            "created_at": past(minutes=4),
        },
        "replays": [
            {
                "id": 41,
                "url": "#",
                "mode": "verify",
                "projection": "trace_summary",
                "created_at": past(minutes=12),
                "requested_by": "Jonas Weber",
                "status": "completed",
                "verdict": "mismatch",
                "events": 1_271_440,
                "took": 112,
            },
            {
                "id": 40,
                "url": "#",
                "mode": "rebuild",
                "projection": "precedent_index",
                "created_at": past(hours=20),
                "requested_by": "Mira Costa",
                "status": "completed",
                "verdict": "match",
                "promoted": True,
                "events": 1_198_077,
                "took": 160,
            },
            {
                "id": 39,
                "url": "#",
                "mode": "verify",
                "projection": "context_graph",
                "created_at": past(days=4),
                "requested_by": "nightly plan",
                "status": "cancelled",
                "events": 120_664,
                "took": 44,
            },
        ],
        "differing": [37, 141, 209],
        "differences": _differences(),
        "facts": [
            {"label": "Outcome", "state": "success", "detail": "12 events, no gaps"},
            {"label": "Workflow", "value": "refund.request", "detail": "refund-desk-eu"},
            {"label": "Entity", "value": "booking K7QX2M", "url": "#", "detail": "res-core, 3 other traces"},
            {"label": "Duration", "value": "41 min 33 s", "detail": "agent 17 s, people 41 min"},
            {"label": "Policy decisions", "value": "1 allow, 1 exception", "detail": "fare_rules@12, cap@3"},
            {"label": "Approval", "state": "approved", "detail": "Ana Petrov"},
        ],
        "ticks": [{"x": f"{100 * index / 11:.2f}", "label": index} for index in range(12)],
        "line": _timeline(),
        "inspected": {
            "trace_seq": 6,
            "event_type": "PolicyEvaluated",
            "payload": {
                "policy": {"policy_id": "refund.cap", "policy_version": "3"},
                "inputs": ["in-booking", "in-fare-rules"],
                "decision": "require_exception",
                "violations": [
                    {"code": "EXCEEDS_CAP", "details": {"amount": "612.40", "cap": "400.00", "currency": "EUR"}}
                ],
                "explanation": {
                    "score": 0.91,
                    "checked": True,
                    "previous": None,
                    "note": "zero\u200bwidth, \u202eturned\u202c, <script>alert(1)</script>\nsecond line",
                    "long": "lorem ipsum " * 80,
                    "empty": {},
                },
            },
        },
        "verdict": {
            "state": "require_exception",
            "title": "612.40 EUR exceeds the cap of 400.00 EUR.",
            "text": "refund.cap@3 allows it only by exception.",
        },
        "tabs": [
            {"key": "payload", "label": "Payload", "url": "#"},
            {"key": "envelope", "label": "Envelope", "url": "#"},
            {"key": "receipt", "label": "Receipt", "url": "#"},
        ],
        "proofs": [
            {
                "name": "payload_hash",
                "value": "sha256:9f1c4be07d55a2e10000c0ffee00c3d80b1f",
                "state": "fresh",
                "word": "matches the stored body",
            },
            {"name": "leaf_hash", "value": "4e02aa91b6f37c0800ab71e9d65a", "state": "fresh", "word": "in the log"},
        ],
        "links": [
            {"label": "Caused by", "text": "event 4, fare rules", "url": "#"},
            {"label": "Recorded", "text": "09:41:11.914, 12 ms after it occurred"},
        ],
        "traces": [
            {
                "trace_id": "refund-8123-a",
                "url": "#",
                "title": "Refund of cancelled flight, booking K7QX2M",
                "workflow": "refund.request",
                "entity": "booking/K7QX2M",
                "entity_url": "#",
                "status": "finished",
                "outcome": "success",
                "event_count": 12,
                "last_policy": "require_exception",
                "started_at": past(minutes=50),
                "duration": 2493,
            },
            {
                "trace_id": "loan-8841-c-with-a-very-long-identifier-that-does-not-fit-anywhere-0001",
                "url": "#",
                "title": "A title that a careless agent made far too long for one line of a table that also has other "
                "columns to show",
                "workflow": "loan.application",
                "entity": "application/LA-20417",
                "status": "open",
                "event_count": 7,
                "started_at": past(seconds=20),
                "parked": True,
            },
            {
                "trace_id": "airline-17-2",
                "url": "#",
                "title": "Change of flight",
                "workflow": "airline.desk",
                "entity": "user/mia_li_3668",
                "status": "finished",
                "outcome": "failure",
                "event_count": 31,
                "last_policy": "deny",
                "started_at": past(days=2),
                "duration": 64.2,
            },
        ],
        "stream": [
            {
                "log_seq": _HEAD - index,
                "event_type": kind,
                "payload": body,
                "detail": detail,
                "trace_id": "refund-8123-a",
                "url": "#",
                "producer_id": "refund-desk-eu",
                "recorded_at": past(seconds=index * 3),
            }
            for index, (kind, body, detail) in enumerate(
                [
                    ("TraceFinished", {"outcome": "success"}, "success"),
                    ("ActionCommitted", {"status": "success"}, "RF-5520913"),
                    ("PolicyEvaluated", {"decision": "require_exception"}, "refund.cap@3"),
                ]
            )
        ],
    }


def _projections() -> list[dict[str, Any]]:
    shared = {"last_error": "", "dead_letters": 0, "lag_events": 0, "lag_seconds": 0, "bar": 100, "cursor": _HEAD}
    more = [
        {"label": "Verify", "url": "#"},
        {"label": "Rebuild", "url": "#", "why_not": "Only an operator may do this."},
    ]
    return [
        {
            **shared,
            "name": "trace_summary",
            "state": "failed",
            "state_word": "Rows differ",
            "state_detail": "otherwise fresh",
            "rate": 6.9,
            "generation": 14,
            "rule_version": 4,
            "digest": "b3f1aa00aa9c02",
            "last_error": "Finding 118",
            "action": {"label": "See rows", "url": "#"},
            "actions": more,
        },
        {
            **shared,
            "name": "precedent_index",
            "state": "stale",
            "rate": 0,
            "generation": 11,
            "rule_version": 3,
            "digest": "7c19aa00aae04a",
            "lag_events": 926,
            "lag_seconds": 134,
            "bar": 90.74,
            "cursor": 1_283_976,
            "last_error": "Row lock, third try of five",
            "action": {"label": "Catch up", "url": "#"},
            "actions": more,
        },
        {
            **shared,
            "name": "policy_evaluations",
            "state": "degraded",
            "rate": 6.8,
            "generation": 6,
            "rule_version": 2,
            "digest": "f3b0aa00aa118d",
            "dead_letters": 1,
            "action": {"label": "Retry", "url": "#"},
            "actions": more,
        },
        {
            **shared,
            "name": "context_graph",
            "state": "catching_up",
            "rate": 412,
            "generation": 9,
            "rule_version": 5,
            "digest": "02daaa00aa9b77",
            "lag_events": 18,
            "lag_seconds": 1.2,
            "bar": 99.82,
            "cursor": 1_284_884,
            "action": {"label": "Cancel verify", "url": "#"},
            "actions": more,
        },
    ]


def _differences() -> list[dict[str, Any]]:
    return [
        {
            "key": "refund-8010-c",
            "url": "#",
            "kind": "changed",
            "summary": "2 fields",
            "log_seq": 1_268_911,
            "event_type": "ApprovalRecorded",
            "event_url": "#",
            "generation": 14,
            "fields": [
                {"name": "open_approvals", "live": "1", "rebuilt": "0", "same": False},
                {"name": "last_policy_decision", "live": "require_exception", "rebuilt": "allow", "same": False},
                {"name": "last_log_seq", "live": "1268911", "rebuilt": "1268911", "same": True},
            ],
        },
        {
            "key": "refund-8011-a",
            "kind": "missing",
            "summary": "only in the log",
            "log_seq": 1_268_930,
            "event_type": "TraceStarted",
            "generation": 14,
            "fields": [
                {"name": "workflow", "live": None, "rebuilt": "refund.request", "same": False},
                {"name": "status", "live": None, "rebuilt": "open", "same": False},
            ],
        },
    ]


_ROWS: list[tuple[str, str, list[tuple[str, str, str, str, float, float, float | None, bool]]]] = [
    (
        "Inputs",
        "run",
        [
            ("Started", "refund.request", "run", "m-in", 0, 0, None, False),
            ("Input", "booking, res-core", "run", "m-in", 0, 1.77, 0.236, False),
            ("Input", "flight status, ops-feed", "run", "m-in", 1.77, 3.44, 0.223, False),
            ("Entity", "passenger P-88213", "run", "m-in", 3.44, 6.81, 0.449, False),
            ("Input", "fare rules, fare-store", "run", "m-in", 6.81, 20.79, 1.86, False),
        ],
    ),
    (
        "Policy",
        "run",
        [
            ("Policy allow", "refund.fare_rules@12", "ok", "m-pol", 20.79, 31.71, 1.46, False),
            ("Policy exception", "refund.cap@3", "warn", "m-pol", 31.71, 35.92, 0.562, False),
            ("Cited", "refund-7714-b, 0.91", "run", "m-in", 35.92, 46.03, 1.35, False),
        ],
    ),
    (
        "Exception and approval",
        "human",
        [
            ("Exception asked", "EX-2207, high", "human", "s-human-open", 46.03, 51.7, 0.756, False),
            ("Proposed", "refund.issue", "run", "m-act", 51.7, 56.07, 0.582, False),
            ("Approved", "Ana Petrov, 1 of 1", "human", "s-human", 56.07, 77.94, 2476, True),
        ],
    ),
    (
        "Action and finish",
        "run",
        [
            ("Committed", "RF-5520913", "ok", "m-act", 77.94, 92.61, 9.0, False),
            ("Finished", "success", "ok", "m-end", 92.61, 98.5, 0.443, False),
        ],
    ),
]


def _timeline() -> dict[str, Any]:
    phases, seq = [], 0
    for label, tone, rows in _ROWS:
        drawn = []
        for name, detail, hue, mark, start, end, delta, review in rows:
            drawn.append(
                {
                    "seq": seq,
                    "key": f"event-{seq}",
                    "url": f"#event-{seq}",
                    "word": name,
                    "detail": detail,
                    "tone": hue,
                    "mark": mark,
                    "x0": start,
                    "x": end,
                    "width": round(end - start, 2),
                    "delta": delta,
                    "wait": review,
                    "review": review,
                    "current": seq == 6,
                }
            )
            seq += 1
        start, end = rows[0][4], rows[-1][5]
        phases.append(
            {
                "label": label,
                "meta": f"{len(rows)} events",
                "tone": tone,
                "x": start,
                "width": round(end - start, 2),
                "total": sum(row[6] or 0 for row in rows),
                "rows": drawn,
            }
        )
    return {
        "axis": [
            {"x": 0, "label": "0"},
            {"x": 15, "label": "2 s", "wide": True},
            {"x": 30, "label": "4 s"},
            {"x": 45, "label": "6 s", "wide": True},
            {"x": 78, "label": "41:32", "wide": True},
        ],
        "folds": [{"x": 60, "width": 18, "middle": 69, "label": "41 min"}],
        "scale": {
            "parts": [
                {"kind": "people", "x": 0, "width": 100},
                {"kind": "machine", "x": 0, "width": 0.5},
                {"kind": "machine", "x": 99.5, "width": 0.5},
            ],
            "title": "8 seconds of agent work, 41 minutes with people, 9 seconds of agent work",
            "machine": 17,
            "people": 2476,
        },
        "phases": phases,
    }
