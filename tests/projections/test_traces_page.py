"""The trace list and the palette: doors, filters, paging, what came since, hostile text."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from decisiongraph.core.db import tenant_tx
from projections import engine
from projections.console.traces import ROWS
from projections.models import DeadLetter
from tenants.access import system_principal
from tests.factories import Cast, make_cast
from traces import services

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
HOSTILE = "<script>alert(1)</script>\u202egnp.exe\u200b & \"q\" 'x'"


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def envelope(trace_id: str, number: int, kind: str, payload: Json, *, day: int = 1, actor: str = "bot") -> Json:
    return {
        "trace_id": trace_id,
        "event_type": kind,
        "occurred_at": f"2026-03-{day:02}T10:00:{number:02}Z",
        "source": {"producer_id": "desk", "system": "refunds"},
        "actor": {"actor_type": "agent", "actor_id": actor},
        "idempotency_key": f"{trace_id}:{number}",
        "payload": payload,
    }


def decision(
    trace_id: str,
    *,
    workflow: str = "refund",
    title: str = "Refund",
    entity: str = "K1",
    outcome: str | None = "success",
    policy: str = "cap",
    day: int = 1,
    actor: str = "bot",
) -> list[Json]:
    """A trace of two or three events."""
    started = {
        "workflow": workflow,
        "title": title,
        "primary_entity": {"entity_type": "booking", "entity_id": entity},
    }
    judged = {"policy": {"policy_id": policy, "policy_version": "3"}, "inputs": [], "decision": "allow"}
    events = [
        envelope(trace_id, 0, "TraceStarted", started, day=day, actor=actor),
        envelope(trace_id, 1, "PolicyEvaluated", judged, day=day, actor=actor),
    ]
    if outcome:
        events.append(envelope(trace_id, 2, "TraceFinished", {"outcome": outcome}, day=day, actor=actor))
    return events


def append(cast: Cast, *events: Json, follow: bool = True) -> None:
    """Into acme's log, and into its projections unless told not to."""
    for first in range(0, len(events), 400):
        services.append(cast.acme, principal=system_principal(cast.acme), events=list(events[first : first + 400]))
    while follow and engine.catch_up(cast.acme).more:
        pass


def address(cast: Cast, query: str = "") -> str:
    return f"/t/{cast.acme.slug}/traces" + (f"?{query}" if query else "")


def show(client: Client, url: str) -> str:
    """The page, which must be there."""
    response = client.get(url, headers={"Accept": "text/html"})
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def keys(page: str) -> list[str]:
    """Traces that are listed, in their order."""
    return [html.unescape(key) for key in re.findall(r'<tr data-row data-key="([^"]*)"', page)]


# --- doors ------------------------------------------------------------------------------------------


def test_only_members_see_the_list(cast: Cast) -> None:
    append(cast, *decision("mine"))
    assert Client().get(address(cast)).headers["Location"].startswith("/signin?next=")
    for person in (cast.vera, cast.bob, cast.rita, cast.alice):
        assert keys(show(cast.browser(person), address(cast))) == ["mine"]
    stranger = cast.browser(cast.mallory)
    for path in (
        "traces",
        "traces?part=list",
        "traces?part=news&since=0",
        "traces?part=complete&q=mi",
        "palette?q=mine",
    ):
        assert stranger.get(f"/t/{cast.acme.slug}/{path}").status_code == 404
        assert b"mine" not in stranger.get(f"/t/{cast.globex.slug}/{path}").content.replace(b"q=mine", b"").replace(
            "“mine”".encode(), b""
        )


@pytest.mark.parametrize(
    "query",
    ["colour=blue", "outcome=maybe", "sort=up", "after=yesterday", "entity=K1", "cursor=abc", "since=-1", "q=a&q=b"],
)
def test_what_an_address_cannot_mean_is_refused(cast: Cast, query: str) -> None:
    assert cast.browser(cast.vera).get(address(cast, query)).status_code == 400


def test_a_cursor_of_another_order_is_refused(cast: Cast) -> None:
    append(cast, *(event for n in range(ROWS + 1) for event in decision(f"t{n}")[:1]))
    browser = cast.browser(cast.vera)
    (more,) = re.findall(r'rel="next" href="([^"]*)"', show(browser, address(cast)))
    assert browser.get(html.unescape(more) + "&sort=-started").status_code == 400


