"""Replays over HTTP."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from decisiongraph.core.db import tenant_tx
from projections.models import TraceSummary
from replays.models import Replay
from tests.factories import make_token
from tests.projections.desk import Desk
from tests.replays.drive import drive, run

pytestmark = pytest.mark.django_db

V1 = "/api/v1"
JSON = "application/json"


@pytest.fixture
def client(desk: Desk) -> Client:
    _token, text = make_token(desk.tenant, "read", "operate")
    return Client(headers={"Authorization": f"Bearer {text}"})


def test_a_replay_from_start_to_differences(desk: Desk, client: Client) -> None:
    desk.fill(4)
    desk.catch_up()
    with tenant_tx(desk.tenant):
        TraceSummary.objects.update(title="tampered")
    started = client.post(
        f"{V1}/projections/replay",
        {"projection": "all", "mode": "verify", "reason": "suspicion"},
        content_type=JSON,
    )
    assert started.status_code == 202
    body = started.json()
    assert (body["status"], body["projection"], body["verdict"], len(body["children"])) == ("queued", "all", None, 4)
    assert {"id", "mode", "position", "target", "rate", "eta_seconds", "reason", "requested_by", "created_at",
            "finished_at", "error"} <= set(body)  # fmt: skip
    assert started.headers["Location"] == f"{V1}/replays/{body['id']}"
    assert [item["id"] for item in client.get(f"{V1}/projections/health").json()["replays"]] == [body["id"]]
    again = client.post(
        f"{V1}/projections/replay",
        {"projection": "context_graph", "mode": "rebuild", "reason": "impatience"},
        content_type=JSON,
    )
    assert (again.status_code, again.json()["code"]) == (409, "replay.active")
    with tenant_tx(desk.tenant):
        row = Replay.objects.get(pk=body["id"])
    drive(desk, row)
    found = client.get(f"{V1}/replays/{body['id']}").json()
    assert (found["status"], found["verdict"], found["differences"]["changed"]) == ("completed", "mismatch", 4)
    first = client.get(f"{V1}/replays/{body['id']}/differences", {"limit": 3}).json()
    rest = client.get(f"{V1}/replays/{body['id']}/differences", {"limit": 3, "cursor": first["next"]}).json()
    items = first["items"] + rest["items"]
    assert len(items) == 4
    assert rest["next"] is None
    assert all(item["columns"] == ["title"] and item["event"]["event_id"] for item in items)
    assert items[0]["live"] == {"title": "tampered"}


def test_the_list_page_by_page(desk: Desk, client: Client) -> None:
    desk.fill(1)
    desk.catch_up()
    made = [str(run(desk, name).row.pk) for name in ("trace_summary", "context_graph", "precedent_index")]
    first = client.get(f"{V1}/replays", {"limit": 2}).json()
    rest = client.get(f"{V1}/replays", {"limit": 2, "cursor": first["next"]}).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]


def test_cancel_and_refusals(desk: Desk, client: Client) -> None:
    desk.fill(1)
    desk.catch_up()
    asked = {"projection": "trace_summary", "mode": "verify", "reason": "a test"}
    ident = client.post(f"{V1}/projections/replay", asked, content_type=JSON).json()["id"]
    cancelled = client.post(f"{V1}/replays/{ident}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert client.post(f"{V1}/replays/{ident}/cancel").status_code == 409
    for missing in (str(uuid.uuid4()), "nonsense"):
        for path in ("", "/differences"):
            assert client.get(f"{V1}/replays/{missing}{path}").status_code == 404
        assert client.post(f"{V1}/replays/{missing}/cancel").status_code == 404
    for wrong in ({"mode": "magic"}, {"until_log_seq": -1}, {"unknown": 1}, {"reason": ""}):
        answer = client.post(f"{V1}/projections/replay", asked | wrong, content_type=JSON)
        assert (answer.status_code, answer.json()["errors"] != []) == (422, True)
    _token, text = make_token(desk.tenant, "read")
    reader = Client(headers={"Authorization": f"Bearer {text}"})
    assert reader.post(f"{V1}/projections/replay", asked, content_type=JSON).status_code == 403
    other = Desk()
    _token, text = make_token(other.tenant)
    stranger = Client(headers={"Authorization": f"Bearer {text}"})
    assert stranger.get(f"{V1}/replays/{ident}").status_code == 404
