"""A moment somebody gives may have any offset Python reads; the database knows fewer, and must never see it."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from tests.factories import Cast

pytestmark = pytest.mark.django_db

FAR = "2026-01-06T06:22:10-19:07"
"""PostgreSQL refuses an offset beyond 15:59."""
OUTSIDE = ("0001-01-01T00:00:00+19:00", "9999-12-31T23:59:59-19:00")
ASKED = [
    f"/api/v1/{path}?{name}="
    for path, names in {
        "audit": ("after", "before"),
        "audit/export": ("after", "before"),
        "traces": ("after", "before"),
    }.items()
    for name in names
]


@pytest.mark.parametrize("address", ASKED)
def test_an_offset_beyond_the_databases_is_read(cast: Cast, address: str) -> None:
    assert cast.program("admin", "read").get(address + FAR).status_code == 200


@pytest.mark.parametrize("address", ASKED)
@pytest.mark.parametrize("moment", OUTSIDE)
def test_a_moment_outside_the_calendar_is_refused(cast: Cast, address: str, moment: str) -> None:
    answer = cast.program("admin", "read").get(address + moment.replace("+", "%2B"))
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert "1 to 9999" in answer.content.decode()


@pytest.mark.parametrize("moment", [FAR, *OUTSIDE])
def test_the_past_of_a_policy(cast: Cast, moment: str) -> None:
    asked = {"definition": {"deadline": {"seconds": 60}}, "over": "traces", "since": moment}
    answer = cast.program("admin", "read").post("/api/v1/sla-policies/try", asked, content_type="application/json")
    assert answer.status_code == (200 if moment == FAR else 422)


@pytest.mark.parametrize("address", ["settings/audit", "settings/audit.csv"])
def test_pages(cast: Cast, address: str) -> None:
    browser = cast.browser(cast.alice)
    assert browser.get(f"/t/{cast.acme.slug}/{address}?after={FAR}").status_code == 200
    assert browser.get(f"/t/{cast.acme.slug}/{address}?after={OUTSIDE[1]}").status_code in (200, 400)


FORGED = [
    ["0577-01-06T06:22:10-19:07", str(uuid.UUID(int=1))],
    ["0001-01-01T00:00:00+19:00", str(uuid.UUID(int=1))],
    ["2026-01-01T00:00:00", str(uuid.UUID(int=1))],
    ["2026-01-01T00:00:00Z", "no id\x00"],
    ["2026-01-01T00:00:00Z"],
    ["0577-01-06T06:22:10-19:07", 1],
    [2**60, 2**60],
    [True],
    {},
]
LISTS = [
    *("audit", "tokens", "members", "traces?sort=started", "replays", "approvals", "exceptions", "incidents"),
    *("notifications", "sla-policies", "webhooks", "graph/edges", "precedents", "views", "exports"),
    *("log/checkpoints", "ingest/refusals", "projections/dead-letters"),
]


@pytest.mark.parametrize("forged", FORGED, ids=str)
def test_no_forged_position_breaks_a_list(cast: Cast, forged: Any) -> None:
    """400 with the reason; a position that could be one of a list's own is simply read."""
    client = cast.program("admin", "read", "operate", "review")
    cursor = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
    refused = 0
    for path in LISTS:
        answer = client.get(f"/api/v1/{path}{'&' if '?' in path else '?'}cursor={cursor}")
        assert answer.status_code in (200, 400), (path, answer.content)
        if answer.status_code == 400:
            assert answer.json()["code"] in ("cursor.malformed", "query.invalid_parameter"), (path, answer.content)
            refused += 1
    assert refused > len(LISTS) / 2
