"""Figures over all tenants for monitoring: states and numbers, nothing of a tenant."""

from django.db import migrations

from decisiongraph.core.db import definer_function

ACTIVE = """
SELECT CASE WHEN r.status = 'running' AND r.heartbeat_at < clock_timestamp() - make_interval(secs => silent)
    THEN 'stalled' ELSE r.status END, count(*)
FROM replays_replay r WHERE r.status IN ('queued', 'running') AND r.projection <> 'all' GROUP BY 1
"""


class Migration(migrations.Migration):
    dependencies = [("replays", "0003_erasures")]

    operations = [
        definer_function(
            "dg_active_replays(silent float8)",
            returns="TABLE (state text, number bigint)",
            body=ACTIVE,
            reads=("replays_replay",),
        )
    ]