# --- finding --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["d", "c", "b"]),
        ("workflow=loan", ["c"]),
        ("outcome=failure", ["c"]),
        ("status=open", ["d"]),
        ("entity=booking/K2", ["d", "c"]),
        ("policy=dti@3", ["c"]),
        ("policy=dti", ["c"]),
        ("actor=agent/eve", ["d"]),
        ("q=Zanzibar", ["b"]),
        ("q=zanzi", ["b"]),
        ("after=2026-03-02", ["d", "c"]),
        ("before=2026-03-02", ["b"]),
        ("after=2026-03-02&before=2026-03-03T09:00", ["c"]),
        ("range=24h", []),
        ("workflow=refund&status=finished", ["b"]),
        ("sort=started", ["b", "c", "d"]),
        ("sort=last", ["b", "c", "d"]),
        ("kind=review", []),
        # the fields of a form that were left empty are no filters
        ("q=&workflow=&outcome=&status=open&range=&sort=", ["d"]),
    ],
)
def test_filters(cast: Cast, query: str, found: list[str]) -> None:
    append(
        cast,
        *decision("b", title="To Zanzibar"),
        *decision("c", workflow="loan", outcome="failure", entity="K2", policy="dti", day=2),
        *decision("d", outcome=None, entity="K2", day=3, actor="eve"),
    )
    assert keys(show(cast.browser(cast.vera), address(cast, query))) == found


def test_what_is_typed_becomes_part_of_the_address(cast: Cast) -> None:
    append(cast, *decision("one", workflow="loan"))
    browser = cast.browser(cast.vera)
    response = browser.get(address(cast), {"q": 'workflow:loan outcome:success "free text"', "sort": "started"})
    assert response.status_code == 302
    to = response.headers["Location"]
    assert to == address(cast, "sort=started&q=%22free+text%22&workflow=loan&outcome=success")
    page = show(browser, address(cast, "workflow=loan&outcome=success"))
    assert keys(page) == ["one"]
    chips = re.findall(r'<span class="chip">(\w+) <b>(\w+)</b>', page)
    assert chips == [("workflow", "loan"), ("outcome", "success")]
    assert f'href="{address(cast, "outcome=success")}" aria-label="Remove the filter workflow"' in page


