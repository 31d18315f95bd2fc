"""One investigation in a real browser: as of an event, the difference of two, two traces beside each other."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.factories import Cast
from tests.traces.events import Json, envelope, finish, new_id, start, step
from traces import services
from traces.domain.catalog import CATALOG

pytestmark = [pytest.mark.django_db, pytest.mark.browser]


def refund(cast: Cast, *, proposed: str, done: str, version: str, outcome: str) -> str:
    """A refund of six events; its trace id."""
    trace = new_id()

    def change(amount: str) -> list[Json]:
        return [{"path": "refund.amount", "new_value": {"type": "decimal", "value": amount}}]

    report: Json = CATALOG["ActionCommitted"].example
    policy = {"policy_id": "refund.cap", "policy_version": version}
    services.append(
        cast.acme,
        principal=cast.principal(cast.alice),
        events=[
            start(trace),
            step(trace),
            envelope(trace, "PolicyEvaluated", {"policy": policy, "inputs": [], "decision": "allow"}),
            envelope(trace, "ActionProposed", CATALOG["ActionProposed"].example | {"changes": change(proposed)}),
            envelope(
                trace, "ActionCommitted", report | {"executed": report["executed"] | {"changes": change(done)}}
            ),
            finish(trace, payload={"outcome": outcome, "summary": f"Refunded {done} EUR."}),
        ],
    )  # fmt: skip
    return trace


@pytest.fixture
def page(visit: Any, cast: Cast) -> Page:
    window: Page = visit(viewport={"width": 1440, "height": 1000}).known_as(cast.vera.email).page
    return window


def test_as_of_an_event(page: Page, cast: Cast) -> None:
    trace = refund(cast, proposed="400.00", done="612.40", version="3", outcome="success")
    page.goto(f"/t/{cast.acme.slug}/traces/{trace}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Succeeded")
    slider = page.get_by_role("slider", name="As of event")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Still open after 3 events")
    expect(page).to_have_url(re.compile(r"as_of=2"))
    expect(page.locator(".windows [data-row]")).to_have_count(3)
    expect(page.locator("main")).to_have_count(1)
    expect(slider).to_be_focused()
    # the link alone opens the same page, and the way back is one press
    page.goto(page.url)
    expect(page.get_by_text("As it was after event 2.")).to_be_visible()
    page.get_by_role("link", name="Back to the latest").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Succeeded")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Still open")


def test_the_difference_of_two_events(page: Page, cast: Cast) -> None:
    trace = refund(cast, proposed="400.00", done="612.40", version="3", outcome="success")
    page.goto(f"/t/{cast.acme.slug}/traces/{trace}")
    acted = page.get_by_role("region", name="Proposed and committed")
    expect(acted).to_contain_text("1 of 1 was done otherwise")
    acted.get_by_role("link", name="event 4").click()
    glass = page.locator("#inspector")
    expect(glass.get_by_role("heading")).to_contain_text("Event 4")
    glass.get_by_role("tab", name="Diff").click()
    expect(glass).to_contain_text("What was done, against what was proposed.")
    expect(glass).to_contain_text("changes[0].new_value.value")
    glass.get_by_label("With event").fill("0")
    glass.get_by_role("button", name="Compare").click()
    expect(glass).to_contain_text("Payload against payload")
    expect(page).to_have_url(re.compile(r"tab=diff.*other=0"))
    page.reload()
    expect(glass).to_contain_text("Payload against payload")
    page.locator("body").press("]")
    expect(glass.get_by_role("heading")).to_contain_text("Event 5")


def test_the_payload_by_keyboard(page: Page, cast: Cast) -> None:
    """Lines, folds and the path of any value, without a pointer."""
    trace = refund(cast, proposed="400.00", done="612.40", version="3", outcome="success")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/t/{cast.acme.slug}/traces/{trace}?event=0")
    tree = page.locator("[data-tree]")
    tree.locator("summary").first.focus()
    page.keyboard.press("ArrowDown")
    expect(tree.locator("summary").nth(1)).to_be_focused()  # primary_entity
    page.keyboard.press("ArrowDown")
    line = tree.locator("li > .k[data-path]:focus")
    expect(line).to_have_count(1)
    path = line.get_attribute("data-path")
    page.keyboard.press("c")
    expect(page.locator(".toasts")).to_contain_text(f"Copied the path {path}")
    assert page.evaluate("navigator.clipboard.readText()") == path
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(tree.locator("details").nth(1)).not_to_have_attribute("open", "")
    page.keyboard.press("ArrowRight")
    expect(tree.locator("details").nth(1)).to_have_attribute("open", "")


def test_two_traces_beside_each_other(page: Page, cast: Cast) -> None:
    one = refund(cast, proposed="612.40", done="612.40", version="3", outcome="failure")
    other = refund(cast, proposed="400.00", done="400.00", version="4", outcome="success")
    page.goto(f"/t/{cast.acme.slug}/traces/{one}")
    page.get_by_role("link", name="Compare").click()
    page.get_by_label("Right trace id").fill(other)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("They differ in 1 policy and 4 of 6 steps")
    expect(page.locator(".stp.changed")).to_have_count(4)
    expect(page.get_by_role("region", name="How they ended")).to_contain_text("Failure")
    page.keyboard.press("x")
    expect(page).to_have_url(re.compile(f"left={other}"))
    page.get_by_role("link", name="Differences").click()
    expect(page.locator(".stp.same")).to_have_count(0)
    page.locator(".stp.changed").first.get_by_role("link", name="Both payloads").click()
    expect(page.locator("#inspector")).to_contain_text("policy.policy_version")
