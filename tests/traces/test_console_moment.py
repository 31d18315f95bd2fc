"""The page of a trace as of one of its events."""

from __future__ import annotations

import re

import pytest

from tests.factories import Cast, make_cast
from tests.traces.events import new_id
from tests.traces.page import address, append, decision, long_trace, show

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def test_the_page_as_it_was(cast: Cast) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    browser = cast.browser(cast.vera)
    page = show(browser, address(cast, trace, "as_of=2&event=2"))
    assert "Waiting for a person to decide" in page
    assert "3 events, no gaps" in page
    assert "As it was after event 2." in page
    assert re.findall(r'id="e-(\d+)"', page) == ["0", "1", "2"]
    assert "ana.petrov" not in page
    assert "Succeeded" not in page
    assert "data-live=" not in page.partition('id="main"')[2]
    assert 'value="2"' in re.search(r'<input id="asof"[^>]*>', page)[0]  # type: ignore[index]
    # every link on the page stays in that moment
    (following,) = re.findall(r'href="([^"]*)"[^>]*rel="prev"', page)
    assert "as_of=2" in following
    assert 'rel="next"' not in page
    latest = show(browser, address(cast, trace))
    assert "Succeeded by exception" in latest
    assert "8 of 8" not in latest
    assert "4 of 4, latest" in latest


def test_as_of_an_event_the_page_is_what_it_would_have_been(cast: Cast) -> None:
    """The page of a shorter trace and the page as of then say the same."""
    whole, part = new_id(), new_id()
    append(cast, *decision(whole), *decision(part)[:3])
    browser = cast.browser(cast.vera)

    def told(trace: str, query: str) -> str:
        page = show(browser, address(cast, trace, query))
        head = re.search(r'id="trace-head".*?</dl>', page, re.S)
        assert head
        said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", head[0])).replace(trace, "T")
        return said.partition(">")[2]

    assert told(whole, "as_of=2") == told(part, "as_of=2")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("as_of=0", 200),
        ("as_of=4", 200),
        ("as_of=5", 404),
        ("as_of=-1", 400),
        ("as_of=x", 400),
        ("as_of=2&event=2", 200),
        ("as_of=2&event=3", 404),
        ("as_of=2&event=last", 200),
        ("event=3&tab=diff&other=1", 200),
        ("event=3&tab=diff&other=9", 404),
        ("event=1&as_of=2&tab=diff&other=3", 404),
        ("event=3&tab=diff&other=x", 400),
        ("event=3&tab=diff&other=0&other_trace=nowhere", 404),
    ],
)
def test_moments_and_comparisons_answer_honestly(cast: Cast, query: str, status: int) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    answer = cast.browser(cast.vera).get(address(cast, trace, query), headers={"Accept": "text/html"})
    assert answer.status_code == status


def test_a_long_trace_as_it_was(cast: Cast) -> None:
    trace = new_id()
    append(cast, *long_trace(trace, 900))
    browser = cast.browser(cast.vera)
    page = show(browser, address(cast, trace, "as_of=450&event=last"))
    assert "Still open after 451 events" in page
    assert re.findall(r'id="e-(\d+)"', page)[-1] == "450"
    assert "Recorded since: 449 events" in page
