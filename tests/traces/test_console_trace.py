"""The page of one trace: doors, story, readings, deep links, differences, hostile text."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client

from decisiongraph.core.db import tenant_tx
from tests.factories import Cast, make_cast
from tests.traces.events import envelope, new_id, start, step
from tests.traces.page import HOSTILE, acted, address, append, decision, hostile, show
from traces import selectors
from traces.console import inspector
from traces.domain.canonical import jcs
from traces.selectors import Proof

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


# --- doors ------------------------------------------------------------------------------------------


def test_only_members_see_a_trace(cast: Cast) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    url = address(cast, trace)
    assert Client().get(url).headers["Location"].startswith("/signin?next=")
    for person in (cast.vera, cast.bob, cast.rita, cast.alice):
        assert cast.browser(person).get(url).status_code == 200
    stranger = cast.browser(cast.mallory)
    assert stranger.get(url).status_code == 404
    # her own tenant knows nothing of it either
    assert stranger.get(f"/t/{cast.globex.slug}/traces/{trace}").status_code == 404
    assert stranger.get(f"/t/{cast.globex.slug}/traces/{trace}/events/0.json").status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("event=4", 200),
        ("event=last", 200),
        ("event=5", 404),
        ("event=-1", 404),
        ("event=99999999999", 404),
        ("event=x", 400),
        ("view=poem", 400),
        ("colour=blue", 400),
        ("part=window&start=400", 404),
    ],
)
def test_addresses_answer_honestly(cast: Cast, query: str, status: int) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    response = cast.browser(cast.vera).get(address(cast, trace, query), headers={"Accept": "text/html"})
    assert response.status_code == status
    assert cast.browser(cast.vera).get(address(cast, "no-such-trace")).status_code == 404


def test_an_event_that_is_not_there_is_called_by_its_own_number(cast: Cast) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    answer = cast.browser(cast.vera).get(address(cast, trace, "event=9876"), headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (404, "event.not_found")
    assert "9876" in answer.json()["detail"]


# --- what it says ------------------------------------------------------------------------------------


def test_the_story_is_told_in_words(cast: Cast) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    page = show(cast.browser(cast.vera), address(cast, trace))
    assert "Succeeded by exception, after 56 s with a person" in page
    assert "<b>ana.petrov approved</b> the exception." in page
    assert "refund.cap@3 asked for an exception." in page
    assert f"/t/{cast.acme.slug}/traces?entity=booking%2FK7QX2M" in page
    assert "EXCEEDS_CAP: amount 612.40, cap 400.00" in page
    copied = html.unescape(re.findall(r'data-copy="([^"]*)"[^>]*data-copied', page)[0])
    for said in ("Refund of booking K7QX2M", "Policy: refund.cap@3 require_exception", "Exception: EX-1", "ana.petrov"):
        assert said in copied
    assert f"{address(cast, trace)}?event=1" in copied


def test_a_deep_link_opens_cold_with_its_event(cast: Cast) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    browser = cast.browser(cast.vera)
    page = show(browser, address(cast, trace, "event=2"))
    (row,) = re.findall(r'<a class="wf-row"[^>]*aria-current="true"[^>]*>', page)
    assert 'id="e-2"' in row
    assert "Event 2, ExceptionRequested" in page
    assert "event 1, Policy exception refund.cap@3" in page
    assert 'data-hotkey="["' in page
    assert 'data-hotkey="]"' in page
    assert "event 2, Exception asked EX-1" in show(browser, address(cast, trace, "event=1"))
    assert "ExceptionRequested" in show(browser, address(cast, trace, "event=2&tab=envelope"))
    assert "in the log at" in show(browser, address(cast, trace, "event=2&tab=receipt"))


def test_htmx_gets_only_the_part_it_asks_for(cast: Cast) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    browser = cast.browser(cast.vera)
    url = address(cast, trace, "event=3")
    response = browser.get(url, headers={"HX-Request": "true", "HX-Target": "inspector", "Accept": "text/html"})
    part = response.content.decode()
    assert "<html" not in part
    assert "Event 3, ApprovalRecorded" in part
    # one address, several answers: a cached part must never be shown as the page
    assert {"HX-Request", "HX-Target"} <= set(response.headers["Vary"].replace(" ", "").split(","))
    assert "<html" in show(browser, url)


def test_three_readings_hold_the_same_events(cast: Cast) -> None:
    trace = new_id()
    append(cast, *decision(trace))
    browser = cast.browser(cast.vera)
    for view in ("timeline", "list", "json"):
        page = show(browser, address(cast, trace, f"view={view}"))
        assert re.findall(r'id="e-(\d+)"', page) == ["0", "1", "2", "3", "4"], view
    assert "612.40" in html.unescape(show(browser, address(cast, trace, "view=json&event=0")))
    scaled = show(browser, address(cast, trace, "scale=true"))
    assert 'class="fold"' in show(browser, address(cast, trace))
    assert 'class="fold"' not in scaled


def test_an_open_trace_is_live_and_a_finished_one_is_not(cast: Cast) -> None:
    trace = new_id()
    browser = cast.browser(cast.vera)
    append(cast, *decision(trace)[:3])
    page = show(browser, address(cast, trace))
    topic = f'data-live="tenant:{cast.acme.slug}:trace:{trace}"'
    assert page.count(topic) == 2  # the head and the window
    assert "Waiting for a person to decide on exception EX-1" in page
    append(cast, *decision(trace)[3:])
    head = show(browser, address(cast, trace, "part=head"))
    assert "Succeeded by exception" in head
    assert 'hx-swap-oob="true"' in head
    assert topic not in head
    window = show(browser, address(cast, trace, "part=window&start=0"))
    assert 'id="e-4"' in window
    assert topic not in window


def test_one_event_as_json_is_what_the_log_holds(cast: Cast) -> None:
    trace = new_id()
    append(cast, start(trace), step(trace, payload={**step(trace)["payload"], "note": HOSTILE}))
    response = cast.browser(cast.vera).get(address(cast, trace) + "/events/1.json")
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json() == selectors.trace_event(cast.acme, trace, 1).as_json()
    # what would turn text around is spelled out, and still the same value
    assert "\u202e" not in response.content.decode()
    assert cast.browser(cast.vera).get(address(cast, trace) + "/events/2.json").status_code == 404


# --- hostile and missing content ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["", "view=list", "view=json", "event=1", "event=1&tab=envelope", "event=2&tab=receipt"]
)
def test_event_text_is_hostile_input(cast: Cast, query: str) -> None:
    trace = f"<b>x<b>\u202e{new_id()}"
    append(cast, *hostile(trace))
    page = show(cast.browser(cast.vera), address(cast, trace, query))
    body = page[page.index("<body") :]
    assert "<script>alert" not in body
    assert "<b>x<b>" not in body
    assert "U+202E" in body
    # outside of attributes (which cannot reorder anything) no character hides or turns text
    seen = re.sub(r"<[^>]*>", "", body)
    assert not re.search("[\u202e\u200b]", seen)


def test_an_erased_payload_says_so(cast: Cast) -> None:
    trace, review = new_id(), f"review:{new_id()}"
    append(cast, start(trace), step(trace, event_id=f"{trace}-1"))
    event = selectors.trace_event(cast.acme, trace, 1)
    subject = {"trace_id": trace, "event_id": event.event_id, "log_seq": event.log_seq}
    redacted = envelope(
        review, "EventRedacted", {"subject": subject, "reason": "asked for"}, causation_event_id=event.event_id
    )
    with tenant_tx(cast.acme), connection.cursor() as cursor:
        append(cast, start(review), redacted, origin="platform")
        cursor.execute("SELECT erase_body(%s, %s)", [event.log_seq, selectors.head(cast.acme)])
    browser = cast.browser(cast.vera)
    page = show(browser, address(cast, trace, "event=1"))
    assert "The body of this event was erased" in page
    assert "payload erased" in page
    assert "erased with the body" in page
    assert "in the log at" in page  # its leaf still proves the envelope
    for view in ("list", "json"):
        show(browser, address(cast, trace, f"view={view}&event=1"))


def test_a_body_that_differs_from_its_hash_is_named(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = new_id()
    append(cast, start(trace))
    event = selectors.trace_event(cast.acme, trace, 0)
    stored = selectors.proof(cast.acme, event.log_seq)
    assert [p["state"] for p in inspector._proofs(cast.acme, event)] == ["fresh", "fresh", "catching_up"]
    other = Proof(b"\0" * 32, stored.salt, jcs({"other": 1}))
    monkeypatch.setattr(selectors, "proof", lambda tenant, log_seq: other)
    assert [p["state"] for p in inspector._proofs(cast.acme, event)] == ["failed", "failed", "catching_up"]


# --- differences -------------------------------------------------------------------------------------


def test_what_was_done_otherwise_is_shown_by_itself(cast: Cast) -> None:
    trace, other = new_id(), new_id()
    append(cast, *acted(trace, "612.40"), *acted(other, "400.00"))
    browser = cast.browser(cast.vera)
    page = show(browser, address(cast, trace, "event=0"))
    panel = page[page.index('id="trace-actions"') :]
    assert "1 of 1 was done otherwise" in panel
    assert "1 difference" in panel
    assert "changes[0].new_value.value" in panel
    assert panel.index("400.00") < panel.index("612.40")
    page = show(browser, address(cast, other, "event=0"))
    assert "done as proposed" in page[page.index('id="trace-actions"') :]


def test_the_event_under_the_glass_beside_another(cast: Cast) -> None:
    trace = new_id()
    append(cast, *acted(trace, "612.40"))
    browser = cast.browser(cast.vera)
    tab = show(browser, address(cast, trace, "event=2&tab=diff"), **{"HX-Target": "inspector"})
    assert "What was done, against what was proposed." in tab
    assert "changes[0].new_value.value" in tab
    tab = show(browser, address(cast, trace, "event=2&tab=diff&other=0"), **{"HX-Target": "inspector"})
    assert "Payload against payload" in tab
    assert "only left" in tab
    one = new_id()
    append(cast, *acted(one, "1.00"))
    tab = show(browser, address(cast, trace, f"event=2&tab=diff&other=2&other_trace={one}"))
    assert f"traces/{one}?event=2" in tab
    assert "612.40" in tab


def test_correlated_events_of_other_traces_are_links(cast: Cast) -> None:
    one, other, stranger = new_id(), new_id(), new_id()
    append(cast, start(one, correlation_id="order-77"), start(other, correlation_id="order-77"), start(stranger))
    tab = show(cast.browser(cast.vera), address(cast, one, "event=0&tab=envelope"), **{"HX-Target": "inspector"})
    assert f'href="/t/{cast.acme.slug}/traces/{other}?event=0"' in tab
    assert stranger not in tab
    assert "Correlated" in tab


def test_ways_from_a_trace_keep_the_moment(cast: Cast) -> None:
    trace = f"{new_id()}:a"
    append(cast, *decision(trace))
    page = html.unescape(show(cast.browser(cast.vera), address(cast, quote(trace, safe=""), "as_of=2")))
    moment = selectors.trace_event(cast.acme, trace, 2).log_seq
    node = quote("trace:" + trace.replace(":", "%3A"), safe="")
    assert f"/graph?node={node}&as_of={moment}" in page
    assert f"/precedents?trace={quote(trace, safe='')}&as_of={moment}" in page
    assert f"/compare?left={quote(trace, safe='')}" in page
