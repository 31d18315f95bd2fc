"""Endpoints over HTTP, the worker's round, and what the log has to tell."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from approvals import services
from approvals.models import Delivery, Outbox
from approvals.services import endpoints
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.models import AuditEntry
from tests.approvals.hooks import deliveries, hook, run, verified
from tests.approvals.house import House
from tests.approvals.receiver import Receiver
from traces import services as log_services
from traces.domain import note
from traces.management.commands.verify_log import verified as signature_right
from traces.models import LogSeal

pytestmark = pytest.mark.django_db


def test_the_life_of_an_endpoint_over_http(house: House, ear: Receiver) -> None:
    client = house.client("admin")
    made = client.post("/api/v1/webhooks", {"url": ear.url}, content_type="application/json")
    assert made.status_code == 201, made.content
    ident, secret = made.json()["endpoint"]["id"], made.json()["secret"]
    assert secret.startswith("whsec_")
    assert made["Cache-Control"] == "no-store"
    assert secret not in client.get("/api/v1/webhooks").content.decode()
    base = f"/api/v1/webhooks/{ident}"
    assert client.post(f"{base}/test", {}, content_type="application/json").status_code == 202
    run(house)
    assert verified(secret, *ear.heard[0])
    assert json.loads(ear.heard[0][1])["type"] == "webhook.test"
    (sent,) = client.get(f"{base}/deliveries").json()["items"]
    assert (sent["state"], sent["log"][0]["status"], sent["log"][0]["answer"]) == ("done", 200, "heard")
    again = client.post(f"/api/v1/webhook-deliveries/{sent['id']}/redeliver", {}, content_type="application/json")
    assert again.status_code == 202
    run(house)
    assert ear.heard[1][0]["webhook-id"] == ear.heard[0][0]["webhook-id"] == sent["webhook_id"]
    changed = client.patch(base, {"messages": ["incident.opened"], "enabled": False}, content_type="application/json")
    assert (changed.json()["messages"], changed.json()["enabled"]) == (["incident.opened"], False)
    rotated = client.post(f"{base}/rotate", {}, content_type="application/json").json()
    assert rotated["secret"] not in ("", secret)
    assert client.delete(base).json() == {"deleted": ident}
    assert client.get(base).json()["code"] == "webhook.not_found"
    with tenant_tx(house.tenant):
        assert not Delivery.objects.filter(channel=Delivery.WEBHOOK).exists()
        lines = set(AuditEntry.objects.filter(target=f"webhook:{ident}").values_list("action", flat=True))
        assert secret not in str(list(AuditEntry.objects.values_list("before", "after")))
    assert lines >= {
        "webhook.created",
        "webhook.changed",
        "webhook.secret_rotated",
        "webhook.tested",
        "webhook.deleted",
    }


def test_refusals_over_http(house: House, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = house.client("admin")

    def post(**asked: Any) -> Any:
        return client.post("/api/v1/webhooks", asked, content_type="application/json").json()

    assert post(url="https://127.0.0.1/")["code"] == "webhook.url_invalid"
    assert post(url="http://example.org/")["code"] == "webhook.url_invalid"
    assert post(url="https://example.org/", messages=["x.y"])["code"] == "webhook.message_unknown"
    assert house.client("review").get("/api/v1/webhooks").json()["permission"] == "admin"
    assert client.get("/api/v1/webhooks/none").status_code == 404
    missing = "/api/v1/webhook-deliveries/00000000-0000-0000-0000-000000000000/redeliver"
    assert client.post(missing, {}, content_type="application/json").json()["code"] == "delivery.not_found"
    row, _ = hook(house, "https://example.org/")
    bad = client.get(f"/api/v1/webhooks/{row.pk}/deliveries?cursor=eyJ4Ijox")
    assert (bad.status_code, bad.json()["code"]) == (400, "cursor.malformed")
    monkeypatch.setattr(endpoints, "MOST", 1)
    assert post(url="https://example.org/2")["code"] == "webhook.too_many"
    services.change_endpoint(house.tenant, principal=house.alice, endpoint_id=str(row.pk), enabled=False)
    off = client.post(f"/api/v1/webhooks/{row.pk}/test", {}, content_type="application/json").json()
    assert off["code"] == "webhook.disabled"
    assert House().client("admin").get(f"/api/v1/webhooks/{row.pk}").status_code == 404


def test_a_secret_of_another_server_is_said_in_the_log(house: House, ear: Receiver, settings: Any) -> None:
    hook(house, ear.url, "approval.requested")
    house.ask()
    settings.SECRET_KEY = "another secret key that is longer than fifty characters, surely"
    run(house)
    assert "Rotate the secret" in deliveries(house)[0].last_error
    assert ear.heard == []


def test_the_worker_finds_due_work_of_every_tenant(house: House, ear: Receiver) -> None:
    """`hand_out` and `deliver` look across tenants by the two finder functions."""
    hook(house, ear.url, "approval.requested")
    house.ask()
    while services.hand_out(budget=30):
        pass
    (sent,) = deliveries(house)
    with tenant_tx(house.tenant):
        Delivery.objects.filter(pk=sent.pk).update(next_at=clock.now() - timedelta(days=3650))
    services.deliver(most=1)
    assert len(ear.heard) == 1


def test_one_tenants_row_that_cannot_be_read_keeps_nobody_else_waiting(house: House, ear: Receiver) -> None:
    broken = House()
    with tenant_tx(broken.tenant):
        bad = Outbox.objects.create(
            tenant_id=broken.tenant.pk, message="approval.updated", kind="approval", ident="no id", at=clock.now()
        )
    hook(house, ear.url, "approval.requested")
    house.ask()
    try:
        while services.hand_out(budget=30):
            pass
        assert len(deliveries(house)) == 1
        with tenant_tx(broken.tenant):
            assert Outbox.objects.get(pk=bad.pk).handled_at is None, "it is still to be seen that something is wrong"
    finally:
        with tenant_tx(broken.tenant):
            Outbox.objects.update(handled_at=clock.now())


def test_a_damaged_log_opens_one_incident(house: House) -> None:
    house.ask()
    log_services.seal(house.tenant)
    services.raise_faults()
    assert house.incidents(cause="log.damaged") == []
    with tenant_tx(house.tenant):
        LogSeal.objects.update(fault="Somebody was here.")
    services.raise_faults()
    services.raise_faults()
    (incident,) = house.incidents(cause="log.damaged")
    assert (incident.severity, incident.status) == ("critical", "open")


def test_checkpoints_are_told_to_who_asks_for_them_once_an_interval(house: House, ear: Receiver, settings: Any) -> None:
    settings.CHECKPOINT_PUSH_SECONDS = 3600
    hook(house, ear.url, "log.checkpoint_signed")
    hook(house, ear.url)  # everything people would want to know: this is not among it
    house.ask()
    services.follow(house.tenant)
    log_services.seal(house.tenant)
    services.tell_checkpoints()
    services.tell_checkpoints()
    house.ask()
    log_services.seal(house.tenant)
    services.tell_checkpoints()  # an hour has not passed
    with tenant_tx(house.tenant):
        assert Outbox.objects.filter(kind="log").count() == 1
    run(house)
    ((_headers, body),) = [(h, b) for h, b in ear.heard if b"log.checkpoint_signed" in b]
    data = json.loads(body)["data"]
    keys = [note.parse_key(text) for text in data["keys"]]
    checkpoint = note.opened(data["note"], keys, signature_right)
    assert (checkpoint.size, checkpoint.root.hex()) == (data["size"], data["root_hash"])
    settings.CHECKPOINT_PUSH_SECONDS = 0
    services.tell_checkpoints()
    with tenant_tx(house.tenant):
        assert Outbox.objects.filter(kind="log").count() == 2
