"""Samples: what waits for people, how they decide, what was decided before, and what went wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any


def people(now: datetime) -> dict[str, Any]:
    """Items, the form of a decision, cases decided otherwise and incidents, with moments relative to ``now``."""

    def past(**span: float) -> datetime:
        return now - timedelta(**span)

    return {
        "inbox_rows": [
            _item(
                now,
                1,
                "Refund of booking K7",
                "requested",
                "overdue",
                -0.1,
                news="new",
                priority="urgent",
                standing="every reviewer",
            ),
            _item(now, 2, "Offer to loan 7316", "in_review", "due_soon", 0.4, news="changed", standing="Ana Petrov"),
            _item(
                now,
                3,
                "Write \u202eoff\u202c the <b>rest</b> of " + "a-very-long-identifier-" * 4,
                "escalated",
                "waiting",
                30,
                standing="escalated",
            ),
            _item(now, 4, "Seat change", "approved", "approved", -2, open=False, standing="approved"),
            _item(now, 5, "Fee waiver", "expired", "expired", -40, open=False, standing="expired"),
        ],
        "decision": {"version": 3, "action_digest": "sha256:" + "ab" * 32},
        "cases": {
            "title": "2 of 7 went another way",
            "other": [
                _case(past(days=200), "loan-7316-a", "failure", "0.79", "debt over net income 0.41 there, 0.39 here"),
                _case(past(days=31), "loan-6120", "failure", "0.64", "the same policy, another amount"),
            ],
            "same": [{}] * 5,
            "answer": {"outcome": "success"},
            "best": "0.91",
        },
        "incident_rows": [
            _incident(past(minutes=4), "critical", "open", "An action other than the approved one", "approvals"),
            _incident(past(hours=3), "high", "acknowledged", "Not decided in time: refund K7", "service level", "Rita"),
            _incident(past(days=2), "medium", "mitigated", "Producer desk is silent", "silence", "Jonas Weber"),
            _incident(past(days=9), "low", "resolved", "Digest of trace_summary differed", "mismatch", "Ana Petrov"),
        ],
    }


def _item(now: datetime, at: int, title: str, status: str, urgency: str, hours: float, **more: Any) -> dict[str, Any]:
    return {
        "id": f"sample-{at}",
        "version": at,
        "url": "#p-inbox",
        "title": title,
        "about": f"booking K{at}",
        "by": "refund-desk-2",
        "kind": "action",
        "status": status,
        "open": True,
        "urgency": urgency,
        "due_at": now + timedelta(hours=hours),
        "decided_at": now + timedelta(hours=hours),
        "decided_by": "Ana Petrov",
        "priority": "normal",
        "policy": "refund.cap@3",
        "opened_at": now - timedelta(hours=5),
        **more,
    }


def _case(finished: datetime, title: str, outcome: str, score: str, why: str) -> dict[str, Any]:
    bars = [{"share": share} for share in (0.4, 0.21, 0.08, 0.1)]
    return {
        "title": title,
        "url": "#p-cases",
        "outcome": outcome,
        "finished_at": finished,
        "score": score,
        "bars": bars,
        "why": [why, "policy credit.dti@7"],
        "compare_url": "#p-cases",
    }


def _incident(
    opened: datetime, severity: str, status: str, title: str, cause: str, assignee: str = ""
) -> dict[str, Any]:
    return {
        "id": f"{severity}-{status}",
        "url": "#p-incidents",
        "title": title,
        "cause": cause,
        "trace_id": "refund-8123",
        "severity": severity,
        "status": status,
        "assignee": assignee,
        "opened_at": opened,
    }
