"""Reading what open traces say, so that they are found by reasons and facts as well."""

from __future__ import annotations

import time

from django.db import connection

from decisiongraph.core.db import current_tenant_id, tenant_tx
from projections.domain.rules import precedent_index
from projections.models import Checkpoint, OpenText, SituationCursor, TraceSummary
from projections.models.search import precedent_words
from tenants.models import Tenant
from traces import selectors as traces

PIECE = 50
"""Open traces read in one transaction, at most."""
PIECE_EVENTS = 2_000
"""Their events, at most; a longer trace is a piece of its own."""
READ = 2_000
"""First events of a trace that are read."""

_FORGET = """
DELETE FROM projections_opentext o USING projections_tracesummary s
WHERE o.tenant_id = %s AND s.tenant_id = o.tenant_id AND s.generation = %s AND s.key_sha = o.trace_sha
  AND s.status = 'finished'
"""


def read_open_traces(tenant: Tenant, deadline: float) -> bool:
    """Read the open traces that moved since, until ``deadline``; whether some are left."""
    more = True
    while more and time.monotonic() < deadline:
        more = _piece(tenant)
    return more


def _piece(tenant: Tenant) -> bool:
    """Read some, and forget those that finished; whoever finds the cursor held leaves it."""
    with tenant_tx(tenant):
        cursor = SituationCursor.objects.select_for_update(skip_locked=True).first()
        live = Checkpoint.objects.filter(projection="trace_summary", active=True).values_list("generation", "cursor")
        found = live.first()
        if cursor is None or found is None:
            return False
        generation, position = found
        moved = TraceSummary.objects.of(generation).filter(status="open", last_log_seq__gt=cursor.texts_to)
        rows = list(moved.order_by("last_log_seq")[:PIECE])
        kept = _few(rows)
        histories = traces.trace_history(
            tenant, [row.key for row in kept], precedent_index.RULE.history_types, below=READ
        )
        OpenText.objects.bulk_create(
            [
                OpenText(
                    tenant_id=tenant.pk,
                    trace_sha=row.key_sha,
                    words=precedent_words(precedent_index.said(row.key, histories[row.key])),
                )
                for row in kept
            ],
            update_conflicts=True,
            unique_fields=["tenant", "trace_sha"],
            update_fields=["words"],
        )
        more = len(rows) == PIECE or len(kept) < len(rows)
        cursor.texts_to = kept[-1].last_log_seq if more else max(position, cursor.texts_to)
        cursor.save(update_fields=["texts_to"])
        if not more:
            with connection.cursor() as statement:
                statement.execute(_FORGET, [current_tenant_id(), generation])
    return more


def _few(rows: list[TraceSummary]) -> list[TraceSummary]:
    """As many of them, at least one, as together have few events."""
    total = 0
    for count, row in enumerate(rows):
        total += min(row.event_count, READ)
        if count and total > PIECE_EVENTS:
            return rows[:count]
    return rows