@pytest.mark.parametrize(
    ("text", "marked", "words"),
    [
        ("x outcom:failure", "outcom:", "Did you mean outcome:?"),
        ("after:2026-02-30", "2026-02-30", "There is no such day or time"),
        ('"open', "&quot;open", "not closed"),
        ("entity:K1 <b>", "K1", "type/id"),
        ("y" * 401, "y", "at most 400"),
    ],
)
def test_what_is_typed_wrongly_is_marked_under_the_bar(cast: Cast, text: str, marked: str, words: str) -> None:
    append(cast, *decision("one"))
    answer = cast.browser(cast.vera).get(address(cast), {"q": text}, headers={"Accept": "text/html"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert f"<mark>{marked}</mark>" in page
    assert words in page
    assert "<b>Nothing was searched.</b>" in page
    assert f'value="{html.escape(text)}"' in page
    assert 'aria-invalid="true" aria-describedby="faults"' in page


def test_a_trace_is_found_before_the_projection_has_it(cast: Cast) -> None:
    append(cast, *decision("early"), follow=False)
    page = show(cast.browser(cast.vera), address(cast, "q=early"))
    assert keys(page) == []
    assert f'href="{address(cast)}/early">Open it' in page


# --- paging ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["-last", "last", "-started", "started"])
def test_pages_hold_every_trace_once(cast: Cast, sort: str) -> None:
    # many begin in the same second: the order among them must hold over pages
    count = 2 * ROWS + 7
    append(cast, *(event for n in range(count) for event in decision(f"t{n:03}", day=1 + n % 3)[:2]))
    browser = cast.browser(cast.vera)
    url, seen = address(cast, f"sort={sort}"), []
    for _ in range(4):
        page = show(browser, url)
        seen += keys(page)
        more = re.findall(r'rel="next" href="([^"]*)"', page)
        if not more:
            break
        url = html.unescape(more[0])
    assert len(seen) == count
    assert len(set(seen)) == count


# --- what came since ---------------------------------------------------------------------------------------


def test_new_rows_announce_themselves_and_do_not_move(cast: Cast) -> None:
    append(cast, *decision("one", outcome=None))
    browser = cast.browser(cast.vera)
    page = show(browser, address(cast))
    (news,) = [html.unescape(u) for u in re.findall(r'id="news"[^>]*hx-get="([^"]*)"', page)]
    assert "newrows" not in show(browser, news)
    append(cast, *decision("two"), *decision("three", workflow="loan"))
    append(cast, envelope("one", 2, "TraceFinished", {"outcome": "success"}))
    part = show(browser, news)
    assert "<html" not in part
    assert "2 new traces, 1 moved: show" in " ".join(part.split())
    filtered = show(browser, address(cast, "workflow=loan"))
    assert "newrows" not in filtered
    (rows,) = [html.unescape(u) for u in re.findall(r'<a class="btn s"[^>]*hx-get="([^"]*)"', part)]
    shown = show(browser, rows)
    assert keys(shown) == ["one", "three", "two"]
    assert "newrows" not in shown


def test_a_list_that_is_behind_says_so(cast: Cast) -> None:
    append(cast, *decision("one"))
    append(cast, *(event for n in range(60) for event in decision(f"n{n}")), follow=False)
    page = show(cast.browser(cast.vera), address(cast))
    assert "This list is 180 events behind the log." in page
    append(cast)
    assert "behind the log" not in show(cast.browser(cast.vera), address(cast))


def test_a_parked_trace_is_named(cast: Cast) -> None:
    append(cast, *decision("one"), *decision("two"))
    with tenant_tx(cast.acme):
        DeadLetter.objects.create(
            tenant_id=cast.acme.pk,
            projection="trace_summary",
            generation=1,
            trace_id="one",
            log_seq=2,
            event_type="PolicyEvaluated",
            error="boom",
            rule_version=1,
        )
    page = show(cast.browser(cast.vera), address(cast))
    assert "1 trace is parked" in " ".join(page.split())
    assert page.count("parked, row may be old") == 1


def test_empty_states_say_what_to_do(cast: Cast) -> None:
    browser = cast.browser(cast.vera)
    assert "No decision has been recorded yet." in show(browser, address(cast))
    append(cast, *decision("one"))
    page = show(browser, address(cast, "q=nothing"))
    assert "No trace matches." in page
    assert "Clear all filters" in page


# --- hostile text, queries ------------------------------------------------------------------------------------


def test_event_text_is_hostile_input(cast: Cast) -> None:
    trace = "<b>x<b>\u202e1"
    append(cast, *decision(trace, workflow=HOSTILE, title=HOSTILE, entity=HOSTILE, policy=HOSTILE, actor=HOSTILE))
    browser = cast.browser(cast.vera)
    for query in ("", "part=list", "part=complete&q=workflow:", "q=script", "q=%3Cscript%3Ealert(9)"):
        page = show(browser, address(cast, query))
        body = page[page.find("<body") :]
        assert "<script>alert" not in body, query
        assert "<b>x<b>" not in body, query
    body = show(browser, address(cast))
    assert "U+202E" in body
    assert not re.search("[\u202e\u200b]", re.sub(r"<[^>]*>", "", body[body.index("<body") :]))
    found = show(browser, f"/t/{cast.acme.slug}/palette?q=%3Cb%3Ex")
    assert "<b>x" not in found
    assert "U+202E" in found


def test_the_number_of_queries_does_not_grow(cast: Cast) -> None:
    browser = cast.browser(cast.vera)
    append(cast, *decision("one"))
    show(browser, address(cast))
    with CaptureQueriesContext(connection) as few:
        show(browser, address(cast))
    append(cast, *(event for n in range(ROWS + 5) for event in decision(f"t{n}")))
    with CaptureQueriesContext(connection) as many:
        show(browser, address(cast))
    assert len(many) <= len(few) <= 20


# --- palette --------------------------------------------------------------------------------------------------


def options(page: str) -> list[str]:
    """Addresses offered, in their order."""
    return [html.unescape(url) for url in re.findall(r'<a role="option"[^>]*href="([^"]*)"', page)]


def test_the_palette_finds_pages_traces_and_actions(cast: Cast) -> None:
    append(cast, *decision("loan-1", title="Boat"), *decision("loan-2", title="House"), *decision("other"))
    append(cast, *decision("refund", title="Ticket 6AAREPL"))
    base = f"/t/{cast.acme.slug}/"
    browser = cast.browser(cast.alice)

    def ask(text: str) -> list[str]:
        return options(show(browser, f"{base}palette?q={text}"))

    assert ask("loan-") == [base + "traces/loan-1", base + "traces/loan-2"]
    assert ask("house") == [base + "traces/loan-2"]
    assert ask("projec")[0] == base + "projections"
    assert ask("repl")[:2] == [base + "replays", base + "traces/refund"], "what begins so, then what has it inside"
    assert ask("6AAREPL") == [base + "traces/refund"]
    assert base + "settings/tokens" in ask("token")
    assert ask("booking/K1") == [base + "traces?entity=booking%2FK1"]
    assert ask("zzzz") == []
    assert "Nothing matches" in show(browser, f"{base}palette?q=zzzz")
    assert base + "traces" in ask("")


def test_the_palette_offers_only_what_one_may_do(cast: Cast) -> None:
    base = f"/t/{cast.acme.slug}/"

    def ask(person: Any, text: str) -> list[str]:
        return options(show(cast.browser(person), f"{base}palette?q={text}"))

    assert base + "settings/tokens" not in ask(cast.bob, "token")
    assert base + "replays" in ask(cast.bob, "rebuild")
    assert ask(cast.vera, "rebuild") == []


def test_the_palette_knows_a_trace_before_the_projection(cast: Cast) -> None:
    append(cast, *decision("early"), follow=False)
    page = show(cast.browser(cast.vera), f"/t/{cast.acme.slug}/palette?q=earl")
    assert options(page) == [f"/t/{cast.acme.slug}/traces/early"]
