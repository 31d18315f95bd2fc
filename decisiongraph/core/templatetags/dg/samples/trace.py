"""Samples: one trace, the trace list and the event stream."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from decisiongraph.core.templatetags.dg.samples.operate import HEAD


def trace(now: datetime) -> dict[str, Any]:
    """One trace, the trace list and the event stream, with moments relative to ``now``."""

    def past(**span: float) -> datetime:
        return now - timedelta(**span)

    return {
        "facts": [
            {"label": "Outcome", "state": "success", "detail": "12 events, no gaps"},
            {"label": "Workflow", "value": "refund.request", "detail": "refund-desk-eu"},
            {"label": "Entity", "value": "booking K7QX2M", "url": "#", "detail": "res-core, 3 other traces"},
            {"label": "Duration", "value": "41 min 33 s", "detail": "agent 17 s, people 41 min"},
            {"label": "Policy decisions", "value": "1 allow, 1 exception", "detail": "fare_rules@12, cap@3"},
            {"label": "Approval", "state": "approved", "detail": "Ana Petrov"},
        ],
        "asof": {
            "last": 11,
            "at": 11,
            "past": False,
            "frozen": False,
            "base": "#",
            "kept": {},
            "ticks": [{"x": f"{100 * index / 11:.2f}", "label": index} for index in range(12)],
        },
        "actions": _actions(),
        "actions_total": 2,
        "actions_meta": "1 of 2 was done otherwise",
        "compared_steps": _compared(),
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
        "trace_columns": ["outcome", "workflow", "entity", "policy", "events", "duration", "last"],
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
                "last_at": past(minutes=50),
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
                "last_at": past(seconds=20),
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
                "last_at": past(days=2),
                "duration": 64.2,
            },
        ],
        "stream": [
            {
                "log_seq": HEAD - index,
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


_LOWERED = {
    "path": "changes[0].new_value.value",
    "kind": "changed",
    "word": "changed",
    "left": "612.40",
    "right": "400.00",
}
_RETYPED = {
    "path": "changes[0].new_value.type",
    "kind": "type_changed",
    "word": "other type",
    "left": '"2" (string)',
    "right": "2 (integer)",
}
_EXTRA = {"path": "reason", "kind": "added", "word": "only right", "left": None, "right": "Goodwill"}


def _actions() -> list[dict[str, Any]]:
    """Two actions: one carried out otherwise than proposed, one as proposed."""
    plain: dict[str, Any] = {"key": "act-1", "name": "refund.issue", "state": "success", "error": "", "told": True}
    ways = {"proposed": {"seq": 9, "url": "#"}, "committed": {"seq": 10, "url": "#"}, "more": 0, "url": "#"}
    return [
        plain | ways | {"word": "3 differences", "changes": [_LOWERED, _RETYPED, _EXTRA]},
        plain | ways | {"key": "act-2", "name": "mail.send", "word": "as proposed", "changes": []},
    ]


def _compared() -> list[dict[str, Any]]:
    """One step of each kind, of two traces beside each other."""

    def side(seq: int, kind: str, detail: str) -> dict[str, Any]:
        return {"seq": seq, "url": "#", "event": {"event_type": kind}, "detail": detail, "since": seq}

    changed = {"changes": [_LOWERED, _RETYPED, _EXTRA], "more": 2, "diff_url": "#"}
    return [
        {
            "kind": "same",
            "key": "0-0",
            "left": side(0, "TraceStarted", "refund"),
            "right": side(0, "TraceStarted", "refund"),
        },
        {
            "kind": "changed",
            "key": "1-1",
            "left": side(1, "PolicyEvaluated", "refund.cap@3"),
            "right": side(1, "PolicyEvaluated", "refund.cap@4"),
            **changed,
        },
        {"kind": "left", "key": "2-", "left": side(2, "ExceptionRequested", "EX-2207, high"), "right": None},
    ]
