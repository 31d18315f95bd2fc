"""The search bar, an export and two rows to compare, by keyboard in a real browser; axe in both themes."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.product import until
from tests.e2e.test_accessibility import in_both_themes
from tests.factories import Cast
from tests.projections.desk import interleaved
from tests.projections.test_search import saying
from traces import selectors as log
from traces import services

pytestmark = [pytest.mark.django_db, pytest.mark.browser]


@pytest.fixture
def filled(cast: Cast, product: Any) -> Cast:
    from projections.selectors import observations

    principal = cast.principal(cast.alice)
    services.append(cast.acme, principal=principal, events=interleaved(6, prefix="a"))
    for number, title in enumerate(("東京都の予約を返金する", "=Refund to Zanzibar", "استرداد مبلغ الحجز")):
        services.append(cast.acme, principal=principal, events=saying(f"s-{number}", title=title))
    head = log.head(cast.acme)
    until(lambda: all(item.seen.cursor >= head for item in observations(cast.acme)), "projections are at the head")
    return cast


def test_search_complete_export_compare(visit: Any, filled: Cast) -> None:
    cast, base = filled, f"/t/{filled.acme.slug}/traces"
    page = visit(viewport={"width": 1200, "height": 900}, accept_downloads=True).known_as(cast.bob.email).page
    wrong: dict[str, list[str]] = {}
    page.goto(base)
    bar = page.get_by_role("combobox", name="Search or filter")
    bar.press_sequentially("po", delay=20)
    options = page.locator("#completions [role=option]")
    expect(options).to_have_count(1)
    expect(bar).to_have_attribute("aria-expanded", "true")
    expect(page.locator("[data-complete-count]")).to_contain_text("1 suggestions")
    bar.press("ArrowDown")
    expect(bar).to_have_attribute("aria-activedescendant", "completion-1")
    # the answer to the last letter comes between the arrow and Enter: what was chosen stays chosen
    first = options.first.element_handle()
    bar.press("l")
    page.wait_for_function("(option) => !option.isConnected", arg=first)
    expect(bar).to_have_attribute("aria-activedescendant", "completion-1")
    bar.press("Enter")
    expect(bar).to_have_value("policy:")
    expect(options.first).to_contain_text("cap")
    wrong["completion"] = in_both_themes(page)
    bar.press("ArrowDown")
    bar.press("Enter")
    expect(bar).to_have_value("policy:cap ")
    expect(page.locator("#completions")).to_be_hidden()
    # Escape closes the list and keeps the text; an answer that comes late does not open it again
    bar.press_sequentially("ou", delay=20)
    expect(options).to_have_count(1)
    late: list[Any] = []
    page.route("**/traces?part=*", lambda route: late.append(route))
    bar.press("t")
    until(lambda: page.evaluate("1") and late, "the letter is asked for")
    bar.press("Escape")
    first = options.first.element_handle()
    late[-1].continue_()
    page.unroute("**/traces?part=*")
    page.wait_for_function("(option) => !option.isConnected", arg=first)
    expect(page.locator("#completions")).to_be_hidden()
    expect(bar).to_have_value("policy:cap out")
    bar.fill("policy:cap zanzi")
    bar.press("Enter")
    expect(page.locator(".chip").first).to_contain_text("cap")
    # a mistake is marked, a script without spaces is found
    page.goto(base)
    bar.fill("outcom:failure x")
    bar.press("Enter")
    expect(page.locator(".faulty mark")).to_have_text("outcom:")
    expect(page.get_by_role("alert")).to_contain_text("Did you mean outcome:?")
    wrong["mistake"] = in_both_themes(page)
    bar.fill("返金")
    bar.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    bar.fill("الحجز")
    bar.press("Enter")
    expect(page.locator("tr[data-row] .name")).to_have_text("استرداد مبلغ الحجز")
    # export what is listed
    page.goto(f"{base}?q=zanzi")
    page.get_by_role("button", name="Export").click()
    wrong["export menu"] = in_both_themes(page)
    page.get_by_role("menuitem", name="CSV for a spreadsheet").click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=20_000)
    wrong["exports"] = in_both_themes(page)
    with page.expect_download() as waiting:
        link.click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"), newline="")))
    assert [(row["trace_id"], row["title"]) for row in rows] == [("s-1", "'=Refund to Zanzibar")]
    # keep the search as a view
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Save or delete views").click()
    page.get_by_label("Name").fill("Loyal ones")
    page.get_by_label("For everybody").check()
    wrong["views"] = in_both_themes(page)
    page.get_by_role("button", name="Save this view").click()
    expect(page.locator("#toasts, .toasts")).to_contain_text("Loyal ones")
    # two rows to compare
    page.goto(base)
    boxes = page.locator("[data-pick]")
    first, second = boxes.nth(0).get_attribute("value"), boxes.nth(1).get_attribute("value")
    boxes.nth(0).check()
    expect(page.locator("[data-picked]")).to_contain_text("select another")
    boxes.nth(1).check()
    wrong["picked"] = in_both_themes(page)
    expect(page.get_by_role("link", name="Compare")).to_have_attribute(
        "href", f"/t/{cast.acme.slug}/compare?left={first}&right={second}"
    )
    # live tail: what matches comes in on top, the row in hand stays where it is, what was ticked stays ticked
    rows, switch, marks = (
        page.locator("tr[data-row]"),
        page.get_by_role("switch", name="Live tail"),
        page.locator("[data-pick]:checked"),
    )
    page.keyboard.press("p")
    expect(switch).to_have_attribute("aria-checked", "true")
    wrong["live tail"] = in_both_themes(page)
    page.mouse.move(1, 1)
    rows.filter(has=page.locator(f"[value='{second}']")).locator("[data-pick]").focus()
    place = "() => document.activeElement.closest('tr').getBoundingClientRect().top"
    before = page.evaluate(place)
    came = "live-1"
    services.append(cast.acme, principal=cast.principal(cast.alice), events=saying(came, title="Came by itself"))
    expect(rows.first).to_have_attribute("data-key", came)
    expect(marks).to_have_count(2)
    expect(page.locator(f"[value='{second}']")).to_be_focused()
    assert abs(page.evaluate(place) - before) < 2
    expect(page.locator(".newrows")).to_have_count(0)
    # off again: counted until it is pressed
    page.keyboard.press("p")
    expect(switch).to_have_attribute("aria-checked", "false")
    services.append(cast.acme, principal=cast.principal(cast.alice), events=saying(f"{came}-2", title="Is announced"))
    expect(page.locator(".newrows")).to_contain_text("1 new trace: show")
    expect(rows.first).to_have_attribute("data-key", came)
    page.locator(".newrows").get_by_role("link").click()
    expect(rows.first).to_have_attribute("data-key", f"{came}-2")
    # columns, by keyboard: on at once, and part of the address
    page.get_by_role("button", name="Columns").press("Enter")
    page.get_by_role("checkbox", name="Actors").press("Space")
    expect(page.get_by_role("columnheader", name="Actors")).to_be_visible()
    wrong["columns"] = in_both_themes(page)
    expect(page).to_have_url(re.compile("columns=outcome%2Cworkflow.*actors"))
    assert {name: said for name, said in wrong.items() if said} == {}


def test_the_palette_opens_what_was_typed(visit: Any, cast: Cast, product: Any) -> None:
    """Enter waits for the answer to the last letters; what the arrows chose is opened at once."""
    window = visit(viewport={"width": 1200, "height": 900}).known_as(cast.bob.email)
    page = window.page
    base, held = f"/t/{cast.acme.slug}", list[Any]()

    def hold(text: str, finds: str, then: str) -> None:
        """Type one text and have its answer, then another one and have it asked for only."""
        page.goto(f"{base}/traces")
        page.keyboard.press("Control+k")
        page.locator("#palette-q").press_sequentially(text)
        expect(first).to_contain_text(finds)
        held.clear()
        page.route("**/palette?q=*", lambda route: held.append(route))
        page.locator("#palette-q").fill(then)
        until(lambda: page.evaluate("1") and held, "the letters are asked for")

    first = page.locator("#palette-results [aria-selected=true]")
    hold("repl", "Replays", "incid")
    page.keyboard.press("Enter")
    page.evaluate("new Promise(requestAnimationFrame)")
    expect(page.locator("#palette")).to_be_visible()
    held[-1].continue_()
    page.wait_for_url(re.compile(rf"{base}/incidents"))
    page.unroute("**/palette?q=*")

    # an answer that never comes is asked for again, and letters typed after Enter take it back
    hold("repl", "Replays", "incid")
    page.keyboard.press("Enter")
    with page.expect_event("requestfailed"):
        held[-1].abort()
    until(lambda: page.evaluate("1") and window.complaints, "the browser noticed")
    assert window.complaints.pop().startswith("htmx:sendError")
    held.clear()
    page.keyboard.press("Enter")
    until(lambda: page.evaluate("1") and held, "the letters are asked for again")
    page.locator("#palette-q").fill("approv")
    until(lambda: page.evaluate("1") and "approv" in held[-1].request.url, "the new letters are asked for")
    held[-1].continue_()
    page.unroute("**/palette?q=*")
    expect(first).to_contain_text("Approvals")
    assert page.url.endswith("/traces")

    # what the arrows chose is meant, whatever is still on its way
    hold("re", "Precedents", "rep")
    page.keyboard.press("ArrowDown")
    meant = page.locator("#palette-results [aria-selected=true]").get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(re.escape(str(meant))))
    page.unroute("**/palette?q=*")
