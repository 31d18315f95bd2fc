"""What the platform says about itself: causes that travel, secrets that do not, figures, spans."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from decisiongraph.core import bus, health, telemetry
from decisiongraph.core.telemetry import NOBODY, Cause, scrape, spans
from tests.factories import TenantFactory, make_cast
from tests.traces.events import Desk, new_id, start, step
from traces.services.turns import Turns

ROOT = Path(__file__).resolve().parents[2]


# --- causes -----------------------------------------------------------------------------------------


def test_a_hint_names_the_first_few_requests_that_caused_it() -> None:
    whole = NOBODY
    for n in range(20):
        whole = whole.joined(Cause((f"r{n}",), f"parent-{n}"))
    assert whole.requests == tuple(f"r{n}" for n in range(8))
    assert whole.parent == "parent-0"
    assert whole.joined(NOBODY) == whole
    assert NOBODY.joined(whole) == whole


def test_jobs_and_doorbells_carry_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []
    done = threading.Event()
    monkeypatch.setattr(bus, "_ring", lambda bells: (rung.extend(bells.values()), done.set()))

    class App:
        def send_task(self, name: str, **options: Any) -> None:
            sent.append({"name": name, **options})

    monkeypatch.setattr(bus, "import_string", lambda _path: App())
    sender = bus.Sender()
    why = Cause(("request-a",), "00-1-2-01")
    with sender._condition:  # nothing leaves before all of it is marked
        sender.job("projections.catch_up", {"tenant_id": 1}, why)
        sender.job("projections.catch_up", {"tenant_id": 1}, Cause(("request-b",)))
        sender.ring("tenant:x:traces", "trace.event_appended", why)
        sender.ring("tenant:x:traces", "trace.finished", Cause(("request-b",)))
        sender.job("projections.tick", {})
        sender.ring("tenant:y:traces", "trace.event_appended")
    assert done.wait(5)
    sender._pool.shutdown(wait=True)
    (job,) = [item for item in sent if item["name"] == "projections.catch_up"]
    assert job["headers"] == {"dg_requests": ["request-a", "request-b"], "dg_traceparent": "00-1-2-01"}
    assert [item["headers"] for item in sent if item["name"] == "projections.tick"] == [None]
    told = {item["topic"]: item for item in rung}
    assert told["tenant:x:traces"]["requests"] == ["request-a", "request-b"]
    assert told["tenant:x:traces"]["messages"] == ["trace.event_appended", "trace.finished"]
    assert "requests" not in told["tenant:y:traces"]


def test_whoever_shares_a_turn_is_named_too() -> None:
    """Single appends that one transaction stores: its hints name every request, not the leader's alone."""
    turns: Turns[int, int] = Turns()
    entered, go = threading.Event(), threading.Event()
    seen: list[tuple[str, ...]] = []

    def work(items: list[int]) -> list[int]:
        if items == [0]:
            entered.set()
            go.wait(5)
        seen.append(telemetry.requests())
        return items

    def one(n: int) -> None:
        with telemetry.on_behalf_of([f"request-{n}"]):
            turns.take("t", n, work)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(3)]
    threads[0].start()
    entered.wait(5)
    for thread in threads[1:]:
        thread.start()
    while len(turns._waiting["t"]) < 2:
        pass
    go.set()
    for thread in threads:
        thread.join()
    assert seen[0] == ("request-0",)
    assert set(seen[1]) == {"request-1", "request-2"}


# --- secrets ----------------------------------------------------------------------------------------

SECRETS = [
    "dg_0a1b2c3d_SECRETSECRETSECRET",
    "Authorization: Bearer SECRETSECRETSECRET",
    "GET /ws/?ticket=SECRETSECRET HTTP/1.1",
    "could not connect to postgresql://dg_app:SECRETSECRET@db.example/decisiongraph",
    "{'password': 'SECRETSECRET', 'email': 'a@example.org'}",
    'password="SECRETSECRET"',
    "ghp_SECRETSECRETSECRETSECRETSECRET",
    "xoxb-SECRETSECRET-SECRET",
    "AKIASECRETSECRET1234",
    "sk-SECRETSECRETSECRETSECRET",
    "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----",
    "whsec_SECRETSECRET",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_never_reaches_a_log_line(text: str) -> None:
    event: dict[str, Any] = {"event": text, "deep": {"list": [text, {"inner": text}]}, "error": (text,)}
    said = json.dumps(telemetry.hide_secrets(None, "", event))
    assert "SECRET" not in said
    assert "[hidden]" in said


def test_values_of_secret_names_are_hidden_whatever_they_look_like() -> None:
    event = {
        "password": "x",
        "detail": {"client_secret": "x", "Cookie": "x", "salt": b"x"},
        "principal": "token:1234abcd",
    }
    hidden = telemetry.hide_secrets(None, "", event)
    assert hidden["password"] == "[hidden]"
    assert set(hidden["detail"].values()) == {"[hidden]"}
    assert hidden["principal"] == "token:1234abcd", "the public id of a token is what one looks for"


def test_ordinary_words_stay() -> None:
    for text in (
        "risk-gate",
        "task-42933",
        "the password is wrong",
        "a token may do this",
        "https://example.org/a:b@c",
    ):
        assert telemetry.hide_secrets(None, "", {"event": text})["event"] == text


def test_an_exception_of_a_library_is_logged_without_its_secret() -> None:
    code = (
        "import django; django.setup(); import logging\n"
        "try: raise ValueError('bad dg_0a1b2c3d_SECRETSECRET')\n"
        "except ValueError: logging.getLogger('some.library').exception('failed for password=SECRETSECRET')\n"
    )
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "decisiongraph.settings", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    line = json.loads((done.stderr or done.stdout).splitlines()[-1])
    assert "ValueError" in line["exception"]
    assert "SECRETSECRET" not in json.dumps(line)


# --- health -----------------------------------------------------------------------------------------


def test_healthz_fails_when_the_sender_died(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/healthz").status_code == 200
    dead = bus.Sender()
    monkeypatch.setattr(dead, "_thread", threading.Thread())
    monkeypatch.setattr(bus, "_sender", dead)
    monkeypatch.setattr(bus, "_sender_pid", os.getpid())
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["sender"]) == (503, False)


@pytest.mark.django_db
def test_readyz_fails_on_a_database_that_only_reads(client: Client) -> None:
    assert client.get("/readyz").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        answer = client.get("/readyz")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_read_only")
    assert (answer.status_code, answer.json()["writable"]) == (503, False)
    assert answer.headers["Retry-After"]


@pytest.mark.django_db
def test_readyz_fails_with_a_migration_that_did_not_run(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda *_args: [("a migration", False)])
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["migrated"]) == (503, False)


