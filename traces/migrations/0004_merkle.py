"""The tree over the log: how far it has grown, the hashes it keeps, the checkpoints it has signed."""

import django.db.models.deletion
from django.db import migrations, models

from decisiongraph.core.db import append_only, definer_function, protect


def tenant():
    return ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant'))


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0004_signing_key'),
        ('traces', '0003_events_by_type'),
    ]

    operations = [
        migrations.CreateModel(
            name='LogSeal',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('origin', models.TextField()),
                ('size', models.BigIntegerField(default=0)),
                ('frontier', models.BinaryField(default=b'')),
                ('sealed_at', models.DateTimeField(null=True)),
                ('pushed_size', models.BigIntegerField(default=0)),
                ('pushed_at', models.DateTimeField(null=True)),
                ('fault', models.TextField(default='')),
                tenant(),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant',), name='traces_logseal_tenant')],
            },
        ),
        migrations.CreateModel(
            name='LogNode',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('height', models.SmallIntegerField()),
                ('index', models.BigIntegerField()),
                ('digest', models.BinaryField()),
                tenant(),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'height', 'index'), name='traces_lognode_place')],
            },
        ),
        migrations.CreateModel(
            name='LogCheckpoint',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('size', models.BigIntegerField()),
                ('root', models.BinaryField()),
                ('note', models.TextField()),
                ('key_id', models.TextField()),
                ('sealed_at', models.DateTimeField()),
                tenant(),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'objects',
                'constraints': [models.UniqueConstraint(fields=('tenant', 'size'), name='traces_logcheckpoint_size')],
            },
        ),
        protect("traces_logseal"),
        protect("traces_lognode", grants="SELECT, INSERT"),
        protect("traces_logcheckpoint", grants="SELECT, INSERT"),
        append_only("traces_lognode"),
        append_only("traces_logcheckpoint"),
        definer_function(
            "traces_unsealed()",
            returns="SETOF integer",
            body="""
                SELECT t.id FROM tenants_tenant t
                LEFT JOIN traces_logseal s ON s.tenant_id = t.id
                LEFT JOIN LATERAL (
                    SELECT e.log_seq FROM traces_event e WHERE e.tenant_id = t.id
                    ORDER BY e.log_seq DESC LIMIT 1) head ON true
                WHERE coalesce(head.log_seq, 0) <> coalesce(s.size, 0)
            """,
            reads=("tenants_tenant", "traces_event", "traces_logseal"),
        ),
        definer_function(
            "traces_unpushed(before timestamptz)",
            returns="SETOF integer",
            body="""
                SELECT s.tenant_id FROM traces_logseal s
                WHERE s.size > s.pushed_size AND (s.pushed_at IS NULL OR s.pushed_at <= before)
            """,
            reads=("traces_logseal",),
        ),
    ]
