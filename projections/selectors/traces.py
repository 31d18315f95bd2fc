"""The list of traces and one trace's summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from decisiongraph.core.errors import not_found
from projections.domain.query import Query, Text, instant
from projections.models import TraceSummary, pair_sha, text_sha
from projections.selectors import search
from projections.selectors.freshness import Reading, reading
from tenants.models import Tenant

SORTS: dict[str, tuple[str, bool]] = {
    "-last": ("last_log_seq", True),
    "last": ("last_log_seq", False),
    "-started": ("started_ts", True),
    "started": ("started_ts", False),
}
"""Name -> column and whether it falls. ``-last``: what moved last comes first."""


RANGES: dict[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
"""How far back a ``range:`` reaches."""


class TraceFilter(NamedTuple):
    """What the trace list is asked for; None = anything."""

    workflow: str | None = None
    outcome: str | None = None
    status: str | None = None
    entity: tuple[str, str] | None = None
    """(type, id)"""
    policy: str | None = None
    """``id@version``, or an id with any version."""
    actor: str | None = None
    """``type/id``"""
    after: datetime | None = None
    """Started at or after."""
    before: datetime | None = None
    """Started before."""
    texts: tuple[Text, ...] = ()
    """Found in id, title, entity, reasons, facts and summary; all of them."""
    kind: str | None = "decision"

    @property
    def narrows(self) -> search.Wanted:
        """What an index knows of it."""
        named = (("workflow", self.workflow), ("outcome", self.outcome), ("policy", self.policy), ("actor", self.actor))
        if self.entity is not None and not self.texts:  # an ordinary index finds an entity's few traces
            return search.Wanted()
        return search.Wanted(tuple((name, value) for name, value in named if value), self.texts, self.status)

    @classmethod
    def of(cls, query: Query, *, now: datetime) -> TraceFilter:
        """What a text of the search bar means at a moment."""
        filters = dict(query.filters)
        kind = filters.get("kind", "decision")
        after = instant(filters["after"]) if "after" in filters else None
        if "range" in filters:
            begin = now - RANGES[filters["range"]]
            after = max(after, begin) if after else begin
        entity = filters.get("entity", "").partition("/")
        return cls(
            workflow=filters.get("workflow"),
            outcome=filters.get("outcome"),
            status=filters.get("status"),
            entity=(entity[0], entity[2]) if entity[1] else None,
            policy=filters.get("policy"),
            actor=filters.get("actor"),
            after=after,
            before=instant(filters["before"]) if "before" in filters else None,
            texts=query.texts,
            kind=None if kind == "all" else kind,
        )


class TraceList(NamedTuple):
    """One page of traces."""

    reading: Reading
    rows: list[TraceSummary]
    """Up to ``limit + 1``."""
    found: str = search.WORDS
    """How its texts were found: ``words``, ``parts`` or ``spelling``."""


def _filtered(seen: Reading, wanted: TraceFilter, narrowed: search.Narrowed) -> QuerySet[TraceSummary]:
    found = narrowed.apply(TraceSummary.objects.of(seen.generation).filter(event_count__gt=0))
    if wanted.kind is not None:
        found = found.filter(kind=wanted.kind)
    if wanted.workflow is not None:
        found = found.filter(workflow=wanted.workflow)
    if wanted.outcome is not None:
        found = found.filter(outcome=wanted.outcome)
    if wanted.status is not None:
        found = found.filter(status=wanted.status)
    if wanted.entity is not None:
        found = found.filter(entity_sha=pair_sha(*wanted.entity))
    if wanted.policy is not None:
        # the name itself, or one that is the name, an @ and a version: compared as text, not as a pattern
        found = found.extra(
            where=[
                "EXISTS (SELECT 1 FROM unnest(policies) AS p(name) WHERE p.name = %s OR (starts_with(p.name, %s) "
                "AND strpos(substr(p.name, %s), '@') = 0))"
            ],
            params=[wanted.policy, wanted.policy + "@", len(wanted.policy) + 2],
        )
    if wanted.actor is not None:
        found = found.filter(actors__contains=[wanted.actor])
    if wanted.after is not None:
        found = found.filter(started_ts__gte=wanted.after)
    if wanted.before is not None:
        found = found.filter(started_ts__lt=wanted.before)
    return found


def trace_list(
    tenant: Tenant,
    wanted: TraceFilter = TraceFilter(),  # noqa: B008 - an immutable value
    *,
    sort: str = "-last",
    position: tuple[Any, int] | None = None,
    limit: int = 100,
    min_log_seq: int | None = None,
    wait_ms: int = 0,
) -> TraceList:
    """Traces that match, up to ``limit + 1``, after a list position.

    A position is (value of the sort column, ``first_log_seq``): unique, and stable while traces move.
    """
    column, falls = SORTS[sort]
    with reading(tenant, "trace_summary", min_log_seq=min_log_seq, wait_ms=wait_ms) as seen, search.bounded(tenant):
        narrowed = search.narrow(seen, wanted.narrows)
        found = _filtered(seen, wanted, narrowed)
        if column == "started_ts":
            found = found.filter(started_ts__isnull=False)
        if position is not None:
            value, tie = position
            beyond = "lt" if falls else "gt"
            found = found.filter(
                Q(**{f"{column}__{beyond}": value}) | Q(**{column: value, f"first_log_seq__{beyond}": tie})
            ).filter(**{f"{column}__{'lte' if falls else 'gte'}": value})
        sign = "-" if falls else ""
        rows = list(found.order_by(f"{sign}{column}", f"{sign}first_log_seq")[: limit + 1])
    return TraceList(seen, rows, narrowed.found)


def trace_rows(tenant: Tenant, trace_ids: Sequence[str]) -> list[TraceSummary]:
    """The summaries of those traces that the projection knows."""
    if not trace_ids:
        return []
    with reading(tenant, "trace_summary") as seen:
        return list(
            TraceSummary.objects.of(seen.generation).filter(
                key_sha__in=[text_sha(ident) for ident in trace_ids], event_count__gt=0
            )
        )


def trace_arrivals(tenant: Tenant, wanted: TraceFilter, *, since: int, limit: int) -> tuple[int, int, Reading]:
    """How many matching traces began, and how many older ones moved, after a position of the log.

    Counts up to ``limit`` traces.
    """
    with reading(tenant, "trace_summary") as seen, search.bounded(tenant):
        found = _filtered(seen, wanted, search.narrow(seen, wanted.narrows)).filter(last_log_seq__gt=since)
        firsts = list(found.values_list("first_log_seq", flat=True).order_by("-last_log_seq")[:limit])
    began = sum(first > since for first in firsts)
    return began, len(firsts) - began, seen


def trace_counts(tenant: Tenant, wanted: TraceFilter = TraceFilter()) -> dict[str, int]:  # noqa: B008
    """Number of traces per outcome (``open`` for those without one)."""
    from django.db.models import Count

    with reading(tenant, "trace_summary") as seen, search.bounded(tenant):
        rows = (
            _filtered(seen, wanted, search.narrow(seen, wanted.narrows))
            .values_list("outcome")
            .annotate(number=Count("key_sha"))
        )
        return {outcome or "open": number for outcome, number in rows}


def trace_summary(
    tenant: Tenant, trace_id: str, *, min_log_seq: int | None = None, wait_ms: int = 0
) -> tuple[Reading, TraceSummary]:
    """The summary of one trace. 404 when the projection knows none."""
    with reading(tenant, "trace_summary", min_log_seq=min_log_seq, wait_ms=wait_ms, trace_id=trace_id) as seen:
        row = TraceSummary.objects.of(seen.generation).filter(key_sha=text_sha(trace_id), event_count__gt=0).first()
    if row is None:
        raise not_found("trace", trace_id)
    return seen, row


def trace_json(row: TraceSummary) -> dict[str, Any]:
    """A trace as the API and the live topics show it."""
    return {
        "trace_id": row.key,
        "kind": row.kind,
        "workflow": row.workflow,
        "title": row.title,
        "status": row.status,
        "outcome": row.outcome,
        "primary_entity": {
            "entity_type": row.primary_entity_type,
            "system": row.primary_entity_system,
            "entity_id": row.primary_entity_id,
        }
        if row.primary_entity_type is not None
        else None,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "last_event_at": row.last_event_at,
        "event_count": row.event_count,
        "event_counts": row.event_counts,
        "last_policy": {
            "policy_id": row.last_policy_id,
            "policy_version": row.last_policy_version,
            "decision": row.last_policy_decision,
        }
        if row.last_policy_id is not None
        else None,
        "policies": row.policies,
        "actors": row.actors,
        "open_exceptions": row.open_exceptions,
        "open_approvals": row.open_approvals,
        "actions_committed": row.actions_committed,
        "actions_failed": row.actions_failed,
        "first_log_seq": row.first_log_seq,
        "last_log_seq": row.last_log_seq,
        "summary": row.summary,
        "context": row.context,
    }


Position = Callable[[TraceSummary], tuple[Any, int]]


def trace_position(row: TraceSummary, sort: str) -> tuple[Any, int]:
    """The list position after this row."""
    return getattr(row, SORTS[sort][0]), row.first_log_seq