# --- figures ----------------------------------------------------------------------------------------


def gauges(client: Client) -> dict[str, float]:
    """Name with labels -> value of every line of /metrics."""
    text = client.get("/metrics").content.decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@pytest.mark.django_db
def test_lag_is_read_at_the_scrape_and_needs_no_worker(client: Client) -> None:
    desk = Desk()
    trace = new_id()
    desk.append(start(trace), *[step(trace) for _ in range(499)])
    seen = gauges(client)
    for name in ("trace_summary", "context_graph", "policy_evaluations", "precedent_index"):
        assert seen[f'dg_projection_lag_events{{projection="{name}"}}'] >= 500
        assert seen[f'dg_projection_lag_seconds{{projection="{name}"}}'] > 0
        assert seen[f'dg_projection_lagging_tenants{{projection="{name}"}}'] >= 1
    assert seen['dg_queue_depth{queue="project"}'] >= 0
    assert seen["dg_broker_up"] == 1
    assert {name for name in seen if name.startswith("dg_scrape_ok")} == {
        f'dg_scrape_ok{{source="{source}"}}' for source in ("broker", "outbox", "projections", "replays", "workers")
    }
    assert all(value == 1 for name, value in seen.items() if name.startswith("dg_scrape_ok"))


@pytest.mark.django_db
def test_what_cannot_be_read_is_missing_and_said_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise OSError("away")

    monkeypatch.setitem(scrape._readers, "projections", away)
    seen = gauges(client)
    assert seen['dg_scrape_ok{source="projections"}'] == 0
    assert not [name for name in seen if name.startswith("dg_projection_lag")]
    assert seen['dg_scrape_ok{source="broker"}'] == 1


@pytest.mark.django_db
def test_figures_name_no_tenant(client: Client) -> None:
    tenant = TenantFactory()
    Desk()
    assert tenant.slug not in client.get("/metrics").content.decode()


# --- spans ------------------------------------------------------------------------------------------


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Tracing switched on, into this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "_on", True)
    monkeypatch.setattr(spans, "_tracer", None)
    spans.use(provider)
    return exporter


@pytest.mark.django_db
def test_one_trace_from_request_to_log_to_hint(traced: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Cause] = []
    monkeypatch.setattr(bus.Sender, "job", lambda _self, _name, _arguments, why=NOBODY: told.append(why))
    client = make_cast().program("ingest")
    trace = new_id()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = client.post(
        f"/api/v1/traces/{trace}/events", start(trace), "application/json", headers={"traceparent": parent}
    )
    assert answer.status_code == 201
    found = {span.name: span for span in traced.get_finished_spans()}
    request = found["POST api/v1/traces/<str:trace_id>/events"]
    assert f"{request.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert found["log.append"].context.trace_id == request.context.trace_id
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 201
    assert told
    assert all("0af7651916cd43dd8448eb211c80319c" in why.parent for why in told)


def test_off_nothing_is_imported() -> None:
    code = (
        "import django, sys; django.setup(); from decisiongraph.core.telemetry import span\n"
        "with span('x') as opened: assert opened is None\n"
        "assert 'opentelemetry.exporter.otlp.proto.http' not in sys.modules, 'it was imported'\n"
        "from decisiongraph.core.telemetry import spans; assert spans._tracer is None\n"
    )
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "decisiongraph.settings", "PYTHONPATH": str(ROOT)}
    environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)


def test_an_endpoint_without_the_packages_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_there", lambda _name: False)
    with pytest.raises(LookupError, match="make tracing"):
        spans.configure("http://localhost:4318")
    assert not spans.enabled()
    assert settings.OTEL_ENDPOINT == ""
