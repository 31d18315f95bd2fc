"""What searches need of the planner: to know a new generation at once, and what a comparison of words costs.

`SETTLE`: until the vacuum comes by, statistics know nothing of the new generation's number, so any index that begins
with tenant and generation looks as good as the words; and the words are still in the lists of entries that
the inverted indexes keep to be sorted in, which every search reads through.

`SIMILAR`: a row costs about 8 us to compare, which the planner takes for 0.01 like any other; it then
compares every row of a tenant where the index would have found the few.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# Runs as the owner, because nobody else may analyze a table or empty such a list. It takes no row in its hands
# and answers how many tables it looked at; it does nothing but for a tenant whose rebuild came in since the last time.
# A vacuum that clears dead rows away gives in after a second (deadlock_timeout) and comes again.
SETTLE = """
CREATE FUNCTION settle_rows(wanted text, targets text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '3s' AS $dg$
DECLARE
    since timestamptz;
    target regclass;
    inverted regclass;
    looked_at bigint := 0;
BEGIN
    SELECT promoted_at INTO since FROM projections_generation
    WHERE tenant_id = current_setting('app.tenant')::int AND projection = wanted AND state = 'active';
    FOR target IN
        SELECT c.oid::regclass FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'generation'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname = ANY(targets)
          AND since > coalesce(greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)),
                               '-infinity')
    LOOP
        FOR inverted IN
            SELECT x.indexrelid::regclass FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
            JOIN pg_am m ON m.oid = i.relam WHERE x.indrelid = target AND m.amname = 'gin'
        LOOP
            PERFORM gin_clean_pending_list(inverted);
        END LOOP;
        EXECUTE format('ANALYZE %s', target);
        looked_at := looked_at + 1;
    END LOOP;
    RETURN looked_at;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;  -- the next time
END
$dg$
"""

SIMILAR = "dg_similar_traces(integer, integer, text, text[], text, integer)"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("projections", "0013_few_generations")]

    operations: ClassVar = [
        migrations.RunSQL(
            [
                SETTLE,
                "REVOKE ALL ON FUNCTION settle_rows(text, text[]) FROM PUBLIC",
                "GRANT EXECUTE ON FUNCTION settle_rows(text, text[]) TO dg_app",
            ],
            ["DROP FUNCTION settle_rows(text, text[])"],
        ),
        migrations.RunSQL(
            f"ALTER FUNCTION {SIMILAR} SET cpu_tuple_cost = 3", f"ALTER FUNCTION {SIMILAR} RESET cpu_tuple_cost"
        ),
    ]
