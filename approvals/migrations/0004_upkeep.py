"""What is over may be forgotten, and tenants that were there before the workflow follow from now on."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations

from decisiongraph.core.db import definer_function

FORGETTABLE = """
SELECT o.tenant_id FROM approvals_outbox o WHERE o.at < outbox AND o.handled_at IS NOT NULL
UNION SELECT n.tenant_id FROM approvals_notification n WHERE n.at < notification
UNION SELECT d.tenant_id FROM approvals_delivery d WHERE d.created_at < delivery AND d.state <> 'waiting'
UNION SELECT k.tenant_id FROM approvals_once k WHERE k.at < once
"""

BEGIN_AT_HEAD = """
DO $$
DECLARE number integer;
BEGIN
    FOR number IN SELECT t.id FROM tenants_tenant t LOOP
        PERFORM set_config('app.tenant', number::text, true);
        INSERT INTO approvals_follower (tenant_id, cursor, moved_at, failures, last_error)
        SELECT number, max(e.log_seq), now(), 0, '' FROM traces_event e WHERE e.tenant_id = number
        HAVING max(e.log_seq) IS NOT NULL
        ON CONFLICT DO NOTHING;
    END LOOP;
    PERFORM set_config('app.tenant', '', true);
END $$
"""
"""A tenant with a log and without a cursor was there before: what its log asked for back then was decided
some other way, or never. `manage.py follow_from_start` asks for it all the same."""


class Migration(migrations.Migration):

    dependencies = [
        ("approvals", "0003_telling"),
        ("tenants", "0003_audit_by_target"),
        ("traces", "0003_events_by_type"),
    ]

    operations = [
        migrations.AddIndex("outbox", BrinIndex(fields=["at"], name="approvals_outbox_age")),
        migrations.AddIndex("notification", BrinIndex(fields=["at"], name="approvals_notification_age")),
        migrations.AddIndex("delivery", BrinIndex(fields=["created_at"], name="approvals_delivery_age")),
        definer_function(
            "dg_forgettable(outbox timestamptz, notification timestamptz, delivery timestamptz, once timestamptz)",
            returns="SETOF integer",
            body=FORGETTABLE,
            reads=("approvals_outbox", "approvals_notification", "approvals_delivery", "approvals_once"),
        ),
        migrations.RunSQL(BEGIN_AT_HEAD, migrations.RunSQL.noop),
    ]
