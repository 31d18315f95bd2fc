"""Saved views and exports: who may, what is written, and that a killed worker loses nothing."""

from __future__ import annotations

import csv
import io
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from projections import selectors, services
from projections.domain.table import COLUMNS, cell, lines
from projections.models import ExportPiece, TraceExport
from projections.selectors import search
from projections.services import exports
from tenants.models import AuditEntry
from tests.factories import Cast, make_cast
from tests.pages import Shop
from tests.projections.test_api import V1
from tests.projections.test_search import saying
from tests.projections.test_traces_page import append

pytestmark = pytest.mark.django_db

Json = dict[str, Any]


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def shop(db: None) -> Shop:
    return Shop()


def signed_in(cast: Cast, person: Any) -> Any:
    client = cast.browser(person)
    client.defaults["HTTP_X_TENANT"] = cast.acme.slug
    return client


def post(client: Any, path: str, **body: Any) -> Any:
    return client.post(f"{V1}{path}", json.dumps(body), content_type="application/json")


# --- views ------------------------------------------------------------------------------------


def test_views_are_ones_own_or_shared(cast: Cast) -> None:
    vera, bob, rita = (signed_in(cast, person) for person in (cast.vera, cast.bob, cast.rita))
    own = post(vera, "/views", name=" My  failures ", query='"x y" outcome:failure', sort="-started")
    assert own.status_code == 201, own.content
    view = own.json()
    assert (view["name"], view["query"], view["own"], view["shared"]) == (
        "My failures", 'outcome:failure "x y"', True, False,
    )  # fmt: skip
    assert post(vera, "/views", name="all", shared=True).status_code == 403
    shared = post(bob, "/views", name="All reviews", query="kind:review", shared=True)
    assert shared.status_code == 201

    def names(client: Any) -> list[str]:
        return [item["name"] for item in client.get(f"{V1}/views").json()["items"]]

    assert names(vera) == ["All reviews", "My failures"]
    assert names(rita) == names(bob) == ["All reviews"]
    page = rita.get(f"/t/{cast.acme.slug}/traces", headers={"Accept": "text/html"}).content.decode()
    assert f'href="/t/{cast.acme.slug}/traces?q=kind%3Areview"' in page
    assert "/delete" not in page
    # nobody deletes what is not theirs
    assert bob.delete(f"{V1}/views/{view['id']}").status_code == 404
    assert rita.delete(f"{V1}/views/{shared.json()['id']}").status_code == 403
    assert vera.delete(f"{V1}/views/{view['id']}").json() == view
    assert vera.delete(f"{V1}/views/{view['id']}").status_code == 404
    assert bob.delete(f"{V1}/views/{shared.json()['id']}").status_code == 200
    with tenant_tx(cast.acme):
        actions = list(
            AuditEntry.objects.filter(action__startswith="view.").order_by("pk").values_list("action", "actor")
        )
    assert actions == [("view.shared", f"user:{cast.bob.email}"), ("view.deleted", f"user:{cast.bob.email}")]


