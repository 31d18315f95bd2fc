"""The table of signing keys belongs to `tenants` now; webhooks can be told of checkpoints; and votes,
steps and entries of incidents can be cleaned by an erasure."""

from django.db import migrations, models

from decisiongraph.core.db import append_only_but_erasable, definer_function


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0005_visits'),
        ('tenants', '0004_signing_key'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel(name='SigningKey')]),
        migrations.AddField(
            model_name='follower', name='checkpoint_size', field=models.BigIntegerField(default=0, db_default=0)
        ),
        migrations.AddField(model_name='follower', name='checkpoint_at', field=models.DateTimeField(null=True)),
        append_only_but_erasable("approvals_vote"),
        append_only_but_erasable("approvals_step"),
        append_only_but_erasable("approvals_incidententry"),
        definer_function(
            "dg_checkpoint_hooks()",
            returns="SETOF integer",
            body="""
                SELECT DISTINCT tenant_id FROM approvals_endpoint
                WHERE enabled AND 'log.checkpoint_signed' = ANY(messages)
            """,
            reads=("approvals_endpoint",),
        ),
    ]
