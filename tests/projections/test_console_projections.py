"""The page of the projections: states, parked traces, and what an operator may do."""

from __future__ import annotations

import json

import pytest

from decisiongraph.core.db import tenant_tx
from projections import selectors
from projections.models import DeadLetter
from tenants.models import AuditEntry
from tests.pages import Shop, element, queries, text
from tests.projections.test_dead_letters import poison

pytestmark = pytest.mark.django_db

PARTS = {"table": "pr-table", "parked": "parked"}


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop()


@pytest.fixture
def parked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[Shop, set[int]]:
    """A shop in which every projection set one trace aside; the set heals the rules when emptied."""
    shop.fill(10)
    bad = poison(monkeypatch, 1)
    shop.catch_up()
    return shop, bad


def test_every_projection_has_a_row(shop: Shop) -> None:
    head = shop.fill(10)
    shop.catch_up()
    answer = shop.operator.get(f"{shop.base}/projections")
    said = text(answer)
    assert f"every projection stands at event {head}" in said
    for item in selectors.observations(shop.tenant):
        assert item.seen.name in said
        assert item.digest.removeprefix("sha256:") in answer.content.decode()
    assert "No trace is parked." in said


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_the_same_as_on_the_page(parked: tuple[Shop, set[int]], part: str) -> None:
    shop, _ = parked
    page = shop.operator.get(f"{shop.base}/projections")
    alone = shop.operator.get(f"{shop.base}/projections?part={part}")
    assert b"<html" not in alone.content
    assert element(alone, PARTS[part]) == element(page, PARTS[part])


def test_a_viewer_reads_and_has_no_buttons(parked: tuple[Shop, set[int]]) -> None:
    shop, _ = parked
    answer = shop.viewer.get(f"{shop.base}/projections")
    assert "1 trace parked" in text(answer)
    for part in PARTS.values():
        found = element(answer, part)
        assert "<form" not in found
        assert "hx-post" not in found
        assert "popovertarget" not in found
    for path in ("catch-up", "dead-letters/1/retry", "dead-letters/1/skip"):
        assert shop.viewer.post(f"{shop.base}/projections/{path}").status_code == 403
        assert shop.stranger.post(f"{shop.base}/projections/{path}").status_code == 404
        assert shop.operator.get(f"{shop.base}/projections/{path}").status_code == 405
    assert shop.stranger.get(f"{shop.base}/projections").status_code == 404


def test_waking_is_audited_and_said(shop: Shop) -> None:
    answer = shop.operator.post(
        f"{shop.base}/projections/catch-up", {"projection": "trace_summary"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 204
    assert json.loads(answer["HX-Trigger"])["toast"]["text"] == "Catching up trace_summary."
    with tenant_tx(shop.tenant):
        assert AuditEntry.objects.get(action="projection.woken").target == "projection:trace_summary"
    plain = shop.operator.post(f"{shop.base}/projections/catch-up")
    assert plain["Location"] == f"{shop.base}/projections"
    assert "Catching up every projection." in text(shop.operator.get(plain["Location"]))
    assert shop.operator.post(f"{shop.base}/projections/catch-up", {"projection": "nope"}).status_code == 404


def letter(shop: Shop, projection: str = "trace_summary") -> DeadLetter:
    return selectors.dead_letters(shop.tenant, projection=projection)[0]


def test_a_parked_trace_is_retried(parked: tuple[Shop, set[int]]) -> None:
    shop, bad = parked
    path = f"{shop.base}/projections/dead-letters/{letter(shop).pk}/retry"
    htmx = {"HX-Request": "true"}
    again = json.loads(shop.operator.post(path, headers=htmx)["HX-Trigger"])["toast"]
    assert (again["tone"], "failed again" in again["text"]) == ("warn", True)
    bad.clear()
    assert "is folded" in json.loads(shop.operator.post(path, headers=htmx)["HX-Trigger"])["toast"]["text"]
    assert selectors.dead_letters(shop.tenant, projection="trace_summary") == []
    assert shop.operator.post(path, headers=htmx).status_code == 409


def test_an_event_is_skipped_for_a_reason(parked: tuple[Shop, set[int]]) -> None:
    shop, _ = parked
    path = f"{shop.base}/projections/dead-letters/{letter(shop).pk}/skip"
    assert shop.operator.post(path, {"reason": " "}).status_code == 422
    answer = shop.operator.post(path, {"reason": "a test event"})
    assert answer["Location"] == f"{shop.base}/projections#parked"
    with tenant_tx(shop.tenant):
        assert AuditEntry.objects.get(action="dead_letter.skipped").reason == "a test event"


def test_queries_do_not_grow(parked: tuple[Shop, set[int]]) -> None:
    shop, bad = parked
    before = queries(shop.operator, f"{shop.base}/projections")
    bad |= set(range(1, 400))
    shop.fill(30)
    shop.catch_up()
    assert queries(shop.operator, f"{shop.base}/projections") <= before
    assert before <= 24
