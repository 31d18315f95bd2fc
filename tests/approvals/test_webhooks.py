"""Webhooks: signed, retried, logged, and never to an address that is not public."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from approvals import services
from approvals.domain import hooks
from approvals.models import Attempt, Delivery, Endpoint, Outbox
from approvals.selectors import telling
from approvals.services import delivering, endpoints, wire
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.models import AuditEntry
from tests.approvals.domain.test_addresses import CLOSED
from tests.approvals.house import Hands, House
from tests.approvals.receiver import Receiver, receiver
from traces import services as log_services
from traces.domain import note
from traces.management.commands.verify_log import verified as signature_right
from traces.models import LogSeal

pytestmark = pytest.mark.django_db


@pytest.fixture
def ear(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    with receiver() as found:
        yield found


def hook(house: House, url: str, *messages: str) -> tuple[Endpoint, str]:
    return services.create_endpoint(house.tenant, principal=house.alice, url=url, messages=messages)


def run(house: House) -> None:
    """What the worker does, for this tenant only: others' deliveries are not ours to send."""
    while services.fan_out(house.tenant):
        pass
    for row in deliveries(house, state=Delivery.WAITING):
        delivering.attempt(house.tenant, row.pk)


def deliveries(house: House, **filters: Any) -> list[Delivery]:
    with tenant_tx(house.tenant):
        return list(Delivery.objects.filter(channel=Delivery.WEBHOOK, **filters).order_by("outbox_id"))


def endpoint(house: House, row: Endpoint) -> Endpoint:
    return telling.endpoint(house.tenant, str(row.pk))


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver does it, from the published specification and nothing of ours."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return right in headers["webhook-signature"].split(" ")


def test_the_published_example_of_a_signature() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    said = hooks.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_decision_arrives_signed(house: House, ear: Receiver) -> None:
    _row, secret = hook(house, ear.url, "approval.decided")
    item = house.ask()
    house.decide(item)
    run(house)
    ((headers, body),) = ear.heard
    assert verified(secret, headers, body)
    assert not verified(secret, headers, body + b" ")
    said = json.loads(body)
    assert (said["type"], said["data"]["id"], said["data"]["decision"]) == (
        "approval.decided",
        str(item.pk),
        "approved",
    )
    assert headers["content-type"] == "application/json"
    (sent,) = deliveries(house)
    assert (sent.state, sent.last_status) == (Delivery.DONE, 200)
    run(house)
    assert len(ear.heard) == 1


def test_the_outbox_row_stands_or_falls_with_the_decision(house: House, ear: Receiver, monkeypatch: Any) -> None:
    hook(house, ear.url, "approval.decided")
    item = house.ask()

    def fail(*_args: Any, **_more: Any) -> None:
        raise RuntimeError("the last step")

    monkeypatch.setattr("approvals.services.review.Book.write", fail)
    with pytest.raises(RuntimeError):
        house.decide(item)
    monkeypatch.undo()
    run(house)
    assert deliveries(house) == []
    assert house.item(item).status == "requested"


def test_each_outbox_row_is_handed_out_once(house: House, ear: Receiver) -> None:
    hook(house, ear.url)
    house.ask()
    with tenant_tx(house.tenant):
        waiting = Outbox.objects.filter(handled_at__isnull=True).count()
    assert waiting > 0
    assert services.fan_out(house.tenant) == waiting
    assert services.fan_out(house.tenant) == 0
    assert len(deliveries(house)) == waiting


def test_rotation_signs_with_both_for_a_day(house: House, ear: Receiver, hands: Hands) -> None:
    row, first = hook(house, ear.url, "approval.requested")
    _row, second = services.rotate_secret(house.tenant, principal=house.alice, endpoint_id=str(row.pk))
    assert first != second
    house.ask()
    run(house)
    headers, body = ear.heard[-1]
    assert verified(first, headers, body)
    assert verified(second, headers, body)
    hands.forward(hours=25)
    house.ask()
    run(house)
    headers, body = ear.heard[-1]
    assert not verified(first, headers, body)
    assert verified(second, headers, body)


