"""The reconciler also finds parents whose children are all over."""

from django.db import migrations

WAITING = """
SELECT r.tenant_id, r.id FROM replays_replay r
WHERE r.status IN ('queued', 'running') AND CASE
    WHEN r.projection <> 'all' THEN r.lease_until IS NULL OR r.lease_until < now()
    ELSE NOT EXISTS (SELECT 1 FROM replays_replay c WHERE c.tenant_id = r.tenant_id
                     AND c.parent_id = r.id AND c.status IN ('queued', 'running'))
    END
ORDER BY r.created_at, r.id
"""

BEFORE = """
SELECT r.tenant_id, r.id FROM replays_replay r
WHERE r.status IN ('queued', 'running') AND r.projection <> 'all'
  AND (r.lease_until IS NULL OR r.lease_until < now())
ORDER BY r.created_at, r.id
"""


def define(body):
    """The function with another body; owner and grants stay."""
    return (
        "CREATE OR REPLACE FUNCTION dg_waiting_replays() RETURNS TABLE (tenant_id integer, replay_id uuid) "
        "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public "
        f"AS $dg${body}$dg$"
    )


class Migration(migrations.Migration):
    """Second of the replays."""

    dependencies = [("replays", "0001_jobs")]

    operations = [migrations.RunSQL(define(WAITING), define(BEFORE))]
