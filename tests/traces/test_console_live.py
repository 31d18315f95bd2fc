"""The live page: the newest events, filters, a look back, what went by."""

from __future__ import annotations

import html
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.factories import Cast, make_cast
from tests.traces.events import envelope, finish, new_id, start, step
from tests.traces.page import HOSTILE, append, hostile, show
from traces.console import stream

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def positions(page: str) -> list[int]:
    """Positions of the log that are shown, in their order."""
    return [int(key) for key in re.findall(r'<tr data-row data-key="(\d+)"', page)]


def live(cast: Cast, query: str = "") -> str:
    return show(cast.browser(cast.vera), f"/t/{cast.acme.slug}/live" + (f"?{query}" if query else ""))


def test_only_members_see_the_stream(cast: Cast) -> None:
    append(cast, start(new_id()))
    url = f"/t/{cast.acme.slug}/live"
    assert Client().get(url).headers["Location"].startswith("/signin?next=")
    assert cast.browser(cast.mallory).get(url).status_code == 404
    assert cast.browser(cast.vera).get(url).status_code == 200
    assert positions(show(cast.browser(cast.mallory), f"/t/{cast.globex.slug}/live")) == []


def test_newest_first_and_bounded(cast: Cast) -> None:
    trace = new_id()
    append(cast, start(trace), *(step(trace) for _ in range(99)))
    page = live(cast)
    assert positions(page) == list(range(100, 100 - stream.ROWS, -1))
    assert f'data-live="tenant:{cast.acme.slug}:traces"' in page
    (older,) = re.findall(r'rel="next" href="([^"]*)"', page)
    back = show(cast.browser(cast.vera), html.unescape(older))
    assert positions(back) == list(range(100 - stream.ROWS, 0, -1))
    assert 'data-live="tenant:' not in back.partition('id="stream"')[2]
    assert "Back to live" in back


def test_filters_are_in_the_address(cast: Cast) -> None:
    one, two = new_id(), new_id()
    other = {"producer_id": "other", "system": "x"}
    append(cast, start(one), step(one), start(two, source=other), finish(two, source=other))
    assert positions(live(cast, "type=TraceStarted")) == [3, 1]
    assert positions(live(cast, "producer=other")) == [4, 3]
    assert positions(live(cast, f"trace={one}")) == [2, 1]
    assert positions(live(cast, "type=TraceFinished&producer=other")) == [4]
    page = live(cast, "type=PolicyEvaluated")
    assert positions(page) == []
    assert "Nothing like this lately." in page
    assert "Remove the filter type" in page
    # the live part keeps the filter
    assert re.search(r'hx-get="[^"]*live\?type=PolicyEvaluated&amp;part=stream', page)


def test_what_went_by_is_said(cast: Cast) -> None:
    trace = new_id()
    append(cast, start(trace), *(step(trace) for _ in range(199)))
    part = live(cast, "part=stream&seen=50")
    assert "<html" not in part
    assert f"log positions 51 to {200 - stream.ROWS} went by" in part
    (back,) = re.findall(r'<a href="([^"]*)">Look back', part)
    assert positions(show(cast.browser(cast.vera), html.unescape(back)))[0] == 200 - stream.ROWS
    assert "went by" not in live(cast, f"part=stream&seen={200 - stream.ROWS}")


def test_an_empty_log_says_what_to_do(cast: Cast) -> None:
    assert "The log is empty." in live(cast)


def test_hostile_text_stays_text(cast: Cast) -> None:
    append(cast, *hostile(f"<b>x<b>\u202e{new_id()}"))
    for query in ("", f"producer={html.escape('x')}"):
        page = live(cast, query)
        body = page[page.index("<body") :]
        assert "<script>alert" not in body
        assert "<b>x<b>" not in body
    assert HOSTILE not in live(cast)


def test_the_number_of_queries_does_not_grow(cast: Cast) -> None:
    browser, url = cast.browser(cast.vera), f"/t/{cast.acme.slug}/live"
    trace = new_id()
    append(cast, start(trace))
    show(browser, url)
    with CaptureQueriesContext(connection) as few:
        show(browser, url)
    append(cast, *(envelope(trace, "InputObserved") for _ in range(300)))
    with CaptureQueriesContext(connection) as many:
        show(browser, url)
    assert len(many) <= len(few) <= 20
