"""Trying a policy on the past: what would have been late, reminded, escalated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from approvals.domain import sla
from approvals.models import Item
from approvals.selectors.items import rfc
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.models import Tenant
from traces import selectors as log
from traces.domain.moment import instant

MOST_EVENTS = 300_000
MOST_ITEMS = 100_000
PIECE = 2_000
SHOWN = 50


class Trial(NamedTuple):
    """What a policy would have meant."""

    over: str
    cases: int
    counts: dict[str, int]
    """By standing."""
    overdue_open: int
    """Of the open ones, those past their deadline now."""
    fired: dict[str, int]
    """Timers that would have fired, by kind."""
    worst: list[sla.Judged]
    """The latest ones, the worst first."""

    def as_json(self) -> dict[str, Any]:
        """As the API answers it."""
        return {
            "over": self.over,
            "cases": self.cases,
            "in_time": self.counts.get("in_time", 0),
            "late": self.counts.get("late", 0),
            "open": self.counts.get("open", 0),
            "without_deadline": self.counts.get("without_deadline", 0),
            "open_overdue": self.overdue_open,
            "fired": {kind: self.fired.get(kind, 0) for kind in sla.TIMER_KINDS},
            "worst": [
                {
                    "id": case.key,
                    "standing": case.standing,
                    "deadline": rfc(case.deadline),
                    "stopped_at": rfc(case.stop),
                    "over_seconds": round(case.over_seconds, 3),
                }
                for case in self.worst
            ],
        }


def try_policy(
    tenant: Tenant,
    policy: sla.Policy,
    *,
    over: str,
    since: datetime | None = None,
    until: datetime | None = None,
    workflow: str = "",
    applies: sla.Match | None = None,
) -> Trial:
    """Run a policy over past ``items`` or ``traces`` whose clock started in [since, until).

    Over items the clock runs from opening to decision; over traces it is the policy's own. 409 when
    there is more than one look can read: narrow the range.
    """
    cases = (
        _items(tenant, since, until, applies or sla.Match()) if over == "items" else _traces(tenant, policy, workflow)
    )
    now = clock.now()
    counts: Counter[str] = Counter()
    fired: Counter[str] = Counter()
    late: list[sla.Judged] = []
    number = overdue_open = 0
    for case in cases:
        if (since is not None and case.start < since) or (until is not None and case.start >= until):
            continue
        judged = sla.judge(policy, case, now)
        number += 1
        counts[judged.standing] += 1
        fired.update(judged.fired)
        if judged.standing == "open" and judged.overdue:
            overdue_open += 1
        if judged.overdue:
            late.append(judged)
    late.sort(key=lambda judged: (-judged.over_seconds, judged.key))
    return Trial(over, number, dict(counts), overdue_open, dict(fired), late[:SHOWN])


def _items(tenant: Tenant, since: datetime | None, until: datetime | None, applies: sla.Match) -> Iterator[sla.Case]:
    with tenant_tx(tenant):
        rows = Item.objects.all()
        if since is not None:
            rows = rows.filter(opened_at__gte=since)
        if until is not None:
            rows = rows.filter(opened_at__lt=until)
        for name, value in applies.model_dump(exclude_none=True).items():
            rows = rows.filter(**{name: value})
        found = list(rows.order_by("opened_at").values_list("id", "opened_at", "decided_at")[: MOST_ITEMS + 1])
    if len(found) > MOST_ITEMS:
        raise _too_much(f"{MOST_ITEMS:,} items")
    for ident, opened_at, decided_at in found:
        yield sla.Case(str(ident), opened_at, decided_at, {})


def _traces(tenant: Tenant, policy: sla.Policy, workflow: str) -> Iterable[sla.Case]:
    edges = policy.clock
    types = {edges.start.event_type, edges.stop.event_type}
    if policy.deadline.fact or edges.start.at or edges.stop.at:
        types |= {"TraceStarted", "InputObserved", "EntityObserved"}
    if workflow:
        types.add("TraceStarted")
    trackers: dict[str, sla.Tracker] = {}
    foreign: set[str] = set()
    head, after, read = log.head(tenant), 0, 0
    while after < head:
        events = log.read_types(tenant, sorted(types), after=after, until=head, limit=PIECE)
        for event in events:
            trace_id = event.trace_id
            if trace_id in foreign:
                continue
            if workflow and event.event_type == "TraceStarted" and (event.payload or {}).get("workflow") != workflow:
                foreign.add(trace_id)
                continue
            occurred = instant(event.occurred_at)
            if occurred is not None:
                tracker = trackers.setdefault(trace_id, sla.Tracker())
                tracker.feed(edges, event.event_type, event.payload, occurred)
        read += len(events)
        if len(events) < PIECE:
            break
        if read >= MOST_EVENTS:
            raise _too_much(f"{MOST_EVENTS:,} events")
        after = events[-1].log_seq
    found = ((key, tracker.case(key, edges)) for key, tracker in trackers.items())
    return [case for _key, case in found if case is not None]


def _too_much(most: str) -> Problem:
    return Problem(
        "sla.trial_too_large", 409, f"A trial reads at most {most}. Narrow the time range or name a workflow."
    )
