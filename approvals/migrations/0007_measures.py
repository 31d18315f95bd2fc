"""Figures over all tenants for monitoring: numbers, nothing of a tenant."""

from django.db import migrations

from decisiongraph.core.db import definer_function

# Far more than this says no more than this, and counting it would cost a scrape its second.
WAITING = """
SELECT count(*), COALESCE(GREATEST(0, EXTRACT(EPOCH FROM clock_timestamp() - min(w.at))), 0)::float8
FROM (SELECT o.at FROM approvals_outbox o WHERE o.handled_at IS NULL ORDER BY o.id LIMIT 10000) w
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0006_keys_move_down")]

    operations = [
        definer_function(
            "dg_outbox_backlog()",
            returns="TABLE (waiting bigint, oldest_seconds float8)",
            body=WAITING,
            reads=("approvals_outbox",),
        )
    ]
