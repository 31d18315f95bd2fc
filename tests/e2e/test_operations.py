"""An operator at work in a real browser: lag, replays, and what others may not do."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from replays import selectors as replays
from tests.e2e.product import Product, until
from tests.factories import Cast, make_token
from tests.live import envelope, observed, started
from traces import selectors as log
from traces import services

pytestmark = [pytest.mark.django_db, pytest.mark.browser]

STAYS = "window.sameDocument = (window.sameDocument || 0) + 1"
WATCH = """() => {
  window.seenBars = [];
  const look = () => {
    const bar = document.querySelector('#rp-one progress');
    if (bar && window.seenBars.at(-1) !== bar.value) window.seenBars.push(bar.value);
  };
  look();
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def send(product: Product, token: str, events: list[dict[str, Any]]) -> None:
    """Append through HTTP, as an agent would."""
    for first in range(0, len(events), 500):
        body = json.dumps({"events": events[first : first + 500]}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{product.address}/api/v1/events", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status in (200, 201)


def history(count: int) -> list[dict[str, Any]]:
    """``count`` events of finished traces of ten events each."""
    events: list[dict[str, Any]] = []
    while len(events) < count:
        trace_id = f"t-{uuid.uuid4().hex}"
        events += [started(trace_id), *(observed(trace_id) for _ in range(8))]
        events.append(envelope(trace_id, "TraceFinished", {"outcome": "success"}))
    return events[:count]


def fill(cast: Cast, count: int) -> None:
    """The same into acme's log, past HTTP."""
    events = history(count)
    for first in range(0, len(events), 500):
        services.append(cast.acme, principal=cast.principal(cast.alice), events=events[first : first + 500])


@pytest.fixture
def thawed(product: Product) -> Iterator[Product]:
    """A product whose parts all run again afterwards."""
    yield product
    product.thaw("worker", "replay")


def same_document(page: Page) -> bool:
    """Whether the page has not been loaded again since ``STAYS``."""
    return bool(page.evaluate("window.sameDocument === 1"))


def lag(page: Page) -> Any:
    return page.locator("#ov-health .figures .v").first


def test_lag_rises_and_falls_without_a_reload(visit: Any, cast: Cast, thawed: Product) -> None:
    _, token = make_token(cast.acme, "ingest")
    page = visit().known_as(cast.bob.email).page
    page.goto(f"/t/{cast.acme.slug}/")
    expect(page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
    expect(lag(page)).to_have_text("0 events")
    page.evaluate(STAYS)
    thawed.freeze("worker")
    send(thawed, token, history(300))
    expect(lag(page)).to_have_text("300 events")
    expect(page.locator("#ov-projections tbody tr").first).to_contain_text("300")
    expect(page.locator("[data-head]").first).to_have_text("300")
    thawed.thaw("worker")
    expect(lag(page)).to_have_text("0 events")
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything is current")
    expect(page.locator("#producers")).to_contain_text("Sending")
    assert same_document(page)


def test_a_projection_that_stands_still_is_said_and_woken(visit: Any, cast: Cast, thawed: Product) -> None:
    """Stale after its seconds, by the consumer's own looking; one click wakes it."""
    _, token = make_token(cast.acme, "ingest")
    page = visit().known_as(cast.bob.email).page
    page.goto(f"/t/{cast.acme.slug}/projections")
    page.evaluate(STAYS)
    thawed.freeze("worker")
    send(thawed, token, history(40))
    row = page.locator("#pr-table tbody tr").first
    expect(row).to_contain_text("Stale", timeout=40_000)
    # A projection that is stale for long becomes an incident, whose own events wait as well.
    title = page.get_by_role("heading", level=1)
    until(lambda: f"does not keep up: {log.head(cast.acme)} events wait" in title.inner_text(), "all of it waits")
    row.get_by_role("button", name="Catch up").click()
    expect(page.locator("#toasts")).to_contain_text("Catching up")
    thawed.thaw("worker")
    until(
        lambda: title.inner_text().endswith(f"every projection stands at event {log.head(cast.acme)}"), "all caught up"
    )
    assert same_document(page)


def test_a_verify_from_the_form_to_its_verdict(visit: Any, cast: Cast, thawed: Product) -> None:
    fill(cast, 12_000)
    page = visit().known_as(cast.bob.email).page
    page.goto(f"/t/{cast.acme.slug}/")
    expect(lag(page)).to_have_text("0 events", timeout=60_000)
    page.goto(f"/t/{cast.acme.slug}/projections")
    row = page.locator("#pr-table tr", has_text="context_graph")
    row.get_by_role("link", name="Verify").click()
    expect(page.get_by_label("Projection")).to_have_value("context_graph")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_label("Reason")).to_be_focused()  # the browser itself asks for it

    thawed.freeze("replay")
    page.get_by_label("Reason").fill("After the deploy: is the graph right?")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Verify of context_graph waits for a worker")
    page.evaluate(STAYS)
    page.evaluate(WATCH)
    thawed.thaw("replay")
    # Held still on its way, so that a fast machine shows a moving bar too.
    until(lambda: replays.replays(cast.acme)[0].row.position > 0, "it moves")
    thawed.freeze("replay")
    until(lambda: len(page.evaluate("window.seenBars")) > 1, "the bar moves")
    thawed.thaw("replay")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Match: every row of context_graph is what the log says", timeout=60_000
    )
    assert same_document(page)
    seen = page.evaluate("window.seenBars")
    assert any(0 < value < 12_000 for value in seen), seen
    assert seen == sorted(seen)
    expect(page.locator("#rp-one")).to_contain_text("After the deploy: is the graph right?")
    page.goto(f"/t/{cast.acme.slug}/replays")
    expect(page.locator("#rp-list tbody tr").first).to_contain_text("Match")


def test_another_one_is_cancelled(visit: Any, cast: Cast, thawed: Product) -> None:
    fill(cast, 200)
    page = visit().known_as(cast.bob.email).page
    page.goto(f"/t/{cast.acme.slug}/replays")
    thawed.freeze("replay")
    page.locator("input[value=rebuild]").check()
    page.get_by_label("Projection").select_option("trace_summary")
    page.get_by_label("Reason").fill("by mistake")
    start = page.get_by_role("button", name="Start")
    expect(start).to_be_disabled()
    page.get_by_label("Type trace_summary to confirm").fill("trace_summary")
    start.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Rebuild of trace_summary waits")
    page.evaluate(STAYS)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rebuild of trace_summary was cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert same_document(page)


def test_a_viewer_looks_and_cannot_touch(visit: Any, cast: Cast, product: Product) -> None:
    fill(cast, 50)
    page = visit().known_as(cast.vera.email).page
    for path in ("", "projections", "replays", "refusals"):
        page.goto(f"/t/{cast.acme.slug}/{path}")
        main = page.locator("main")
        expect(main.locator("form, [hx-post], .menu")).to_have_count(0)
        expect(
            main.get_by_role("button", name=re.compile("Start|Cancel|Catch|Retry|Skip|Rebuild|Promote"))
        ).to_have_count(0)
    refused = page.evaluate(
        """async (paths) => {
          const headers = JSON.parse(document.body.getAttribute('hx-headers'));
          const codes = [];
          for (const path of paths) codes.push((await fetch(path, { method: 'POST', headers })).status);
          return codes;
        }""",
        [f"/t/{cast.acme.slug}/{path}" for path in ("replays/start", "projections/catch-up", "replays/x/cancel")],
    )
    assert refused == [403, 403, 403]


def test_a_second_tenant_sees_nothing(visit: Any, cast: Cast, product: Product) -> None:
    window = visit().known_as(cast.mallory.email)
    page = window.page
    page.goto(f"/t/{cast.globex.slug}/")
    expect(page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: frames.append(str(text))))
    page.reload()
    expect(page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
    until(lambda: any("projection_health" in text for text in frames) or page.wait_for_timeout(100), "a first frame")
    fill(cast, 60)
    page.wait_for_timeout(2_000)
    expect(page.locator("#producers")).to_contain_text("Nobody has sent an event yet.")
    assert not any(cast.acme.slug in text for text in frames)
    for path in ("", "projections", "replays", "refusals", "replays?part=figure"):
        answer = page.goto(f"/t/{cast.acme.slug}/{path}")
        assert answer is not None
        assert answer.status == 404
        assert cast.acme.name not in page.locator("main").inner_text()
