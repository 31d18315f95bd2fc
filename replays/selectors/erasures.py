"""Erasures, and the look through everything that an erasure needs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import connection

from decisiongraph.core import clock
from decisiongraph.core.db import current_tenant_id, tenant_tx
from decisiongraph.core.errors import not_found
from replays.domain import erasure as life
from replays.models import Erasure
from tenants.models import Tenant
from traces import selectors as traces

PIECE = 20_000
"""Events looked at by one statement."""
MOST_PLACES = 100
"""Positions named at most."""

_SAID = """
SELECT b.log_seq, w.said FROM unnest(%s::text[]) AS w(said)
JOIN traces_event_body b ON b.tenant_id = %s AND b.log_seq > %s AND b.log_seq <= %s
    AND strpos(b.payload, w.said) > 0 AND NOT b.log_seq = ANY(%s::bigint[])
JOIN traces_event e ON e.tenant_id = b.tenant_id AND e.log_seq = b.log_seq AND e.origin <> 'platform'
UNION ALL
SELECT e.log_seq, w.said FROM unnest(%s::text[]) AS w(said)
JOIN traces_event e ON e.tenant_id = %s AND e.log_seq > %s AND e.log_seq <= %s AND strpos(concat_ws(chr(10),
    e.event_id, e.trace_id, e.occurred_at, e.producer_id, e.system, e.subsystem, e.actor_type, e.actor_id,
    e.idempotency_key, e.correlation_id, e.causation_event_id, e.tags::text, e.principal), w.said) > 0
"""
_COPIES = """
SELECT b.log_seq FROM traces_event_body b
JOIN traces_event e ON e.tenant_id = b.tenant_id AND e.log_seq = b.log_seq AND e.origin = 'platform'
WHERE b.tenant_id = %s AND NOT b.log_seq = ANY(%s::bigint[])
    AND EXISTS (SELECT 1 FROM unnest(%s::text[]) AS w(said) WHERE strpos(b.payload, w.said) > 0)
ORDER BY b.log_seq
"""
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND format_type(a.atttypid, NULL) IN
      ('text', 'text[]', 'character varying', 'character varying[]', 'json', 'jsonb', 'bytea', 'tsvector')
  AND EXISTS (SELECT 1 FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id' AND NOT t.attisdropped)
ORDER BY c.relname, a.attnum
"""


def erasures(tenant: Tenant, *, limit: int = 100) -> list[Erasure]:
    """The newest first."""
    with tenant_tx(tenant):
        return list(Erasure.objects.order_by("-asked_at", "id")[:limit])


def erasure(tenant: Tenant, erasure_id: str) -> Erasure:
    """One erasure. 404 when there is none."""
    try:
        ident = uuid.UUID(erasure_id)
    except ValueError:
        raise not_found("erasure", erasure_id) from None
    with tenant_tx(tenant):
        row = Erasure.objects.filter(pk=ident).first()
    if row is None:
        raise not_found("erasure", erasure_id)
    return row


def erasure_json(row: Erasure) -> dict[str, Any]:
    """An erasure as the API shows it; never the texts."""
    return {
        "id": str(row.pk),
        "status": row.status,
        "step": row.step or None,
        "reason": row.reason,
        "events": row.events,
        "copies": row.copies,
        "texts": row.texts,
        "elsewhere": row.elsewhere,
        "left": row.left,
        "asked_by": row.asked_by,
        "asked_at": clock.rfc3339(row.asked_at),
        "confirmed_by": row.confirmed_by or None,
        "confirmed_at": None if row.confirmed_at is None else clock.rfc3339(row.confirmed_at),
        "finished_at": None if row.finished_at is None else clock.rfc3339(row.finished_at),
        "superseded_to": row.head,
        "error": row.error or None,
    }


def tables() -> list[str]:
    """Every table of tenant data that can hold a text."""
    return list(dict.fromkeys(table for table, _, _ in _columns()))


def _columns() -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        return [tuple(row) for row in cursor.fetchall()]


def said_elsewhere(
    tenant: Tenant, found: Collection[str], named: Collection[str], *, besides: Sequence[int]
) -> tuple[set[str], list[int]]:
    """Which texts other events say for themselves, or any envelope; and where those are that were named.

    Events of the platform do not count: they repeat others and are erased with them.
    """
    spelled = {form: text for text in (*found, *named) for form in life.spellings([text])}
    forms, ours = list(spelled), set(named)
    said: set[str] = set()
    places: set[int] = set()
    with tenant_tx(tenant):
        end = traces.head(tenant)
        for after in range(0, end, PIECE):
            span = [current_tenant_id(), after, min(after + PIECE, end)]
            with connection.cursor() as cursor:
                cursor.execute(_SAID, [forms, *span, list(besides), forms, *span])
                for log_seq, form in cursor.fetchall():
                    said.add(spelled[form])
                    if spelled[form] in ours and len(places) < MOST_PLACES:
                        places.add(log_seq)
    return said, sorted(places)


def copies(tenant: Tenant, wanted: Sequence[str], *, besides: Sequence[int]) -> list[int]:
    """Platform events that repeat one of the texts."""
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(_COPIES, [current_tenant_id(), list(besides), list(wanted)])
        return [row[0] for row in cursor.fetchall()]


def found_in(tenant: Tenant, wanted: Iterable[str]) -> list[dict[str, Any]]:
    """Every table and column of the tenant in which one of the texts still is, with the number of rows."""
    forms = list(wanted)
    words = [form.lower() for form in forms if not any(char.isspace() for char in form)]
    found: list[dict[str, Any]] = []
    with tenant_tx(tenant), connection.cursor() as cursor:
        for table, column, kind in _columns():
            if kind == "bytea":
                has, what = f"position(convert_to(w.said, 'UTF8') in \"{column}\") > 0", forms
            elif kind == "tsvector":
                has, what = f'strpos("{column}"::text, w.said) > 0', words
            else:
                has, what = f'strpos("{column}"::text, w.said) > 0', forms
            cursor.execute(
                f'SELECT count(*) FROM "{table}" WHERE tenant_id = %s '
                f"AND EXISTS (SELECT 1 FROM unnest(%s::text[]) AS w(said) WHERE {has})",
                [current_tenant_id(), what],
            )
            (rows,) = cursor.fetchone() or (0,)
            if rows:
                found.append({"table": table, "column": column, "rows": rows})
    return found
