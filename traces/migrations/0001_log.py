"""The log: two tables that only grow, protected in the database itself."""

from django.db import migrations

from decisiongraph.core.db import append_only, protect

EVENT = """
CREATE TABLE traces_event (
    tenant_id integer NOT NULL,
    log_seq bigint NOT NULL CHECK (log_seq > 0),
    id bigint NOT NULL GENERATED ALWAYS AS ((tenant_id::bigint << 40) | log_seq) STORED,
    event_id text NOT NULL,
    trace_id text NOT NULL,
    trace_seq integer NOT NULL CHECK (trace_seq >= 0),
    event_type text NOT NULL,
    schema_version integer NOT NULL,
    occurred_at text NOT NULL,
    occurred_ts timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    producer_id text NOT NULL,
    system text NOT NULL,
    subsystem text,
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    idempotency_key text NOT NULL,
    correlation_id text,
    causation_event_id text,
    tags text[] NOT NULL,
    origin text NOT NULL CHECK (origin IN ('ingest', 'import', 'platform')),
    principal text NOT NULL,
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (tenant_id, log_seq),
    CONSTRAINT traces_event_event_id UNIQUE (tenant_id, event_id),
    CONSTRAINT traces_event_key UNIQUE (tenant_id, producer_id, idempotency_key),
    CONSTRAINT traces_event_trace UNIQUE (tenant_id, trace_id, trace_seq)
)
"""

BODY = """
CREATE TABLE traces_event_body (
    tenant_id integer NOT NULL,
    log_seq bigint NOT NULL,
    id bigint NOT NULL GENERATED ALWAYS AS ((tenant_id::bigint << 40) | log_seq) STORED,
    payload text NOT NULL,
    salt bytea NOT NULL CHECK (octet_length(salt) = 16),
    payload_hash bytea NOT NULL CHECK (octet_length(payload_hash) = 32),
    content_hmac bytea NOT NULL CHECK (octet_length(content_hmac) = 32),
    PRIMARY KEY (tenant_id, log_seq)
)
"""

# A body may be deleted only while the very transaction also appended the EventRedacted that names
# the event: the trigger looks that row up itself, so no role can delete a body silently.
BODY_GUARD = """
CREATE FUNCTION traces_event_body_refuse() RETURNS trigger LANGUAGE plpgsql AS $dg$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (
            SELECT 1
            FROM traces_event AS redaction
            JOIN traces_event AS redacted
              ON redacted.tenant_id = OLD.tenant_id AND redacted.log_seq = OLD.log_seq
            WHERE redaction.tenant_id = OLD.tenant_id
              AND redaction.log_seq = NULLIF(current_setting('app.redaction', true), '')::bigint
              AND redaction.event_type = 'EventRedacted'
              AND redaction.causation_event_id = redacted.event_id
              AND redaction.xmin::text::bigint = (pg_current_xact_id()::text::bigint & 4294967295)
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'traces_event_body is append-only: % refused', TG_OP USING ERRCODE = '42501';
END
$dg$
"""

ERASE = """
CREATE FUNCTION erase_body(erased_seq bigint, redaction_seq bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $dg$
DECLARE
    erased boolean;
BEGIN
    PERFORM set_config('app.redaction', redaction_seq::text, true);
    DELETE FROM traces_event_body
    WHERE tenant_id = current_setting('app.tenant')::int AND log_seq = erased_seq;
    erased := FOUND;
    PERFORM set_config('app.redaction', '', true);
    RETURN erased;
END
$dg$
"""


class Migration(migrations.Migration):
    """First of the log."""

    initial = True
    dependencies = [("tenants", "0001_initial")]

    operations = [
        migrations.RunSQL(EVENT, "DROP TABLE traces_event"),
        append_only("traces_event"),
        protect("traces_event", grants="SELECT, INSERT"),
        migrations.RunSQL(BODY, "DROP TABLE traces_event_body"),
        migrations.RunSQL(
            [
                BODY_GUARD,
                "CREATE TRIGGER traces_event_body_no_change BEFORE UPDATE OR DELETE ON "
                "traces_event_body FOR EACH ROW EXECUTE FUNCTION traces_event_body_refuse()",
                "CREATE TRIGGER traces_event_body_no_truncate BEFORE TRUNCATE ON traces_event_body "
                "FOR EACH STATEMENT EXECUTE FUNCTION traces_event_body_refuse()",
                "ALTER TABLE traces_event_body ENABLE ALWAYS TRIGGER traces_event_body_no_change",
                "ALTER TABLE traces_event_body ENABLE ALWAYS TRIGGER traces_event_body_no_truncate",
            ],
            [
                "DROP TRIGGER traces_event_body_no_change ON traces_event_body",
                "DROP TRIGGER traces_event_body_no_truncate ON traces_event_body",
                "DROP FUNCTION traces_event_body_refuse()",
            ],
        ),
        protect("traces_event_body", grants="SELECT, INSERT"),
        migrations.RunSQL(
            [
                ERASE,
                "REVOKE ALL ON FUNCTION erase_body(bigint, bigint) FROM PUBLIC",
                "GRANT EXECUTE ON FUNCTION erase_body(bigint, bigint) TO dg_app",
            ],
            ["DROP FUNCTION erase_body(bigint, bigint)"],
        ),
    ]
