"""Samples: projections, replays and their differences."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

HEAD = 1_284_902


def operate(now: datetime) -> dict[str, Any]:
    """Projections, replays and their differences, with moments relative to ``now``."""

    def past(**span: float) -> datetime:
        return now - timedelta(**span)

    return {
        "projections": _projections(),
        "replay": {
            "id": 42,
            "url": "#",
            "mode": "verify",
            "projection": "context_graph",
            "status": "running",
            "position": 822_337,
            "target": HEAD,
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
            "target": HEAD,
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
    }


def _projections() -> list[dict[str, Any]]:
    shared = {"last_error": "", "dead_letters": 0, "lag_events": 0, "lag_seconds": 0, "bar": 100, "cursor": HEAD}
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
