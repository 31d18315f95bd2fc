import json

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

from decisiongraph.core.db import definer_function, protect
from projections.models import search, text_sha

CHUNK = 2_000

SUMMARY = (
    "title",
    "workflow",
    "primary_entity_type",
    "primary_entity_id",
    "summary",
    "outcome",
    "policies",
    "actors",
)
PRECEDENT = (
    "trace_id",
    "title",
    "workflow",
    "primary_entity_type",
    "primary_entity_id",
    "text",
    "facts",
)


def fill(apps, schema_editor):
    """Give the rows that exist what they would have been written with."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM tenants_tenant ORDER BY id")
        tenants = [row[0] for row in cursor.fetchall()]
        for tenant in tenants:
            cursor.execute("SELECT set_config('app.tenant', %s, true)", [str(tenant)])
            for table, columns, computed in (
                ("projections_tracesummary", SUMMARY, _summary),
                ("projections_precedenttext", PRECEDENT, _precedent),
            ):
                _fill_table(cursor, tenant, table, columns, computed)
        cursor.execute("SELECT set_config('app.tenant', '', true)")


def _summary(key, row):
    return {"words": search.summary_words(key, row), "handle": search.summary_handle(key, row)}


def _precedent(key, row):
    row["facts"] = json.loads(row["facts"])
    return {"words": search.precedent_words(row), "trace_sha": text_sha(row["trace_id"])}


TYPES = {"words": "tsvector", "handle": "text", "trace_sha": "bytea"}


def _fill_table(cursor, tenant, table, columns, computed):
    after = (-1, b"")
    while True:
        cursor.execute(
            f"SELECT generation, key_sha, key, {', '.join(columns)} FROM {table} "
            f"WHERE tenant_id = %s AND (generation, key_sha) > (%s, %s) ORDER BY generation, key_sha LIMIT {CHUNK}",
            [tenant, *after],
        )
        rows = cursor.fetchall()
        if not rows:
            return
        made = [computed(row[2], dict(zip(columns, row[3:]))) for row in rows]
        names = list(made[0])
        holes = ", ".join("%s::bytea[]" if TYPES[name] == "bytea" else "%s::text[]" for name in names)
        assign = ", ".join(f"{name} = u.{name}::{TYPES[name]}" for name in names)
        cursor.execute(
            f"UPDATE {table} t SET {assign} FROM unnest(%s::int[], %s::bytea[], {holes}) "
            f"AS u(generation, key_sha, {', '.join(names)}) "
            "WHERE t.tenant_id = %s AND t.generation = u.generation AND t.key_sha = u.key_sha",
            [
                [row[0] for row in rows],
                [bytes(row[1]) for row in rows],
                *([each[name] for each in made] for name in names),
                tenant,
            ],
        )
        after = (rows[-1][0], bytes(rows[-1][1]))


REFUSE = """
    IF wanted_tenant IS DISTINCT FROM NULLIF(current_setting('app.tenant', true), '')::integer THEN
        RAISE EXCEPTION 'tenant % is not the one of this transaction', wanted_tenant USING ERRCODE = '42501';
    END IF;
"""

# EXECUTE plans with the values: a common word and a rare one want different plans.
FIND = f"""
BEGIN
    {REFUSE}
    RETURN QUERY EXECUTE $q$
        (SELECT s.key_sha FROM projections_tracesummary s
         WHERE $7 <> 'open' AND s.tenant_id = $1 AND s.generation = $2 AND s.status = 'finished'
           AND s.words @@ ($4::tsquery && $5::tsquery) LIMIT $6)
        UNION ALL
        (SELECT s.key_sha FROM projections_tracesummary s
         WHERE $7 <> 'finished' AND s.tenant_id = $1 AND s.generation = $2 AND s.status = 'open'
           AND s.words @@ ($4::tsquery && $5::tsquery) LIMIT $6)
        UNION ALL
        (SELECT t.trace_sha FROM projections_precedenttext t
         WHERE $7 <> 'open' AND $5 <> '' AND t.tenant_id = $1 AND t.generation = $3
           AND t.words @@ $5::tsquery LIMIT $6)
        UNION ALL
        (SELECT o.trace_sha FROM projections_opentext o
         WHERE $7 <> 'finished' AND $5 <> '' AND o.tenant_id = $1 AND o.words @@ $5::tsquery LIMIT $6)
    $q$ USING wanted_tenant, summaries, texts, tags, wanted, most, states;
