"""Pages of the replays: start, progress, verdict, rows that differ, who may do what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from replays import selectors
from replays.models import Replay
from tests.pages import Shop, element, queries, text
from tests.replays import drive

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def shop(db: None) -> Shop:
    made = Shop()
    made.fill(25)
    made.catch_up()
    return made


def tamper(shop: Shop) -> str:
    """Change a row behind the engine's back; its trace."""
    with tenant_tx(shop.tenant), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE projections_tracesummary SET outcome = 'tampered' WHERE tenant_id = %s AND key = (SELECT min(key) "
            "FROM projections_tracesummary WHERE tenant_id = %s AND status = 'finished') RETURNING key",
            [shop.tenant.pk, shop.tenant.pk],
        )
        return str(cursor.fetchone()[0])


def form(**values: str) -> dict[str, str]:
    return {"projection": "trace_summary", "mode": "verify", "reason": "a look", **values}


def only(shop: Shop) -> Replay:
    (found,) = selectors.replays(shop.tenant)
    return found.row


def test_start_watch_and_read_the_verdict(shop: Shop) -> None:
    assert "No replay has run yet" in text(shop.operator.get(f"{shop.base}/replays"))
    answer = shop.operator.post(f"{shop.base}/replays/start", form(), headers=HTMX)
    row = only(shop)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, f"{shop.base}/replays/{row.pk}")
    queued = text(shop.operator.get(f"{shop.base}/replays/{row.pk}"))
    assert "Verify of trace_summary waits for a worker" in queued
    assert "a look" in queued
    assert "1 running" in text(shop.viewer.get(f"{shop.base}/replays?part=figure"))
    drive.drive(shop, row)
    page = shop.viewer.get(f"{shop.base}/replays/{row.pk}")
    assert "Match: every row of trace_summary is what the log says" in text(page)
    listed = text(shop.viewer.get(f"{shop.base}/replays"))
    assert "The last verify of trace_summary agrees with the log" in listed
    assert "0 running" in text(shop.viewer.get(f"{shop.base}/replays?part=figure"))


def test_the_form_says_what_is_wrong_beside_the_field(shop: Shop) -> None:
    wrong: list[tuple[dict[str, str], str]] = [
        (form(reason=" "), "Say why"),
        (form(until_log_seq="12x"), "Give a whole number up to"),
        (form(until_log_seq="99999999"), "Give a whole number up to"),
        (form(mode="rebuild"), "Type the name of the projection"),
        (form(mode="rebuild", confirm="context_graph"), "Type the name of the projection"),
        (form(projection="nope"), "Choose a projection"),
        (form(mode="destroy"), "Choose what to do"),
    ]
    for values, said in wrong:
        part = shop.operator.post(f"{shop.base}/replays/start", values, headers=HTMX)
        assert part.status_code == 422
        assert said in text(part)
        assert b"<html" not in part.content
        whole = shop.operator.post(f"{shop.base}/replays/start", values)
        assert whole.status_code == 422
        assert element(whole, "start") == element(part, "start")
    assert selectors.replays(shop.tenant) == []


def test_a_rebuild_by_its_typed_name(shop: Shop) -> None:
    answer = shop.operator.post(f"{shop.base}/replays/start", form(mode="rebuild", confirm="trace_summary"))
    assert answer["Location"] == f"{shop.base}/replays/{only(shop).pk}"
    drive.drive(shop, only(shop))
    assert "Match, promoted" in text(shop.viewer.get(f"{shop.base}/replays"))


def test_a_second_one_is_refused_in_words(shop: Shop) -> None:
    drive.start(shop)
    answer = shop.operator.post(f"{shop.base}/replays/start", form())
    assert answer.status_code == 409
    assert "Wait for it, or cancel it first." in text(answer)


def test_cancel_is_offered_while_it_runs(shop: Shop) -> None:
    row = drive.start(shop)
    url = f"{shop.base}/replays/{row.pk}/cancel"
    page = shop.operator.get(f"{shop.base}/replays/{row.pk}")
    assert url in page.content.decode()
    assert url not in shop.viewer.get(f"{shop.base}/replays/{row.pk}").content.decode()
    assert shop.viewer.post(url).status_code == 403
    assert shop.stranger.post(url).status_code == 404
    assert shop.operator.post(url, headers=HTMX).status_code == 204
    after = shop.operator.get(f"{shop.base}/replays/{row.pk}")
    assert "was cancelled" in text(after)
    assert url not in after.content.decode()
    assert shop.operator.post(url, headers=HTMX).status_code == 409


def test_a_silent_worker_is_said(shop: Shop) -> None:
    row = drive.start(shop)
    with tenant_tx(shop.tenant):
        Replay.objects.filter(pk=row.pk).update(
            status="running", worker="w", position=10, heartbeat_at=clock.now() - timedelta(minutes=1)
        )
    said = text(shop.viewer.get(f"{shop.base}/replays"))
    assert "Verify of trace_summary is stalled" in said
    assert "the worker is silent; another one takes over" in said