def test_retries_over_a_day_then_the_endpoint_is_switched_off(house: House, ear: Receiver, hands: Hands) -> None:
    ear.answers = [500]
    row, _ = hook(house, ear.url, "approval.requested")
    house.ask()
    begun = hands.at
    for _ in range(30):
        run(house)
        waiting = deliveries(house, state=Delivery.WAITING)
        if not waiting:
            break
        hands.at = waiting[0].next_at
    (sent,) = deliveries(house)
    assert (sent.state, sent.attempts) == (Delivery.DEAD, len(hooks.PAUSES) + 1)
    assert timedelta(hours=22) < hands.at - begun < timedelta(hours=27)
    assert len({headers["webhook-id"] for headers, _ in ear.heard}) == 1
    assert len({body for _, body in ear.heard}) == 1
    off = endpoint(house, row)
    assert not off.enabled
    assert "HTTP 500" in off.disabled_reason
    with tenant_tx(house.tenant):
        assert AuditEntry.objects.filter(action="webhook.disabled").count() == 1
        assert Attempt.objects.count() == sent.attempts
    house.ask()
    run(house)
    assert len(deliveries(house)) == 1
    with pytest.raises(Problem) as refused:
        services.redeliver(house.tenant, principal=house.alice, delivery_id=str(sent.pk))
    assert refused.value.code == "webhook.disabled"
    ear.answers = [204]
    services.change_endpoint(house.tenant, principal=house.alice, endpoint_id=str(row.pk), enabled=True)
    services.redeliver(house.tenant, principal=house.alice, delivery_id=str(sent.pk))
    run(house)
    assert deliveries(house)[0].state == Delivery.DONE
    assert endpoint(house, row).failing_since is None


def test_one_success_in_between_keeps_the_endpoint(house: House, ear: Receiver, hands: Hands) -> None:
    ear.answers = [500, 200, 500]
    row, _ = hook(house, ear.url, "approval.requested")
    house.ask()
    run(house)
    assert endpoint(house, row).failing_since is not None
    hands.forward(seconds=10)
    run(house)
    assert endpoint(house, row).failing_since is None


def test_gone_switches_off_at_once(house: House, ear: Receiver) -> None:
    ear.answers = [410]
    row, _ = hook(house, ear.url, "approval.requested")
    house.ask()
    run(house)
    assert deliveries(house)[0].state == Delivery.DEAD
    assert endpoint(house, row).disabled_reason == "It answered 410 Gone."


def test_redirects_are_not_followed(house: House, ear: Receiver) -> None:
    ear.answers, ear.location = [302], ear.url
    hook(house, ear.url, "approval.requested")
    house.ask()
    run(house)
    assert len(ear.heard) == 1
    assert deliveries(house)[0].last_error == "HTTP 302"


def test_two_workers_send_once(house: House, ear: Receiver) -> None:
    from concurrent.futures import ThreadPoolExecutor

    hook(house, ear.url, "approval.requested")
    house.ask()
    services.fan_out(house.tenant)
    (sent,) = deliveries(house)
    with ThreadPoolExecutor(4) as pool:
        tried = list(pool.map(lambda _: delivering.attempt(house.tenant, sent.pk), range(8)))
    assert sum(tried) == 1
    assert len(ear.heard) == 1


def test_who_dies_while_sending_is_followed_after_the_lease(house: House, ear: Receiver, hands: Hands) -> None:
    hook(house, ear.url, "approval.requested")
    house.ask()
    services.fan_out(house.tenant)
    (sent,) = deliveries(house)

    def die(*_args: Any, **_more: Any) -> Any:
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivering, "_call", die)
        with pytest.raises(SystemExit):
            delivering.attempt(house.tenant, sent.pk)
    assert not delivering.attempt(house.tenant, sent.pk)
    hands.forward(seconds=61)
    assert delivering.attempt(house.tenant, sent.pk)
    assert deliveries(house)[0].state == Delivery.DONE


