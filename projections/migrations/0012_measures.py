"""Figures over all tenants for monitoring: closed vocabularies and numbers, nothing of a tenant."""

from django.db import migrations

from decisiongraph.core.db import definer_function

# A tenant that nobody has followed yet has no cursor: all its events are lag.
LAG = """
SELECT n.name, max(h.log_seq - COALESCE(c.cursor, 0)),
    max(CASE WHEN w.recorded_at IS NULL THEN 0
        ELSE GREATEST(0, EXTRACT(EPOCH FROM clock_timestamp() - w.recorded_at)) END)::float8,
    count(*) FILTER (WHERE h.log_seq > COALESCE(c.cursor, 0))
FROM unnest(wanted) AS n(name)
CROSS JOIN tenants_tenant t
CROSS JOIN LATERAL (
    SELECT COALESCE((SELECT e.log_seq FROM traces_event e WHERE e.tenant_id = t.id
                     ORDER BY e.log_seq DESC LIMIT 1), 0) AS log_seq) h
LEFT JOIN projections_checkpoint c ON c.tenant_id = t.id AND c.projection = n.name AND c.active
LEFT JOIN LATERAL (
    SELECT e.recorded_at FROM traces_event e WHERE e.tenant_id = t.id
    AND e.log_seq = COALESCE(c.cursor, 0) + 1 AND h.log_seq > COALESCE(c.cursor, 0)) w ON true
GROUP BY n.name
"""

CARE = """
SELECT 'dead_letter', d.projection, count(*) FROM projections_deadletter d
JOIN projections_checkpoint c ON c.tenant_id = d.tenant_id AND c.projection = d.projection
    AND c.generation = d.generation AND c.active
WHERE d.state = 'open' GROUP BY d.projection
UNION ALL
SELECT 'finding', f.kind, count(*) FROM projections_finding f WHERE f.closed_at IS NULL GROUP BY f.kind
"""


class Migration(migrations.Migration):
    dependencies = [("projections", "0011_columns")]

    operations = [
        definer_function(
            "dg_projection_lag(wanted text[])",
            returns="TABLE (projection text, lag_events bigint, lag_seconds float8, tenants bigint)",
            body=LAG,
            reads=("tenants_tenant", "traces_event", "projections_checkpoint"),
        ),
        definer_function(
            "dg_open_care()",
            returns="TABLE (what text, label text, number bigint)",
            body=CARE,
            reads=("projections_deadletter", "projections_checkpoint", "projections_finding"),
        ),
    ]