def test_rows_that_differ_stand_side_by_side(shop: Shop) -> None:
    key = tamper(shop)
    view = drive.run(shop)
    path = f"{shop.base}/replays/{view.row.pk}"
    page = shop.operator.get(path)
    said = text(page)
    assert "Mismatch: 1 row of trace_summary differs from the log" in said
    assert "tampered" in said
    assert f'href="{shop.base}/traces/{key}"' in page.content.decode()
    found = selectors.differences(shop.tenant, str(view.row.pk))[0]
    assert f"/traces/{key}?event={found.trace_seq}" in page.content.decode()
    assert element(shop.operator.get(path + "?part=replay"), "rp-one") == element(page, "rp-one")
    assert "Promote anyway" not in text(shop.viewer.get(path))
    assert "Only an admin may replace" in page.content.decode()
    assert 'id="promote"' not in page.content.decode()
    assert 'id="promote"' in shop.admin.get(path).content.decode()


def test_an_admin_promotes_anyway(shop: Shop) -> None:
    tamper(shop)
    drive.run(shop)
    values = form(mode="rebuild", accept_mismatch="yes", confirm="trace_summary", reason="the log is right")
    path = f"{shop.base}/replays/start"
    assert shop.operator.post(path, values).status_code == 403
    assert shop.admin.post(path, values | {"confirm": ""}, headers=HTMX).status_code == 422
    answer = shop.admin.post(path, values, headers=HTMX)
    newest = selectors.replays(shop.tenant)[0].row
    assert answer["HX-Redirect"].endswith(str(newest.pk))
    view = drive.drive(shop, newest)
    assert view.row.promoted
    assert "promoted by an admin" in text(shop.viewer.get(f"{shop.base}/replays/{newest.pk}"))
    assert "tampered" not in text(shop.viewer.get(f"{shop.base}/traces"))


def test_all_of_them_stand_on_one_page(shop: Shop) -> None:
    tamper(shop)
    view = drive.run(shop, "all")
    page = shop.viewer.get(f"{shop.base}/replays/{view.row.pk}")
    for name in ("trace_summary", "context_graph", "policy_evaluations", "precedent_index"):
        assert name in element(page, "rp-one")
    assert "Mismatch: 1 row of all differs" in text(page) or "Mismatch" in text(page)


@pytest.mark.parametrize("part", [("list", "rp-list"), ("figure", "ov-replays")])
def test_a_part_is_the_same_as_on_the_page(shop: Shop, part: tuple[str, str]) -> None:
    drive.start(shop)
    alone = shop.operator.get(f"{shop.base}/replays?part={part[0]}")
    assert b"<html" not in alone.content
    if part[0] == "list":
        assert element(alone, part[1]) == element(shop.operator.get(f"{shop.base}/replays"), part[1])
    else:
        assert element(alone, part[1])


def test_a_viewer_has_no_form(shop: Shop) -> None:
    answer = shop.viewer.get(f"{shop.base}/replays?projection=context_graph&mode=rebuild")
    assert b'id="start"' not in answer.content
    assert shop.viewer.post(f"{shop.base}/replays/start", form()).status_code == 403
    assert shop.stranger.post(f"{shop.base}/replays/start", form()).status_code == 404
    assert selectors.replays(shop.tenant) == []


def test_the_form_opens_filled_from_a_link(shop: Shop) -> None:
    found = element(
        shop.operator.get(f"{shop.base}/replays?projection=context_graph&mode=rebuild&until_log_seq=7"), "start"
    )
    assert '<option value="context_graph" selected>' in found
    assert 'value="rebuild" checked' in found


def test_strangers_and_nonsense(shop: Shop) -> None:
    row = drive.start(shop)
    for path in ("/replays", f"/replays/{row.pk}", f"/replays/{row.pk}?part=replay", "/replays?part=figure"):
        assert shop.stranger.get(shop.base + path).status_code == 404
    assert shop.operator.get(f"{shop.base}/replays/nope").status_code == 404
    assert shop.operator.get(f"{shop.base}/replays?cursor=nope").status_code == 400
    assert shop.operator.get(f"{shop.base}/replays?cursor=WyJ4IiwieSJd").status_code == 400
    assert shop.operator.get(f"{shop.base}/replays/{row.pk}?after=nope").status_code == 400


def _finished(shop: Shop, count: int) -> None:
    now = clock.now()
    with tenant_tx(shop.tenant):
        Replay.objects.bulk_create(
            Replay(
                tenant_id=shop.tenant.pk,
                projection="trace_summary",
                mode="verify",
                status="completed",
                verdict="match",
                reason=f"number {number}",
                requested_by="system",
                created_at=now - timedelta(minutes=number),
                finished_at=now,
            )
            for number in range(count)
        )


def test_history_pages_without_holes(shop: Shop) -> None:
    _finished(shop, 45)
    seen: list[str] = []
    path: str | None = f"{shop.base}/replays"
    import re

    while path:
        body: Any = shop.viewer.get(path).content.decode()
        seen += re.findall(r'data-key="replay-([\w-]+)"', body)
        following = re.search(r'rel="next" href="(\?cursor=[^"]+)"', body)
        path = f"{shop.base}/replays{following[1]}" if following else None
    assert len(seen) == len(set(seen)) == 45


def test_queries_do_not_grow(shop: Shop) -> None:
    _finished(shop, 3)
    before = queries(shop.operator, f"{shop.base}/replays")
    _finished(shop, 15)
    assert queries(shop.operator, f"{shop.base}/replays") <= before
    assert before <= 16