# --- G4: addresses ------------------------------------------------------------------------------------


class Wire:
    """Stands where connections are opened, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[str] = []
        monkeypatch.setattr(wire, "connect", self.connect)

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        self.opened.append(address)
        raise ConnectionRefusedError("not in a test")


SPELLED = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",
    "3232235521",
    "0xa9fea9fe",
    "2852039166",
    "localhost",
]


def send(host: str, find: wire.Resolve | None = None, *, loopback: bool = False) -> wire.Outcome:
    return wire.post(f"https://{host}/", {}, "{}", loopback=loopback, find=find)


@pytest.mark.trust("G4")
def test_no_connection_to_any_address_that_is_not_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRUST G4: as literals, as answers of a name server, and in every spelling a resolver understands."""
    line = Wire(monkeypatch)
    for address in CLOSED:
        literal = f"[{address.partition('%')[0]}]" if ":" in address else address
        assert send(literal).status is None
        assert "Refused" in send("rebound.example.org", lambda *_: [address]).error  # noqa: B023
        assert "Refused" in send("mixed.example.org", lambda *_: ["8.8.8.8", address]).error  # noqa: B023
    for host in SPELLED:
        assert send(host).status is None
    assert line.opened == []


@pytest.mark.trust("G4", control=True)
def test_the_control_without_the_rule_they_are_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Wire(monkeypatch)
    monkeypatch.setattr(wire.addresses, "may_connect", lambda text, *, loopback: True)
    send("rebound.example.org", lambda *_: ["169.254.169.254"])
    send("2130706433")
    assert line.opened == ["169.254.169.254", "127.0.0.1"]


@pytest.mark.trust("G4")
def test_a_name_is_resolved_once_and_that_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the second answer would be another one, but nobody asks for it."""
    line = Wire(monkeypatch)
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("asked again"))
    assert "ConnectionRefused" in send("rebind.example.org", lambda *_: next(answers)).error
    assert line.opened == ["8.8.8.8"]
    assert next(answers) == ["127.0.0.1"]


def test_host_and_sni_are_those_of_the_name(ear: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(ear.url.split(":")[2].split("/")[0])
    said = wire.post(f"http://hooks.example.org:{port}/x", {}, "{}", loopback=True, find=lambda *_: ["127.0.0.1"])
    assert said.status == 200
    assert ear.heard[0][0]["host"] == f"hooks.example.org:{port}"
    names: list[str] = []

    def wrapped(_self: Any, sock: socket.socket, server_hostname: str) -> Any:
        names.append(server_hostname)
        raise OSError("seen")

    monkeypatch.setattr("ssl.SSLContext.wrap_socket", wrapped)
    wire.post(f"https://hooks.example.org:{port}/x", {}, "{}", loopback=True, find=lambda *_: ["127.0.0.1"])
    assert names == ["hooks.example.org"]


def test_loopback_is_refused_unless_the_setting_allows_it(ear: Receiver, settings: Any) -> None:
    assert wire.post(ear.url, {}, "{}", loopback=True).status == 200
    assert wire.post(ear.url, {}, "{}", loopback=False).status is None
    assert len(ear.heard) == 1
    assert "Refused" in wire.post("http://x.example.org/", {}, "{}", loopback=True, find=lambda *_: ["10.0.0.1"]).error
    assert "plain http" in wire.post("http://x.org/", {}, "{}", loopback=True, find=lambda *_: ["8.8.8.8"]).error


def test_a_receiver_that_drips_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(wire, "TOTAL_SECONDS", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        taken, _ = listener.accept()
        with taken:
            taken.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stop.wait(0.1):
                try:
                    taken.sendall(b"X: 1\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    said = wire.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, "{}", loopback=True)
    stop.set()
    thread.join(5)
    listener.close()
    assert "No answer within" in said.error
    assert said.milliseconds < 3000


# --- over HTTP ----------------------------------------------------------------------------------------


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
