"""Samples: what the overview is made of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any


def overview(now: datetime) -> dict[str, Any]:
    """What the overview is made of, with moments relative to ``now``."""

    def past(**span: float) -> datetime:
        return now - timedelta(**span)

    return {
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
    }