END
"""

SIMILAR = f"""
BEGIN
    {REFUSE}
    IF spelt = '' THEN
        RETURN QUERY EXECUTE $q$
            (SELECT s.key_sha FROM projections_tracesummary s
             WHERE s.tenant_id = $1 AND s.generation = $2 AND s.status = 'finished'
               AND s.handle LIKE $3 AND s.handle LIKE ALL ($4) LIMIT $5)
            UNION ALL
            (SELECT s.key_sha FROM projections_tracesummary s
             WHERE s.tenant_id = $1 AND s.generation = $2 AND s.status = 'open'
               AND s.handle LIKE $3 AND s.handle LIKE ALL ($4) LIMIT $5)
        $q$ USING wanted_tenant, summaries, longest, others, most;
    ELSE
        PERFORM set_config('pg_trgm.word_similarity_threshold', '0.5', true);
        RETURN QUERY EXECUTE $q$
            (SELECT s.key_sha FROM projections_tracesummary s
             WHERE s.tenant_id = $1 AND s.generation = $2 AND s.status = 'finished' AND $3 <% s.handle LIMIT $4)
            UNION ALL
            (SELECT s.key_sha FROM projections_tracesummary s
             WHERE s.tenant_id = $1 AND s.generation = $2 AND s.status = 'open' AND $3 <% s.handle LIMIT $4)
        $q$ USING wanted_tenant, summaries, spelt, most;
    END IF;
END
"""

FINDS = (
    "dg_find_traces(wanted_tenant integer, summaries integer, texts integer, tags text, wanted text, "
    "states text, most integer)"
)
SIMILARS = (
    "dg_similar_traces(wanted_tenant integer, summaries integer, longest text, others text[], spelt text, most integer)"
)


def inverted_only(signature):
    """A LIMIT makes an ordinary walk over a tenant look cheap when a word seems common."""
    return migrations.RunSQL(
        [
            f"ALTER FUNCTION {signature} SET enable_seqscan = off",
            f"ALTER FUNCTION {signature} SET enable_indexscan = off",
        ],
        migrations.RunSQL.noop,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("projections", "0002_hold"),
        ("tenants", "0002_grants"),
    ]

    operations = [
        migrations.AddField(
            model_name="precedenttext",
            name="trace_sha",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="precedenttext",
            name="words",
            field=django.contrib.postgres.search.SearchVectorField(null=True),
        ),
        migrations.AddField(
            model_name="tracesummary",
            name="handle",
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name="tracesummary",
            name="words",
            field=django.contrib.postgres.search.SearchVectorField(null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="precedenttext",
            index=models.Index(fields=["tenant", "generation", "trace_sha"], name="projections_text_trace"),
        ),
        migrations.AddIndex(
            model_name="precedenttext",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["tenant", "generation", "words"], name="projections_text_words"
            ),
        ),
        migrations.AddIndex(
            model_name="tracesummary",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("status", "finished")),
                fields=["tenant", "generation", "words"],
                name="projections_trace_words",
            ),
        ),
        migrations.AddIndex(
            model_name="tracesummary",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("status", "finished")),
                fields=["tenant", "generation", "handle"],
                name="projections_trace_handle",
                opclasses=["int4_ops", "int4_ops", "gin_trgm_ops"],
            ),
        ),
        migrations.AddIndex(
            model_name="tracesummary",
            index=models.Index(
                condition=models.Q(("status", "open")),
                fields=["tenant", "generation", "last_log_seq"],
                name="projections_trace_open",
            ),
        ),
        migrations.CreateModel(
            name="OpenText",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("trace_sha", models.BinaryField()),
                ("words", django.contrib.postgres.search.SearchVectorField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["tenant", "words"], name="projections_opentext_words"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "trace_sha"), name="projections_opentext_key")
                ],
            },
        ),
        protect("projections_opentext"),
        definer_function(
            FINDS,
            returns="SETOF bytea",
            body=FIND,
            reads=("projections_tracesummary", "projections_precedenttext", "projections_opentext"),
            language="plpgsql",
        ),
        definer_function(
            SIMILARS,
            returns="SETOF bytea",
            body=SIMILAR,
            reads=("projections_tracesummary",),
            language="plpgsql",
        ),
        inverted_only(FINDS),
        inverted_only(SIMILARS),
    ]
