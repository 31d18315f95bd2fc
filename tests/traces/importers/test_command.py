"""manage.py import_traces on a real log: idempotent, resumable, honest about what it refused."""

from __future__ import annotations

import json
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tenants.models import Tenant
from tests.traces.importers.shared import MAPPINGS, SHARED, needs_data
from tests.traces.importers.test_process_logs import HEADER, MAPPING
from traces import selectors
from traces.management.commands import import_traces

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Tenant:
    slug = f"import-{uuid.uuid4().hex[:12]}"
    call_command("create_tenant", slug, stdout=StringIO())
    return Tenant.objects.get(slug=slug)


def run(tenant: Tenant, name: str, *paths: Path, **options: Any) -> str:
    """The report; raises CommandError with the report as its second argument."""
    out = StringIO()
    try:
        call_command("import_traces", *map(str, paths), tenant=tenant.slug, format_name=name, stdout=out, **options)
    except CommandError as error:
        raise CommandError(f"{error}\n{out.getvalue()}") from error
    return out.getvalue()


def mapping_file(tmp_path: Path) -> Path:
    """The small process mapping as TOML, which JSON tables nearly are."""
    path = tmp_path / "desk.toml"
    lines = [f"{key} = {_toml(value)}" for key, value in MAPPING.items()]
    path.write_text("\n".join(lines))
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def desk(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "desk.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


FILED = "{0},filed,2024-01-01T00:00:00Z,,ann,1,{1}"
PAID = "{0},paid,2024-01-02T00:00:00Z,,ann,1,{1}"


def test_a_second_run_changes_nothing(tenant: Tenant, tmp_path: Path) -> None:
    mapping = mapping_file(tmp_path)
    path = desk(tmp_path, *(row.format(n, "X") for n in range(20) for row in (FILED, PAID)))
    first = run(tenant, "csv", path, mapping=mapping, batch=7)
    assert "created             80" in first
    assert "outcome success        20" in first
    assert selectors.head(tenant) == 80
    for options in ({}, {"recheck": True}):
        again = run(tenant, "csv", path, mapping=mapping, **options)
        assert "created              0" in again
        assert "replayed            80" in again
        assert "Nothing changed" in again
    assert selectors.head(tenant) == 80
    stored = selectors.read_trace(tenant, "desk-0")
    assert [event.origin for event in stored] == ["import"] * 4
    assert [event.tags for event in stored] == [(), ("source-event",), ("source-event",), ()]


def test_a_killed_import_goes_on(tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between two batches, started again: the log is that of an undisturbed run."""
    mapping = mapping_file(tmp_path)
    path = desk(tmp_path, *(row.format(n, "X") for n in range(20) for row in (FILED, PAID)))
    real, calls = import_traces.services.append, []

    def killed(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(import_traces.services, "append", killed)
        with pytest.raises(CommandError, match="Start the same command again"):
            run(tenant, "csv", path, mapping=mapping, batch=7)
    assert 0 < selectors.head(tenant) < 80
    assert "Nothing changed" not in run(tenant, "csv", path, mapping=mapping)
    assert selectors.head(tenant) == 80
    assert [e.event_type for e in selectors.read_trace(tenant, "desk-19")][-1] == "TraceFinished"


def test_a_log_that_grew_is_continued_and_a_changed_one_reported(tenant: Tenant, tmp_path: Path) -> None:
    mapping = mapping_file(tmp_path)
    run(tenant, "csv", desk(tmp_path, FILED.format("a", "X")), mapping=mapping)
    grown = desk(tmp_path, FILED.format("a", "X"), PAID.format("a", "X"))
    assert "created              2" in run(tenant, "csv", grown, mapping=mapping)
    changed = desk(tmp_path, FILED.format("a", "Y"), PAID.format("a", "Y"))
    with pytest.raises(CommandError, match="idempotency_conflict"):
        run(tenant, "csv", changed, mapping=mapping, recheck=True)
    assert selectors.head(tenant) == 4


def test_secrets_are_refused_and_reported(tenant: Tenant, tmp_path: Path) -> None:
    """The one event is refused, the rest of the file is imported, the value is never shown."""
    secret = "ghp_" + "a1B2" * 9
    value = [
        {"id": name, "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": text}]}
        for name, text in (("one", f"use {secret}"), ("two", "use it well"))
    ]
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(value))
    with pytest.raises(CommandError, match=r"event\.secret_found") as raised:
        run(tenant, "chat", path)
    assert secret not in str(raised.value)
    report = run(tenant, "chat", path, allow_refused=True)
    assert "refused event.secret_found 1" in report
    assert selectors.head(tenant) == 5


def test_what_broke_off_is_said_and_what_was_read_is_kept(tenant: Tenant, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({"id": "one", "messages": [{"role": "user", "content": "x"}]}) + "\n{broken")
    with pytest.raises(CommandError, match=r"import\.broken_json"):
        run(tenant, "chat", path)
    assert selectors.head(tenant) == 2
    for name, missing, message in (("xes", path, "needs --mapping"), ("chat", tmp_path / "none", "is no file")):
        with pytest.raises(CommandError, match=message):
            run(tenant, name, missing)
    with pytest.raises(CommandError, match="There is no tenant"):
        call_command("import_traces", str(path), tenant="nobody", format_name="chat")
    with pytest.raises(CommandError, match="--batch"):
        run(tenant, "chat", path, batch=501)


def test_our_own_lines(tenant: Tenant, tmp_path: Path) -> None:
    """Lines of two traces mixed; the count of traces is right and a second run replays."""

    def line(trace: str, kind: str, payload: dict[str, Any]) -> str:
        return json.dumps({
            "trace_id": trace, "event_type": kind, "idempotency_key": f"{trace}-{kind}",
            "occurred_at": "2024-01-01T00:00:00Z", "source": {"producer_id": "p", "system": "s"},
            "actor": {"actor_type": "agent", "actor_id": "a"}, "payload": payload,
        })  # fmt: skip

    start = {"workflow": "w", "title": "t", "primary_entity": {"entity_type": "e", "entity_id": "1"}}
    path = tmp_path / "events.jsonl"
    path.write_text(
        "\n".join(
            [
                line("a", "TraceStarted", start),
                line("b", "TraceStarted", start),
                line("a", "TraceFinished", {"outcome": "success"}),
            ]
        )
    )
    assert "cases                  2" in run(tenant, "jsonl", path)
    again = run(tenant, "jsonl", path)
    assert "replayed             3" in again
    assert "Nothing changed" in again


@needs_data
def test_real_files(tenant: Tenant) -> None:
    """Permits, agent runs and telemetry go in without a refusal, and a second time without a change."""
    for _ in range(2):
        run(tenant, "csv", SHARED / "bpi" / "receipt.csv", mapping=MAPPINGS / "receipt.toml")
        run(tenant, "agent-trace", SHARED / "agent-traces")
        run(tenant, "otel", SHARED / "otel")
        report = run(
            tenant, "chat", SHARED / "taubench" / "gpt-4o-airline.json", mapping=MAPPINGS / "taubench-airline.toml"
        )
    assert "Nothing changed" in report
    assert "outcome failure       116" in report