def test_views_page_by_page_and_never_of_another_tenant(cast: Cast) -> None:
    vera = signed_in(cast, cast.vera)
    for number in range(5):
        assert post(vera, "/views", name=f"view {number}").status_code == 201
    seen, cursor = [], ""
    while True:
        page = vera.get(f"{V1}/views", {"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"view {number}" for number in range(5)]
    mallory = cast.browser(cast.mallory)
    mallory.defaults["HTTP_X_TENANT"] = cast.globex.slug
    ident = vera.get(f"{V1}/views").json()["items"][0]["id"]
    assert mallory.get(f"{V1}/views").json()["items"] == []
    assert mallory.delete(f"{V1}/views/{ident}").status_code == 404
    assert mallory.post(f"/t/{cast.acme.slug}/views", {"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": ""}, 422, "view.name_invalid"),
        ({"name": "x" * 81}, 422, "view.name_invalid"),
        ({"name": "x", "sort": "up"}, 422, "view.sort_unknown"),
        ({"name": "x", "query": "nope:1"}, 400, "query.malformed"),
        ({"name": "taken"}, 409, "view.exists"),
        ({"name": "x", "colour": "red"}, 422, "request.not_valid"),
    ],
)
def test_views_refuse(cast: Cast, body: Json, status: int, code: str) -> None:
    vera = signed_in(cast, cast.vera)
    post(vera, "/views", name="taken")
    answer = post(vera, "/views", **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_there_are_so_many_views_and_no_more(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.services.views.MOST_VIEWS", 2)
    vera = signed_in(cast, cast.vera)
    assert [post(vera, "/views", name=f"v{n}").status_code for n in range(3)] == [201, 201, 409]
    assert post(signed_in(cast, cast.bob), "/views", name="v0").status_code == 201


def test_views_are_saved_and_deleted_from_the_page(cast: Cast) -> None:
    vera = cast.browser(cast.vera)
    base = f"/t/{cast.acme.slug}"
    answer = vera.post(f"{base}/views", {"name": "Loans", "q": "workflow:loan", "sort": "-last"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{base}/traces?q=workflow%3Aloan"
    page = vera.get(f"{base}/traces").content.decode()
    assert "“Loans”" in page
    assert 'role="menuitem" href="' + f"{base}/traces?q=workflow%3Aloan" in page
    (path,) = {part.split('"')[0] for part in page.split('action="')[1:] if "/delete" in part.split('"')[0]}
    assert vera.post(path, headers={"HX-Request": "true"}).headers["HX-Redirect"] == f"{base}/traces"
    assert "workflow%3Aloan" not in vera.get(f"{base}/traces").content.decode()


# --- exports ----------------------------------------------------------------------------------


def many(cast: Cast, count: int = 23) -> None:
    append(cast, *(event for n in range(count) for event in saying(f"t{n:02}", title=f"=Case {n}", reason="because")))


def begin(cast: Cast, format: str = "csv", q: str = "", person: Any = None) -> str:
    answer = post(signed_in(cast, person or cast.vera), "/exports", format=format, q=q)
    assert answer.status_code == 202, answer.content
    return str(answer.json()["id"])


def fetch(cast: Cast, ident: str) -> bytes:
    answer = signed_in(cast, cast.vera).get(f"{V1}/exports/{ident}/file")
    assert answer.status_code == 200, answer.content
    body = b"".join(answer.streaming_content)
    assert int(answer.headers["Content-Length"]) == len(body)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="traces-')
    return body


def stored(cast: Cast, ident: str) -> TraceExport:
    return selectors.export(cast.acme, uuid.UUID(ident))


def test_an_export_holds_what_the_search_finds(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE", 4)
    many(cast)
    vera = signed_in(cast, cast.vera)
    listed = vera.get(f"{V1}/traces", {"limit": 100, "sort": "started"}).json()["items"]
    for q, wanted in (("", 23), ("because status:finished", 23), ("t07", 1), ("outcome:failure", 0)):
        ident = begin(cast, "ndjson", q)
        assert vera.get(f"{V1}/exports/{ident}/file").json()["code"] == "export.not_ready"
        services.run_export(cast.acme, ident)
        found = [json.loads(line) for line in fetch(cast, ident).splitlines()]
        assert len(found) == wanted
        shown = vera.get(f"{V1}/exports/{ident}").json()
        assert (shown["status"], shown["done"], shown["total"]) == ("completed", wanted, wanted)
        if not q:
            assert found == listed
    ident = begin(cast)
    services.run_export(cast.acme, ident)
    table = list(csv.reader(io.StringIO(fetch(cast, ident).decode(), newline="")))
    assert table[0] == list(COLUMNS)
    assert [row[0] for row in table[1:]] == [trace["trace_id"] for trace in listed]
    assert {row[3][:6] for row in table[1:]} == {"'=Case"}, "a spreadsheet would run it"
    assert stored(cast, ident).pieces == 6


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_cells_that_a_spreadsheet_would_run_are_quoted(text: str) -> None:
    assert cell(text) == "'" + text
    assert next(csv.reader(io.StringIO(lines([[text, "a=b", None, 3, -3, ["=x", "y"]]]), newline=""))) == [
        "'" + text, "a=b", "", "3", "-3", "'=x; y",
    ]  # fmt: skip


class Killed(BaseException):
    """A worker that dies; nothing handles it."""


def test_a_killed_worker_loses_nothing_and_another_goes_on(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE", 5)
    many(cast)
    ident = begin(cast, "ndjson")
    whole, calls = exports._written, []

    def dies(*arguments: Any) -> bytes:
        calls.append(1)
        if len(calls) in (2, 4):
            raise Killed
        return whole(*arguments)

    monkeypatch.setattr(exports, "_written", dies)
    for done in (5, 10):
        with pytest.raises(Killed):
            services.run_export(cast.acme, ident)
        assert (stored(cast, ident).status, stored(cast, ident).done) == ("running", done)
    # a trace that moves meanwhile keeps its place
    append(cast, *saying("t99", title="late"))
    asked: list[str] = []
    monkeypatch.setattr("decisiongraph.core.jobs.enqueue", lambda task, **given: asked.append(given["export_id"]))
    services.tend_exports()
    assert ident not in asked, "somebody moved it a moment ago"
    with tenant_tx(cast.acme):
        TraceExport.objects.filter(pk=ident).update(moved_at=clock.now() - timedelta(seconds=30))
    services.tend_exports()
    assert asked.count(ident) == 1
    services.run_export(cast.acme, ident)
    found = [json.loads(line)["trace_id"] for line in fetch(cast, ident).splitlines()]
    assert sorted(found) == sorted({*(f"t{n:02}" for n in range(23)), "t99"})
    assert len(found) == len(set(found))


def test_two_workers_never_write_the_same_piece(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    many(cast, 3)
    ident = begin(cast)
    with tenant_tx(cast.acme):
        held = TraceExport.objects.select_for_update().get(pk=ident)
        assert held.status == "queued"
        import threading

        other = threading.Thread(target=services.run_export, args=(cast.acme, ident))
        other.start()
        other.join(10)
        assert not other.is_alive()
        assert TraceExport.objects.get(pk=ident).done == 0
    services.run_export(cast.acme, ident)
    assert stored(cast, ident).done == 3


def test_cancel_limit_expiry(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    many(cast, 3)
    vera, bob, rita = (signed_in(cast, person) for person in (cast.vera, cast.bob, cast.rita))
    idents = [begin(cast) for _ in range(3)]
    answer = post(vera, "/exports", format="csv")
    assert (answer.status_code, answer.json()["code"]) == (409, "export.limit_reached")
    assert rita.post(f"{V1}/exports/{idents[0]}/cancel").status_code == 403
    assert bob.post(f"{V1}/exports/{idents[0]}/cancel").json()["status"] == "cancelled"
    assert vera.post(f"{V1}/exports/{idents[1]}/cancel").json()["status"] == "cancelled"
    again = vera.post(f"{V1}/exports/{idents[1]}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "export.over")
    services.run_export(cast.acme, idents[1])
    assert stored(cast, idents[1]).status == "cancelled"
    services.run_export(cast.acme, idents[2])
    assert fetch(cast, idents[2])
    with tenant_tx(cast.acme):
        TraceExport.objects.filter(pk=idents[2]).update(expires_at=clock.now())
    services.tend_exports()
    gone = vera.get(f"{V1}/exports/{idents[2]}/file")
    assert (gone.status_code, gone.json()["code"]) == (410, "export.expired")
    with tenant_tx(cast.acme):
        assert not ExportPiece.objects.exists()
        actions = AuditEntry.objects.filter(action__startswith="export.").values_list("action", flat=True)
        assert sorted(actions) == ["export.cancelled"] * 2 + ["export.started"] * 3


def test_an_export_that_looks_too_long_fails_with_the_reason(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    many(cast, 2)
    ident = begin(cast)

    def slow(*_arguments: Any, **_named: Any) -> Any:
        with search.bounded(cast.acme):
            from django.db import connection

            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(2)")

    monkeypatch.setattr(search, "LONGEST_MS", 100)
    monkeypatch.setattr(selectors, "trace_list", slow)
    services.run_export(cast.acme, ident)
    found = stored(cast, ident)
    assert found.status == "failed"
    assert "Narrow it" in found.error


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"format": "xls"}, 422, "request.not_valid"),
        ({"format": "csv", "q": "outcome:maybe"}, 400, "query.malformed"),
        ({}, 422, "request.not_valid"),
    ],
)
def test_exports_refuse(cast: Cast, body: Json, status: int, code: str) -> None:
    answer = post(signed_in(cast, cast.vera), "/exports", **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert cast.browser(cast.vera).post(f"/t/{cast.acme.slug}/exports", {"format": "xls"}).status_code == 422


def test_exports_are_the_tenants_alone(cast: Cast) -> None:
    many(cast, 2)
    ident = begin(cast)
    services.run_export(cast.acme, ident)
    mallory = cast.browser(cast.mallory)
    for path in (f"/t/{cast.acme.slug}/exports/{ident}/file", f"/t/{cast.globex.slug}/exports/{ident}/file"):
        assert mallory.get(path).status_code == 404
    mallory.defaults["HTTP_X_TENANT"] = cast.globex.slug
    assert mallory.get(f"{V1}/exports").json()["items"] == []
    assert mallory.get(f"{V1}/exports/{ident}").status_code == 404
    assert mallory.get(f"{V1}/exports/{ident}/file").status_code == 404
    assert mallory.post(f"{V1}/exports/{ident}/cancel").status_code == 404
    # every member may fetch it
    rita = cast.browser(cast.rita)
    assert rita.get(f"/t/{cast.acme.slug}/exports/{ident}/file").status_code == 200


def test_exports_are_listed_page_by_page(cast: Cast) -> None:
    idents = []
    for _ in range(5):
        idents.append(begin(cast))
        services.run_export(cast.acme, idents[-1])
    vera = signed_in(cast, cast.vera)
    first = vera.get(f"{V1}/exports", {"limit": 3}).json()
    rest = vera.get(f"{V1}/exports", {"limit": 3, "cursor": first["next"]}).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == idents[::-1]
    assert rest["next"] is None
    assert vera.get(f"{V1}/exports", {"cursor": "WzEsMl0"}).status_code == 400


def test_the_page_shows_the_progress(cast: Cast) -> None:
    many(cast, 2)
    vera = cast.browser(cast.vera)
    base = f"/t/{cast.acme.slug}"
    assert 'id="exports" aria-label="Exports" hidden' in vera.get(f"{base}/traces").content.decode()
    started = vera.post(f"{base}/exports", {"format": "csv", "q": "because"}, headers={"HX-Request": "true"})
    assert 'hx-trigger="every 1s"' in started.content.decode()
    with tenant_tx(cast.acme):
        (ident,) = TraceExport.objects.values_list("pk", flat=True)
    services.run_export(cast.acme, str(ident))
    shown = vera.get(f"{base}/exports/panel").content.decode()
    assert "every 1s" not in shown
    assert f'href="{base}/exports/{ident}/file" download' in shown
    assert "2 traces" in shown
