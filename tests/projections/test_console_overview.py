"""The Overview says what is true, in every part, to those who may see it."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from projections import services
from projections.models import Checkpoint, Finding, WorkerHeartbeat
from projections.selectors import overview as reads
from tests.pages import Shop, element, queries, text
from traces.models import Producer, ProducerMinute, Refusal
from traces.services.roll_up import roll_up

pytestmark = pytest.mark.django_db

PARTS = {
    "health": "ov-health",
    "minutes": "ov-minutes",
    "projections": "ov-projections",
    "producers": "producers",
    "workers": "workers",
}


@pytest.fixture
def shop(db: None) -> Shop:
    WorkerHeartbeat.objects.all().delete()
    services.beat("beat", kind="beat")
    services.beat("host:1", queues="default,project")
    return Shop()


@pytest.fixture
def busy(shop: Shop) -> Shop:
    shop.fill(20)
    shop.catch_up()
    roll_up(shop.tenant)
    return shop


def test_an_empty_tenant_says_what_comes_next(shop: Shop) -> None:
    said = text(shop.admin.get(f"{shop.base}/"))
    assert "The log is empty; every projection is ready for the first event" in said
    assert "Make a token for the first agent" in said
    assert "Make a token for the first agent" not in text(shop.viewer.get(f"{shop.base}/"))


def test_a_healthy_tenant(busy: Shop) -> None:
    said = text(busy.viewer.get(f"{busy.base}/"))
    assert "Everything is current" in said
    assert "The platform needs nobody." in said
    assert "refunds" in said
    assert "fold-1" in said


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_the_same_as_on_the_page(busy: Shop, part: str) -> None:
    def on_the_page() -> str:
        return element(busy.operator.get(f"{busy.base}/?range=6h"), PARTS[part])

    # Jobs are sent after the request that asks for them; one that comes between two answers is no difference.
    for _ in range(20):
        before = on_the_page()
        alone = busy.operator.get(f"{busy.base}/?range=6h&part={part}")
        after = on_the_page()
        if before == after:
            break
    assert alone.status_code == 200
    assert b"<html" not in alone.content
    assert element(alone, PARTS[part]) == after


def test_a_stale_projection_leads_and_can_be_woken(busy: Shop, settings: Any) -> None:
    busy.fill(5)
    old = clock.now() - timedelta(minutes=3)
    with tenant_tx(busy.tenant):
        Checkpoint.objects.update(moved_at=old)
    settings.STALE_UNMOVED_SECONDS = settings.STALE_LAG_SECONDS = 0
    answer = busy.operator.get(f"{busy.base}/?part=health")
    seen_by_viewer = busy.viewer.get(f"{busy.base}/?part=health")
    assert "context_graph is stale, policy_evaluations is stale, and 2 more" in text(answer)
    assert "Catch up" in text(answer)
    assert "Catch up" not in text(seen_by_viewer)
    assert b"<form" not in seen_by_viewer.content


def test_an_open_finding_leads_everything(busy: Shop) -> None:
    services.store_finding(
        busy.tenant,
        kind=Finding.MISMATCH,
        projection="trace_summary",
        generation=busy.generation("trace_summary"),
        log_seq=3,
        detail={"found_by": "replay", "replay_id": "abc", "cursor": 40, "counts": {"changed": 2, "missing": 1}},
    )
    answer = busy.viewer.get(f"{busy.base}/")
    assert "Mismatch in trace_summary" in text(answer)
    assert "Mismatch: 3 rows of trace_summary differ from the log." in text(answer)
    assert f'href="{busy.base}/replays/abc"'.encode() in answer.content
    assert "Rows differ" in text(answer)


def test_findings_about_generations_nobody_reads_are_no_news(busy: Shop) -> None:
    services.store_finding(
        busy.tenant, kind=Finding.MISMATCH, projection="trace_summary", generation=99, log_seq=1, detail={}
    )
    assert "The platform needs nobody." in text(busy.viewer.get(f"{busy.base}/"))


def test_lost_workers_and_a_stopped_clock(busy: Shop) -> None:
    WorkerHeartbeat.objects.update(at=clock.now() - timedelta(minutes=2))
    said = text(busy.viewer.get(f"{busy.base}/"))
    assert "No worker follows the log, and the clock does not tick" in said
    assert "Lost" in said
    assert "0 alive, 2 lost" in said


def test_a_replaced_worker_is_not_lost(busy: Shop) -> None:
    WorkerHeartbeat.objects.filter(name="host:1").update(at=clock.now() - timedelta(minutes=2))
    services.beat("host:2", queues="default,project")
    assert [p.alive for p in reads.processes()] == [True, True]


def test_what_a_worker_does_for_others_stays_theirs(busy: Shop) -> None:
    elsewhere = 987_654_321  # no number that the page could hold by chance
    services.beat("host:1", queues="default,project", current=f"projections.catch_up tenant {elsewhere}")
    services.beat("host:2", queues="default,project", current=f"projections.catch_up tenant {busy.tenant.pk}")
    answer = busy.viewer.get(f"{busy.base}/?part=workers")
    assert "folding, another tenant" in text(answer)
    assert "folding, this tenant" in text(answer)
    assert str(elsewhere) not in text(answer)


def test_the_broker_may_be_away(busy: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["projections.console.overview"], "queue_depths", lambda: None)
    said = text(busy.viewer.get(f"{busy.base}/"))
    assert "The broker does not answer" in said
    assert "fold-1" in said


def _minutes(shop: Shop, producer: str, ago: list[int], **values: Any) -> None:
    now = clock.now().replace(second=0, microsecond=0)
    with tenant_tx(shop.tenant):
        ProducerMinute.objects.bulk_create(
            ProducerMinute(
                tenant_id=shop.tenant.pk,
                minute=now - timedelta(minutes=minute),
                producer_id=producer,
                last_at=now - timedelta(minutes=minute),
                **values,
            )
            for minute in ago
        )
        Producer.objects.create(
            tenant_id=shop.tenant.pk,
            producer_id=producer,
            system="core",
            events=len(ago),
            first_at=now - timedelta(minutes=max(ago)),
            last_at=now - timedelta(minutes=min(ago)),
            last_log_seq=1,
        )


def test_a_producer_against_its_habit(busy: Shop) -> None:
    _minutes(busy, "loan-sync", list(range(40, 90)), events=3)
    _minutes(busy, "storm", [1, 2, 3], events=10, refused=20)
    said = text(busy.viewer.get(f"{busy.base}/"))
    assert "Producer loan-sync is silent." in said
    assert "60 of 90 events of storm were refused." in said
    rows = {row.sender.name: row for row in reads.producer_rows(busy.tenant)}
    assert rows["storm"].minutes[-4:] == [10, 10, 10, 0]
    assert rows["storm"].refused_hour == 60
    assert rows["storm"].per_minute == 6.0


def test_ranges_count_the_same_events(busy: Shop) -> None:
    _minutes(busy, "steady", list(range(1, 50)), events=2, refused=1)
    totals = {
        minutes: (sum(found.accepted), sum(found.refused), len(found.accepted))
        for minutes, step in ((60, 1), (360, 5), (1440, 20))
        for found in [reads.flow(busy.tenant, minutes=minutes, step=step)]
    }
    assert {(accepted, refused) for accepted, refused, _ in totals.values()} == {totals[60][:2]}
    assert [size for *_, size in totals.values()] == [60, 72, 72]
    assert totals[60][1] == 49


def test_hostile_names_stay_text(busy: Shop) -> None:
    _minutes(busy, "<script>alert(1)</script>\u202e", [1], events=1)
    body = busy.viewer.get(f"{busy.base}/").content.decode()
    assert "<script>alert" not in body
    assert "\u202e" not in body


def test_many_producers_are_shown_on_demand(busy: Shop) -> None:
    for number in range(12):
        _minutes(busy, f"p-{number:02}", [1], events=1)
    some, every = (busy.viewer.get(f"{busy.base}/?part=producers&producers={which}") for which in ("some", "all"))
    assert "Show 5 more" in text(some)
    assert text(every).count("p-") == 12


@pytest.mark.parametrize("query", ["?part=all", "?range=2h", "?nonsense=1", "?part=health&part=minutes"])
def test_unknown_parameters_are_refused(busy: Shop, query: str) -> None:
    assert busy.viewer.get(f"{busy.base}/{query}").status_code == 400


def test_strangers_find_nothing(busy: Shop) -> None:
    for path in ("/", "/?part=health", "/refusals"):
        assert busy.stranger.get(busy.base + path).status_code == 404


def test_queries_do_not_grow_with_the_log(busy: Shop) -> None:
    before = queries(busy.operator, f"{busy.base}/")
    busy.fill(60)
    busy.catch_up()
    roll_up(busy.tenant)
    for number in range(10):
        _minutes(busy, f"more-{number}", [1, 2, 3], events=1)
    assert queries(busy.operator, f"{busy.base}/") <= before + 1
    assert before <= 32


def test_refusals_are_listed_with_what_to_do(busy: Shop) -> None:
    assert "Nothing was refused" in text(busy.viewer.get(f"{busy.base}/refusals"))
    token = f"{busy.base}/refusals"
    with tenant_tx(busy.tenant):
        Refusal.objects.create(
            tenant_id=busy.tenant.pk,
            at=clock.now(),
            producer_id="desk <i>",
            principal="token:abcd1234",
            code="event.secret_found",
            path="payload.reason",
            detail="Remove the bearer token.",
            trace_id="a/b?c",
            request_id="",
        )
    answer = busy.viewer.get(token)
    assert "Remove the bearer token. at payload.reason" in text(answer)
    assert b"/traces/a%2Fb%3Fc" in answer.content
    assert b"desk <i>" not in answer.content
    assert element(busy.viewer.get(token + "?part=list"), "refusals") == element(answer, "refusals")
