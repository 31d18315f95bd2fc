"""One investigation on real runs: from a failed decision to how others were decided, and on to a colleague."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect

from projections.selectors import observations
from tests.bench.stack import DATA
from tests.e2e.product import until
from tests.e2e.test_accessibility import in_both_themes, settle
from tests.factories import Cast
from traces import selectors as log

RUNS = DATA / "taubench" / "gpt-4o-airline.json"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.browser,
    pytest.mark.skipif(not RUNS.exists(), reason="the shared data folder is absent"),
]


@pytest.fixture
def desk(cast: Cast, product: Any) -> Cast:
    """acme with 200 finished runs, projected."""
    call_command("import_traces", "--tenant", cast.acme.slug, "--format", "chat", str(RUNS), verbosity=0)
    head = log.head(cast.acme)
    until(lambda: all(item.seen.cursor >= head for item in observations(cast.acme)), "projections are at the head")
    return cast


def clean(page: Page, where: str) -> None:
    """No serious finding of axe on what is open now."""
    settle(page)
    assert in_both_themes(page) == [], where


def test_why_and_was_it_ever_decided_otherwise(visit: Any, desk: Cast) -> None:
    base = f"/t/{desk.acme.slug}"
    page = visit(viewport={"width": 1440, "height": 1000}).known_as(desk.bob.email).page

    # find a failed run about the refund of a cancelled flight
    page.goto(f"{base}/traces")
    bar = page.get_by_role("combobox").first
    bar.fill("outcome:failure refund cancel")
    bar.press("Enter")
    expect(page).to_have_url(re.compile("outcome"))
    row = page.get_by_role("link", name=re.compile("cancel", re.IGNORECASE)).first
    expect(row).to_be_visible()
    clean(page, "traces")
    row.click()

    # what happened, in order
    expect(page).to_have_url(re.compile(r"/traces/gpt-4o-airline-task"))
    trace_url = page.url
    trace_id = trace_url.rsplit("/", 1)[1].split("?")[0]
    expect(page.locator("h1")).to_contain_text(re.compile("fail", re.IGNORECASE))
    expect(page.get_by_role("heading", name="Timeline", exact=True)).to_be_visible()
    steps = page.locator(".windows [data-row]")
    expect(steps.first).to_contain_text("Started")
    expect(steps.last).to_contain_text("Finished")
    assert steps.count() > 5
    clean(page, "trace")

    # what was proposed beside what was carried out, and the two events under the glass
    acted = page.get_by_role("region", name="Proposed and committed")
    acted.get_by_role("link", name=re.compile("^event")).last.click()
    glass = page.locator("#inspector")
    expect(glass.get_by_role("heading")).to_contain_text("ActionCommitted")
    glass.get_by_role("tab", name="Diff").click()
    expect(glass).to_contain_text("Payload against payload")  # these reports do not repeat what was done
    expect(glass).to_contain_text("action_type")  # only the proposal has it
    expect(page).to_have_url(re.compile(r"event=\d+.*tab=diff"))
    event_url = page.url
    clean(page, "difference")

    # what surrounds it
    page.goto(f"{base}/graph?node=trace:{trace_id}")
    expect(page.locator("h1")).to_contain_text(trace_id)
    expect(page.locator("svg[data-picture] a.n").first).to_be_visible()
    clean(page, "graph")

    # was it ever decided otherwise
    page.goto(f"{base}/precedents?trace={trace_id}")
    expect(page.get_by_text("Decided the other way", exact=True)).to_be_visible()
    hits = page.locator("ul.prec > li:not(.split)")
    expect(hits.first).to_contain_text("Success")  # the run that asks failed
    hits.first.get_by_text("Every part of").click()
    expect(hits.first.locator("dl")).to_contain_text("phrases of the request")
    assert trace_id not in [text.strip() for text in page.locator("ul.prec code").all_text_contents()]
    clean(page, "precedents")

    # side by side, and on to a colleague
    hits.first.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Steps", exact=True)).to_be_visible()
    said = page.locator("h1").inner_text()
    clean(page, "compare")
    colleague = visit().known_as(desk.rita.email).page
    colleague.goto(page.url)
    expect(colleague.locator("h1")).to_have_text(said)
    colleague.goto(event_url)
    expect(colleague.locator("#inspector").get_by_role("heading")).to_contain_text("ActionCommitted")
    expect(colleague.locator("#inspector")).to_contain_text("Payload against payload")
    stranger = visit().known_as(desk.mallory.email).page
    for address in (page.url, trace_url, event_url, f"{base}/graph?node=trace:{trace_id}"):
        answer = stranger.goto(address)
        assert answer is not None
        assert answer.status == 404
