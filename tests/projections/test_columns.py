"""The columns of the trace list: chosen, remembered, part of the link, of views and of files; live tail on and off."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import services
from projections.domain.columns import COLUMNS, DEFAULT, FIXED, cells_of, chosen, from_text, text_of
from projections.domain.table import COLUMNS as CELLS
from tests.factories import Cast, make_cast
from tests.projections.test_lists import begin, fetch, post, signed_in
from tests.projections.test_traces_page import address, append, decision, keys, show

HTMX = {"HX-Request": "true", "Accept": "text/html"}


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def heads(page: str) -> list[str]:
    """The columns the list has, after the box and the trace."""
    (row,) = re.findall(r"<thead><tr>(.*?)</tr>", page, re.S)
    return re.findall(r"<th[^>]*>([^<]+)</th>", row)[1:]


def labels(*names: str) -> list[str]:
    return [COLUMNS[name].label for name in names]


def choose(client: Any, cast: Cast, *names: str, **more: str) -> Any:
    headers = more.pop("headers", None)
    return client.post(f"/t/{cast.acme.slug}/columns", {"column": list(names), **more}, headers=headers or HTMX)


# --- the rule ---------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(sorted(COLUMNS))))
def test_a_choice_has_the_order_of_the_list(names: list[str]) -> None:
    found = chosen(names)
    assert set(found) == {*names, FIXED}
    assert list(found) == sorted(found, key=list(COLUMNS).index)
    assert from_text(text_of(found)) == found == chosen(reversed(found))
    assert set(cells_of(found)) <= set(CELLS)
    assert cells_of(found)[:2] == ("trace_id", "title")


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column 'colour'; choose from outcome, workflow"):
        from_text("outcome,colour")


def test_everything_a_list_shows_is_in_the_file_with_every_column() -> None:
    assert {cell for column in COLUMNS.values() for cell in column.cells} <= set(CELLS)
    assert chosen(DEFAULT) == DEFAULT


# --- the page ---------------------------------------------------------------------------------------

database = pytest.mark.django_db


@database
def test_a_choice_is_kept_for_one_person_in_one_tenant(cast: Cast) -> None:
    append(cast, *decision("one"))
    vera, bob = cast.browser(cast.vera), cast.browser(cast.bob)
    assert heads(show(vera, address(cast))) == labels(*DEFAULT)
    answer = choose(vera, cast, "actors", "summary", at="outcome=success&page=7&cursor=x")
    assert answer.status_code == 302
    to = answer.headers["Location"]
    assert to.startswith(address(cast, "outcome=success&"))
    assert "columns=outcome%2Cactors%2Csummary&part=list" in to
    wanted = labels("outcome", "actors", "summary")
    part = vera.get(address(cast, "columns=outcome,actors,summary&part=list"), headers=HTMX)
    assert heads(part.content.decode()) == wanted
    # the address of the page says what the list shows
    assert part.headers["HX-Replace-Url"] == address(cast, "columns=outcome%2Cactors%2Csummary")
    page = show(vera, address(cast))
    assert heads(page) == wanted
    assert "agent/bot" in page
    assert re.findall(r'name="column" value="(\w+)" checked', page) == ["outcome", "actors", "summary"]
    assert heads(show(bob, address(cast))) == labels(*DEFAULT)
    # a link shows what its sender saw, whatever the reader chose
    assert heads(show(vera, address(cast, "columns=events"))) == labels("outcome", "events")
    # without a script the whole page comes, and the usual columns are one press away
    assert "part=" not in choose(vera, cast, "events", headers={"Accept": "text/html"}).headers["Location"]
    assert choose(vera, cast, reset="1").headers["HX-Redirect"] == address(cast)
    assert heads(show(vera, address(cast))) == labels(*DEFAULT)


@database
def test_columns_that_do_not_exist_are_refused(cast: Cast) -> None:
    append(cast, *decision("one"))
    vera = cast.browser(cast.vera)
    assert choose(vera, cast, "colour").status_code == 422
    refused = vera.get(address(cast, "columns=colour"))
    assert refused.status_code == 400
    assert "choose from outcome, workflow" in refused.content.decode()
    assert heads(show(vera, address(cast))) == labels(*DEFAULT)
    assert choose(cast.browser(cast.mallory), cast, "events").status_code == 404
    signed = signed_in(cast, cast.vera)
    for path, body in (("/views", {"name": "x"}), ("/exports", {"format": "csv"})):
        answer = post(signed, path, **body, columns=["colour"])
        assert answer.status_code == 422
        assert "colour" in answer.json()["detail"]
    answer = post(signed, "/exports", format="ndjson", columns=["title"])
    assert (answer.status_code, answer.json()["code"]) == (422, "export.columns_invalid")
    page_export = {"format": "csv-shown", "columns": "outcome,colour"}
    assert vera.post(f"/t/{cast.acme.slug}/exports", page_export, headers=HTMX).status_code == 422


@database
def test_a_chosen_column_stays_on_a_phone_and_a_usual_one_may_leave(cast: Cast) -> None:
    append(cast, *decision("one"))
    vera = cast.browser(cast.vera)
    table = re.compile(r"<table.*?</table>", re.S)
    usual = table.findall(show(vera, address(cast)))[0]
    assert "hide-s" in usual
    chosen_ones = table.findall(show(vera, address(cast, "columns=workflow,policy,events")))[0]
    assert "hide-" not in chosen_ones
    assert 'data-label="Last policy"' in chosen_ones


@database
def test_a_view_keeps_its_columns(cast: Cast) -> None:
    vera = cast.browser(cast.vera)
    given = {"name": "Who", "q": "workflow:loan", "sort": "-last", "columns": "outcome,actors"}
    to = vera.post(f"/t/{cast.acme.slug}/views", given).headers["Location"]
    assert to == address(cast, "q=workflow%3Aloan&columns=outcome%2Cactors")
    signed = signed_in(cast, cast.vera)
    (view,) = signed.get("/api/v1/views").json()["items"]
    assert view["columns"] == ["outcome", "actors"]
    # typed filters become part of the address, and the columns stay
    assert "columns=outcome%2Cactors" in vera.get(to).headers["Location"]


@database
def test_a_file_holds_the_columns_of_the_list(cast: Cast) -> None:
    append(cast, *decision("one", title="=Boat"))
    vera = cast.browser(cast.vera)
    given = {"format": "csv-shown", "columns": "outcome,actors"}
    assert vera.post(f"/t/{cast.acme.slug}/exports", given, headers=HTMX).status_code == 200
    signed = signed_in(cast, cast.vera)
    (made,) = signed.get("/api/v1/exports").json()["items"]
    assert made["columns"] == ["trace_id", "title", "status", "outcome", "actors"]
    services.run_export(cast.acme, made["id"])
    rows = list(csv.reader(io.StringIO(fetch(cast, made["id"]).decode(), newline="")))
    assert rows == [made["columns"], ["one", "'=Boat", "finished", "success", "agent/bot"]]
    ident = post(signed, "/exports", format="csv", columns=["outcome", "trace_id", "outcome"]).json()["id"]
    services.run_export(cast.acme, ident)
    assert fetch(cast, ident).decode() == "outcome,trace_id\r\nsuccess,one\r\n"
    whole = begin(cast)
    services.run_export(cast.acme, whole)
    assert fetch(cast, whole).decode().startswith(",".join(CELLS))


# --- live tail --------------------------------------------------------------------------------------


def the_list(page: str) -> str:
    (found,) = re.findall(r'<div id="list" ([^>]*)>', page)
    return html.unescape(found)


@database
def test_live_tail_is_a_switch_of_the_address(cast: Cast) -> None:
    append(cast, *decision("one", workflow="loan"))
    vera = cast.browser(cast.vera)
    off = show(vera, address(cast, "workflow=loan"))
    assert 'role="switch" aria-checked="false"' in off
    assert "data-live-mode" in the_list(off)
    assert 'id="news" data-live="tenant:' in off
    (turn,) = re.findall(r'role="switch"[^>]*hx-get="([^"]*)"', off)
    answer = vera.get(html.unescape(turn), headers=HTMX)
    on = answer.content.decode()
    assert answer.headers["HX-Replace-Url"] == address(cast, "workflow=loan&live=1")
    assert 'role="switch" aria-checked="true"' in on
    assert "data-live-mode" not in the_list(on)
    assert f'data-live="tenant:{cast.acme.slug}:projection_health"' in the_list(on)
    (again,) = re.findall(r'hx-get="([^"]*)"', the_list(on))
    # what comes in by itself is not announced as well, and is what the filter finds
    assert 'id="news" data-live' not in on
    assert vera.get(again, headers=HTMX).status_code == 204
    append(cast, *decision("three"))
    assert vera.get(again, headers=HTMX).status_code == 204
    append(cast, *decision("two", workflow="loan"))
    assert keys(show(vera, again)) == ["two", "one"]
    # what is open leaves the list when it finishes: nothing new that matches, and yet another list
    assert "since=" not in the_list(show(vera, address(cast, "status=open&live=1")))
    # searching goes on live, clearing as well
    assert '<input type="hidden" name="live" value="1" form="filters">' in on
    assert f'href="{address(cast, "live=1")}" aria-label="Remove the filter workflow"' in on


@database
@pytest.mark.parametrize("query", ["sort=started", "sort=last"])
def test_live_tail_follows_only_where_the_newest_stand_on_top(cast: Cast, query: str) -> None:
    append(cast, *decision("one"))
    vera = cast.browser(cast.vera)
    assert 'aria-disabled="true"' in show(vera, address(cast, query))
    waiting = show(vera, address(cast, query + "&live=1"))
    assert "Live tail waits" in waiting
    assert "data-live-mode" in the_list(waiting)
    assert "data-live-mode" not in the_list(show(vera, address(cast, "sort=-started&live=1")))
