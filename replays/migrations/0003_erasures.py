"""Erasures, and the two functions that take a text out of every table of a tenant."""

import uuid

import django.db.models.deletion
from django.db import migrations, models

import decisiongraph.core.clock
import projections.models.rows
from decisiongraph.core.db import definer_function, protect

REPLACED = """
CREATE FUNCTION dg_replaced(said text, wanted text[], mark text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, public AS $dg$
DECLARE
    each text;
BEGIN
    FOREACH each IN ARRAY wanted LOOP
        said := replace(said, each, mark);
    END LOOP;
    RETURN said;
END
$dg$
"""

# Runs as the owner, because rows that only grow (votes, steps, entries of incidents) are cleaned too. It can
# do nothing but put the mark where one of the texts was, only while an erasure of the tenant runs, and what
# triggers protect (the log, checkpoints) refuses it like everybody.
ERASE = """
CREATE FUNCTION erase_text(target text, wanted text[], mark text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $dg$
DECLARE
    number integer := current_setting('app.tenant')::int;
    named text;
    kind text;
    room integer;
    has text;
    becomes text;
    changed bigint;
    total bigint := 0;
BEGIN
    IF mark <> '[erased]' OR NOT EXISTS (
        SELECT 1 FROM replays_erasure WHERE tenant_id = number AND status = 'running'
    ) THEN
        RAISE EXCEPTION 'no erasure of this tenant is running' USING ERRCODE = '42501';
    END IF;
    FOR named, kind, room IN
        SELECT a.attname, format_type(a.atttypid, NULL), a.atttypmod - 4 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relname = target AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
          AND NOT a.attisdropped AND a.attgenerated = '' AND format_type(a.atttypid, NULL) 
              IN ('text', 'character varying', 'jsonb', 'text[]')
          AND EXISTS (SELECT 1 FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id')
    LOOP
        PERFORM set_config('app.erasing', 'on', true);
        has := format('EXISTS (SELECT 1 FROM unnest($2) AS w(said) WHERE strpos(%I::text, w.said) > 0)', named);
        becomes := CASE
            WHEN target = 'approvals_item' AND named = 'action' THEN 'NULL'
            WHEN kind = 'jsonb' THEN format('dg_replaced(%I::text, $2, $3)::jsonb', named)
            WHEN kind = 'text[]' THEN
                format('ARRAY(SELECT dg_replaced(e, $2, $3) FROM unnest(%I) WITH ORDINALITY AS u(e, n) ORDER BY n)', named)
            WHEN room > 0 THEN format('left(dg_replaced(%I, $2, $3), %s)', named, room)
            ELSE format('dg_replaced(%I, $2, $3)', named)
        END;
        EXECUTE format('UPDATE public.%I SET %I = %s WHERE tenant_id = $1 AND %s', target, named, becomes, has)
            USING number, wanted, mark;
        GET DIAGNOSTICS changed = ROW_COUNT;
        total := total + changed;
    END LOOP;
    PERFORM set_config('app.erasing', '', true);
    RETURN total;
END
$dg$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('replays', '0002_forgotten_parents'),
        ('traces', '0004_merkle'),
    ]

    operations = [
        migrations.AddField(
            model_name='replay', name='expects_change', field=models.BooleanField(default=False, db_default=False)
        ),
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('status', models.TextField(default='surveying')),
                ('step', models.TextField(default='')),
                ('reason', models.TextField()),
                ('events', projections.models.rows.CanonicalField()),
                ('copies', projections.models.rows.CanonicalField(default=list)),
                ('wanted', models.BinaryField(null=True)),
                ('texts', models.IntegerField(default=0)),
                ('elsewhere', projections.models.rows.CanonicalField(default=list)),
                ('left', projections.models.rows.CanonicalField(default=list)),
                ('asked_by', models.TextField()),
                ('asked_user', models.IntegerField()),
                ('asked_at', models.DateTimeField(default=decisiongraph.core.clock.now)),
                ('confirmed_by', models.TextField(default='')),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('moved_at', models.DateTimeField(default=decisiongraph.core.clock.now)),
                ('finished_at', models.DateTimeField(null=True)),
                ('replay_id', models.UUIDField(null=True)),
                ('head', models.BigIntegerField(null=True)),
                ('error', models.TextField(default='')),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='tenants.tenant')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'objects',
                'indexes': [
                    models.Index(fields=['tenant', '-asked_at'], name='replays_erasure_recent'),
                    models.Index(condition=models.Q(('status__in', ['surveying', 'running'])), fields=['moved_at'], name='replays_erasure_active'),
                ],
            },
        ),
        protect("replays_erasure", grants="SELECT, INSERT, UPDATE"),
        migrations.RunSQL(
            [
                REPLACED,
                ERASE,
                "REVOKE ALL ON FUNCTION dg_replaced(text, text[], text) FROM PUBLIC",
                "REVOKE ALL ON FUNCTION erase_text(text, text[], text) FROM PUBLIC",
                "GRANT EXECUTE ON FUNCTION erase_text(text, text[], text) TO dg_app",
            ],
            ["DROP FUNCTION erase_text(text, text[], text)", "DROP FUNCTION dg_replaced(text, text[], text)"],
        ),
        definer_function(
            "dg_waiting_erasures()",
            returns="TABLE (tenant_id integer, erasure_id uuid)",
            body="""
                SELECT e.tenant_id, e.id FROM replays_erasure e
                WHERE e.status IN ('surveying', 'running') AND e.moved_at < now() - interval '1 s'
                ORDER BY e.moved_at
            """,
            reads=("replays_erasure",),
        ),
    ]
