"""People, tenants, memberships, tokens, audit: isolated by the database from the first table on."""

import decisiongraph.core.clock
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

from decisiongraph.core.db import append_only, definer_function, platform_table, protect


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Tenant',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('slug', models.CharField(max_length=50, unique=True, validators=[django.core.validators.RegexValidator('\\A[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?\\Z', 'Use 1 to 50 lower-case letters, digits and hyphens, not at the ends.')])),
                ('name', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=decisiongraph.core.clock.now, editable=False)),
            ],
            options={
                'ordering': ['name', 'id'],
                'permissions': [('read', 'May see traces, projections, replays and the live view'), ('ingest', 'May append events to the log'), ('operate', 'May start and cancel replays, retry and skip dead letters'), ('review', 'May decide approvals and exceptions'), ('admin', 'May manage members, tokens and read the audit log')],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail')),
                ('name', models.CharField(blank=True, max_length=150)),
                ('is_active', models.BooleanField(default=True)),
                ('is_staff', models.BooleanField(default=False)),
                ('date_joined', models.DateTimeField(default=decisiongraph.core.clock.now, editable=False)),
                ('session_epoch', models.PositiveIntegerField(default=0, editable=False)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(('email', django.db.models.functions.text.Lower('email'))), name='tenants_user_email_lower'),
                ],
            },
        ),
        migrations.CreateModel(
            name='LoginThrottle',
            fields=[
                ('key', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('window_start', models.DateTimeField()),
                ('attempts', models.PositiveIntegerField()),
            ],
            options={
                'indexes': [models.Index(fields=['window_start'], name='tenants_throttle_age')],
            },
        ),
        migrations.CreateModel(
            name='SocketTicket',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.CharField(max_length=64)),
                ('token_id', models.CharField(blank=True, max_length=8)),
                ('expires_at', models.DateTimeField()),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'objects',
                "constraints": [
                    models.UniqueConstraint(fields=('tenant', 'digest'), name='tenants_ticket_digest'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('viewer', 'viewer'), ('operator', 'operator'), ('reviewer', 'reviewer'), ('admin', 'admin')], max_length=16)),
                ('status', models.CharField(choices=[('invited', 'invited'), ('active', 'active'), ('deactivated', 'deactivated')], default='active', max_length=16)),
                ('link_serial', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField(default=decisiongraph.core.clock.now, editable=False)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'objects',
                "constraints": [
                    models.UniqueConstraint(fields=('tenant', 'user'), name='tenants_membership_user'),
                    models.CheckConstraint(condition=models.Q(('role__in', ('viewer', 'operator', 'reviewer', 'admin'))), name='tenants_membership_role'),
                ],
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField(default=decisiongraph.core.clock.now)),
                ('actor', models.CharField(max_length=300)),
                ('on_behalf_of', models.CharField(blank=True, max_length=300)),
                ('action', models.CharField(max_length=100)),
                ('target', models.CharField(blank=True, max_length=300)),
                ('reason', models.TextField(blank=True)),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('request_id', models.CharField(blank=True, max_length=100)),
                ('address', models.CharField(blank=True, max_length=64)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'abstract': False,
                'base_manager_name': 'objects',
                "indexes": [
                    models.Index(fields=['tenant', '-id'], name='tenants_audit_list'),
                    models.Index(fields=['tenant', 'action', '-id'], name='tenants_audit_action'),
                    models.Index(fields=['tenant', 'actor', '-id'], name='tenants_audit_actor'),
                ],
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.CharField(max_length=8, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('secret_hmac', models.CharField(editable=False, max_length=64)),
                ('scopes', models.JSONField(default=list)),
                ('producers', models.JSONField(blank=True, null=True)),
                ('created_by_label', models.CharField(editable=False, max_length=254)),
                ('created_at', models.DateTimeField(default=decisiongraph.core.clock.now, editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(editable=False, null=True)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
                ('created_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'objects',
                "indexes": [
                    models.Index(fields=['tenant', '-created_at', 'id'], name='tenants_apitoken_list'),
                ],
            },
        ),
        platform_table("tenants_tenant", grants="SELECT, INSERT, UPDATE"),
        platform_table("tenants_user", grants="SELECT, INSERT, UPDATE"),
        platform_table("tenants_user_groups"),
        platform_table("tenants_user_user_permissions", grants="SELECT"),
        platform_table("tenants_loginthrottle"),
        protect("tenants_membership", grants="SELECT, INSERT, UPDATE"),
        protect("tenants_apitoken", grants="SELECT, INSERT, UPDATE"),
        protect("tenants_socketticket", grants="SELECT, INSERT, UPDATE, DELETE"),
        protect("tenants_auditentry", grants="SELECT, INSERT"),
        append_only("tenants_auditentry"),
        definer_function(
            "dg_token_tenant(token_id text)",
            returns="integer",
            body="SELECT tenant_id FROM tenants_apitoken WHERE id = token_id",
            reads=("tenants_apitoken",),
        ),
        definer_function(
            "dg_tenants_of(person integer)",
            returns="SETOF integer",
            body="SELECT tenant_id FROM tenants_membership WHERE user_id = person AND status = 'active'",
            reads=("tenants_membership",),
        ),
    ]
