"""The signing key moves down to the tenant: the log signs with it, too. And what an audit line
repeats of an erased payload can be marked as erased."""

import django.db.models.deletion
from django.db import migrations, models

import decisiongraph.core.clock
from decisiongraph.core.db import append_only_but_erasable


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0003_audit_by_target'),
        ('approvals', '0003_telling'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [
                        "ALTER TABLE approvals_signingkey RENAME TO tenants_signingkey",
                        "ALTER TABLE tenants_signingkey RENAME CONSTRAINT approvals_signing_key TO tenants_signing_key",
                        "ALTER INDEX approvals_signingkey_pkey RENAME TO tenants_signingkey_pkey",
                        "ALTER SEQUENCE approvals_signingkey_id_seq RENAME TO tenants_signingkey_id_seq",
                    ],
                    [
                        "ALTER SEQUENCE tenants_signingkey_id_seq RENAME TO approvals_signingkey_id_seq",
                        "ALTER INDEX tenants_signingkey_pkey RENAME TO approvals_signingkey_pkey",
                        "ALTER TABLE tenants_signingkey RENAME CONSTRAINT tenants_signing_key TO approvals_signing_key",
                        "ALTER TABLE tenants_signingkey RENAME TO approvals_signingkey",
                    ],
                ),
            ],
            state_operations=[
                migrations.CreateModel(
                    name='SigningKey',
                    fields=[
                        ('id', models.BigAutoField(primary_key=True, serialize=False)),
                        ('key_id', models.TextField()),
                        ('public_key', models.BinaryField()),
                        ('private_key', models.BinaryField()),
                        ('created_at', models.DateTimeField(default=decisiongraph.core.clock.now)),
                        ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
                    ],
                    options={
                        'abstract': False,
                        'base_manager_name': 'objects',
                        'constraints': [models.UniqueConstraint(fields=('tenant', 'key_id'), name='tenants_signing_key')],
                    },
                ),
            ],
        ),
        append_only_but_erasable("tenants_auditentry"),
    ]
