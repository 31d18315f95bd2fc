"""The precedents page in a browser: by words, the other way first, its parts, on to compare; the radar."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from projections.services import learned_to
from tests.e2e.product import until
from tests.e2e.test_accessibility import in_both_themes
from tests.factories import Cast
from tests.projections.test_precedent_search import BROKEN, LATE, refund
from traces import selectors as log
from traces import services

pytestmark = [pytest.mark.django_db, pytest.mark.browser]


@pytest.fixture
def decided(cast: Cast, product: Any) -> Cast:
    """Three alike refunds of which one was refused, and another matter."""
    principal = cast.principal(cast.alice)
    for number, outcome, words in (
        (1, "success", LATE),
        (2, "success", f"{LATE}, please"),
        (3, "failure", f"Hello. {LATE}"),
        (4, "success", BROKEN),
    ):
        services.append(cast.acme, principal=principal, events=refund(number, outcome, words=words))
    head = log.head(cast.acme)
    until(lambda: learned_to(cast.acme) >= head, "situations are learned", timeout=30)
    return cast


def test_from_the_rail_to_the_case_decided_otherwise(visit: Any, decided: Cast) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}).known_as(decided.bob.email).page
    page.goto(f"/t/{decided.acme.slug}/traces")
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", level=1)).to_have_text("Precedents")
    page.get_by_label("The request in words").fill(LATE)
    page.get_by_role("button", name="Find precedents").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 of the 4 decisions most like it went the other way")
    first = page.locator(".prec > li:not(.split)").first
    expect(first).to_contain_text("Refund 3")
    first.get_by_text("Every part of").click()
    expect(first.locator("progress").first).to_be_visible()
    first.get_by_role("link", name="Its precedents").click()
    expect(page.locator(".prec")).not_to_contain_text("Refund 3")
    page.locator(".prec > li:not(.split)").first.get_by_role("link", name="Compare").click()
    expect(page).to_have_url(f"/t/{decided.acme.slug}/compare?left=refund-3&right=refund-1")


def test_the_radar_leads_to_two_that_differ(visit: Any, decided: Cast) -> None:
    page = visit(viewport={"width": 390, "height": 800}).known_as(decided.bob.email).page
    page.goto(f"/t/{decided.acme.slug}/precedents")
    page.get_by_role("group", name="View").get_by_role("link", name="Inconsistencies").click()
    expect(page.locator(".prec > li")).to_have_count(1)
    expect(page.locator(".prec > li")).to_contain_text("2 ended in success and 1 ended in failure")
    page.get_by_role("link", name="Compare two that differ").click()
    expect(page).to_have_url(f"/t/{decided.acme.slug}/compare?left=refund-3&right=refund-2")


def test_a_form_that_cannot_be_asked_is_mended_where_it_stands(visit: Any, decided: Cast) -> None:
    page = visit(viewport={"width": 390, "height": 800}).known_as(decided.bob.email).page
    page.goto(f"/t/{decided.acme.slug}/precedents")
    page.get_by_text("Describe more").click()
    page.get_by_label("Facts").fill("cheap")
    page.get_by_role("button", name="Find precedents").click()
    expect(page.get_by_role("alert")).to_contain_text("write facts as name=value")
    expect(page.get_by_label("Facts")).to_have_value("cheap")
    assert in_both_themes(page) == []
    page.get_by_label("Facts").fill("")
    page.get_by_label("The request in words").fill("zyxwv")
    page.get_by_role("button", name="Find precedents").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("No finished decision is like this one")
    expect(page.get_by_role("alert")).to_have_count(0)
