"""Where events stand: positions of the log and the traces they belong to."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant


def traces_at(tenant: Tenant, log_seqs: Sequence[int]) -> dict[int, str]:
    """Position -> trace of the events at these positions."""
    sql = "SELECT log_seq, trace_id FROM traces_event WHERE tenant_id = %s AND log_seq = ANY(%s)"
    with tenant_tx(tenant), connection.cursor() as cursor:
        cursor.execute(sql, [tenant.pk, list(log_seqs)])
        return dict(cursor.fetchall())
