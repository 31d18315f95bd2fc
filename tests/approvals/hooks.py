"""Endpoints of webhooks in tests: made, run and verified as a receiver would."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from approvals import services
from approvals.models import Delivery, Endpoint
from approvals.selectors import telling
from approvals.services import delivering
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import House


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
