"""Webhooks: signed, retried over a day, sent once whoever dies."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from approvals import services
from approvals.domain import hooks
from approvals.models import Attempt, Delivery, Outbox
from approvals.services import delivering
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.models import AuditEntry
from tests.approvals.hooks import deliveries, endpoint, hook, run, verified
from tests.approvals.house import Hands, House
from tests.approvals.receiver import Receiver

pytestmark = pytest.mark.django_db


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
