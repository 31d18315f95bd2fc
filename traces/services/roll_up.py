"""The producers' figures follow the log behind it, by a cursor of their own. The platform is no producer."""

from __future__ import annotations

from django.db import connection

from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant

SLICE = 50_000

_CLAIM = "SELECT cursor FROM traces_rollup WHERE tenant_id = %s FOR UPDATE SKIP LOCKED"
_START = "INSERT INTO traces_rollup (tenant_id, cursor) VALUES (%s, 0) ON CONFLICT (tenant_id) DO NOTHING"
_MINUTES = """
INSERT INTO traces_producerminute (tenant_id, minute, producer_id, events, refused, last_at, system)
SELECT %(tenant)s, date_trunc('minute', recorded_at), producer_id, count(*), 0, max(recorded_at),
    (array_agg(system ORDER BY log_seq DESC))[1]
FROM traces_event
WHERE tenant_id = %(tenant)s AND log_seq > %(after)s AND log_seq <= %(until)s AND origin <> 'platform'
GROUP BY 2, 3 ORDER BY 2, 3
ON CONFLICT (tenant_id, minute, producer_id) DO UPDATE SET
    events = traces_producerminute.events + excluded.events, last_at = excluded.last_at,
    system = excluded.system
"""
_PRODUCERS = """
INSERT INTO traces_producer (tenant_id, producer_id, system, events, first_at, last_at, last_log_seq)
SELECT %(tenant)s, producer_id, (array_agg(system ORDER BY log_seq DESC))[1], count(*),
    min(recorded_at), max(recorded_at), max(log_seq)
FROM traces_event
WHERE tenant_id = %(tenant)s AND log_seq > %(after)s AND log_seq <= %(until)s AND origin <> 'platform'
GROUP BY producer_id ORDER BY producer_id
ON CONFLICT (tenant_id, producer_id) DO UPDATE SET
    events = traces_producer.events + excluded.events, last_at = excluded.last_at,
    system = excluded.system, last_log_seq = excluded.last_log_seq
"""
_HEAD = "SELECT log_seq FROM traces_event WHERE tenant_id = %s ORDER BY log_seq DESC LIMIT 1"


def roll_up(tenant: Tenant) -> int:
    """Count what the log holds beyond the cursor; returns how many events that were.

    Cursor and counts commit together, so a killed worker repeats nothing. Who finds the cursor
    taken returns 0: somebody else is counting.
    """
    counted = 0
    while True:
        with tenant_tx(tenant), connection.cursor() as cursor:
            cursor.execute(_CLAIM, [tenant.pk])
            row = cursor.fetchone()
            if row is None:
                cursor.execute(_START, [tenant.pk])
                cursor.execute(_CLAIM, [tenant.pk])
                row = cursor.fetchone()
                if row is None:
                    return counted
            cursor.execute(_HEAD, [tenant.pk])
            last = cursor.fetchone()
            after = int(row[0])
            until = min(int(last[0]) if last else 0, after + SLICE)
            if until <= after:
                return counted
            span = {"tenant": tenant.pk, "after": after, "until": until}
            cursor.execute(_MINUTES, span)
            cursor.execute(_PRODUCERS, span)
            cursor.execute("UPDATE traces_rollup SET cursor = %s WHERE tenant_id = %s", [until, tenant.pk])
            counted += until - after
