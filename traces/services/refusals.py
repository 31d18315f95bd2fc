"""Refused events stay findable: counted for ever, the last hundred with time, place and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db import connection
from structlog.contextvars import get_contextvars

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.telemetry import log, metrics
from tenants.access import Principal
from tenants.models import Tenant
from traces.models import Refusal
from traces.services.results import Refused

KEPT = 100
_LONGEST = 500

_COUNT = """
INSERT INTO traces_refusalcount (tenant_id, producer_id, principal, code, count, first_at, last_at)
SELECT %s, producer_id, %s, code, n, %s, %s
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS r(producer_id, code, n)
ORDER BY producer_id, code
ON CONFLICT (tenant_id, producer_id, principal, code)
DO UPDATE SET count = traces_refusalcount.count + excluded.count, last_at = excluded.last_at
"""
_MINUTE = """
INSERT INTO traces_producerminute (tenant_id, minute, producer_id, events, refused, last_at, system)
SELECT %s, date_trunc('minute', %s::timestamptz), producer_id, 0, n, %s, ''
FROM unnest(%s::text[], %s::int[]) AS r(producer_id, n) ORDER BY producer_id
ON CONFLICT (tenant_id, minute, producer_id)
DO UPDATE SET refused = traces_producerminute.refused + excluded.refused
"""
_TRIM = """
DELETE FROM traces_refusal WHERE tenant_id = %s AND id <= (
    SELECT id FROM traces_refusal WHERE tenant_id = %s ORDER BY id DESC OFFSET %s LIMIT 1)
"""


def record(tenant: Tenant, principal: Principal, refused: Sequence[Refused]) -> None:
    """Store refusals in a transaction of their own: the append they belong to stored nothing."""
    if not refused:
        return
    now = clock.now()
    request_id = str(get_contextvars().get("request_id", ""))
    codes: Counter[tuple[str, str]] = Counter()
    makers: Counter[str] = Counter()
    for item in refused:
        code = item.leading.code
        codes[(item.producer_id, code)] += 1
        makers[item.producer_id] += 1
        metrics.refusals.labels(code).inc()
    log.info(
        "event.refused",
        tenant=tenant.slug,
        principal=principal.ident,
        count=len(refused),
        codes=sorted({code for _, code in codes}),
        trace=refused[0].trace_id,
    )
    keys = sorted(codes)
    names = sorted(makers)
    with tenant_tx(tenant):
        with connection.cursor() as cursor:
            cursor.execute(
                _COUNT,
                [
                    tenant.pk,
                    principal.ident,
                    now,
                    now,
                    [p for p, _ in keys],
                    [c for _, c in keys],
                    [codes[k] for k in keys],
                ],
            )
            cursor.execute(_MINUTE, [tenant.pk, now, now, names, [makers[n] for n in names]])
        Refusal.objects.bulk_create(
            Refusal(
                tenant_id=tenant.pk,
                at=now,
                producer_id=item.producer_id,
                principal=principal.ident,
                code=item.leading.code,
                path=item.leading.path[:_LONGEST],
                detail=item.leading.detail[:_LONGEST],
                trace_id=item.trace_id,
                request_id=request_id,
            )
            for item in refused[-KEPT:]
        )
        with connection.cursor() as cursor:
            cursor.execute(_TRIM, [tenant.pk, tenant.pk, KEPT])
