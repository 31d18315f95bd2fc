"""Live topics of the human workflow: a decision is on another reviewer's socket, with its state."""

from __future__ import annotations

import time
from typing import Any

import pytest

from approvals import services
from tests.approvals.house import House
from tests.factories import make_token
from tests.live import Client, blocking

pytestmark = pytest.mark.django_db


async def test_a_decision_and_an_incident_are_heard(db: None) -> None:
    house = await blocking(House)
    item = await blocking(house.ask)
    _row, text = await blocking(make_token, house.tenant, "read")
    slug = house.tenant.slug
    async with Client(text) as client:
        inbox, one, incidents = (f"tenant:{slug}:{rest}" for rest in ("approvals", f"approval:{item.pk}", "incidents"))
        for topic in (inbox, one, incidents):
            assert (await client.follow(topic))["type"] == "subscribed"
        snapshots: dict[str, Any] = {}
        while len(snapshots := {f["topic"]: f["data"] for f in client.other if f["type"] == "snapshot"}) < 3:
            await client.hear()
        assert snapshots[inbox]["open"] == 1
        assert snapshots[one]["status"] == "requested"
        started = time.monotonic()
        await blocking(house.decide, item)
        heard = {}
        while {inbox, one} - heard.keys():
            frame = await client.hear_kind("state")
            if frame["message"] == "approval.decided":
                heard[frame["topic"]] = frame["data"]
        assert time.monotonic() - started < 5
        assert heard[inbox]["open"] == 0
        assert heard[one]["status"] == "approved"
        await blocking(
            lambda: services.open_incident(house.tenant, principal=house.bob, title="Doubled", severity="high")
        )
        while True:
            frame = await client.hear_kind("state")
            if frame["topic"] == incidents:
                break
        assert frame["message"] == "incident.opened"
        assert frame["data"]["unresolved"]["high"] == 1
        missing = await client.follow(f"tenant:{slug}:approval:00000000-0000-0000-0000-000000000000")
        assert missing["code"] == "topic.not_found"
        await client.say(type="subscribe", topic=f"tenant:{slug}:incident:nonsense", id="x")
        assert (await client.hear_kind("error"))["code"] == "topic.not_found"
