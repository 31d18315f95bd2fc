"""The graph page in a browser: select, expand, way, time, keyboard, zoom, files; a link opens the same picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from projections.selectors import observations
from tests.e2e.product import until
from tests.factories import Cast
from tests.projections.test_graph_page import review
from traces import selectors as log
from traces import services

pytestmark = [pytest.mark.django_db, pytest.mark.browser]


@pytest.fixture
def investigated(cast: Cast, product: Any) -> Cast:
    """Two decisions of one agent about one booking, each with an exception that a person granted."""
    principal = cast.principal(cast.alice)
    services.append(cast.acme, principal=principal, events=[*review("r1"), *review("r2", approver="ana")])
    head = log.head(cast.acme)
    until(lambda: all(item.seen.cursor >= head for item in observations(cast.acme)), "projections are at the head")
    return cast


def node(page: Page, name: str) -> Locator:
    return page.locator(f'svg[data-picture] a.n[aria-label*="{name}"]')


def view_box(page: Page) -> list[float]:
    box = page.locator("svg[data-picture]").get_attribute("viewBox") or ""
    return [float(each) for each in box.split()]


def test_from_the_rail_to_the_person_who_decided(visit: Any, investigated: Cast) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}).known_as(investigated.bob.email).page
    page.goto(f"/t/{investigated.acme.slug}/traces")
    page.keyboard.press("g")
    page.keyboard.press("g")
    expect(page.get_by_role("heading", level=1)).to_have_text("Graph")
    page.get_by_label("Trace id, entity, policy or actor").fill("r1")
    page.get_by_role("button", name="Find", exact=True).click()
    page.locator(".starts.one a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Around trace r1")
    expect(page.locator("a.n")).to_have_count(5)

    # a click selects and says what it is, without leaving
    page.evaluate("window.same = true")
    node(page, "exception ex-r1").click()
    expect(page.locator("#node")).to_contain_text("ex-r1")
    expect(page.locator("a.n.sel")).to_have_attribute("aria-current", "true")
    expect(page.locator(".edge.hot")).to_have_count(1)
    assert "at=" in page.url

    # expanding shows who granted it
    page.get_by_role("link", name="Expand").click()
    expect(node(page, "person rita")).to_be_visible()
    assert "open=" in page.url

    # the same link, opened cold by a second person, is the same picture
    address, drawn = page.url, page.locator("svg[data-picture] .lines").inner_html()
    second = visit(viewport={"width": 1440, "height": 1000}).known_as(investigated.vera.email).page
    second.goto(address)
    expect(node(second, "person rita")).to_be_visible()
    expect(second.locator("#node")).to_contain_text("ex-r1")
    assert second.locator("a.n").evaluate_all("all => all.map(a => a.getAttribute('aria-label'))") == page.locator(
        "a.n"
    ).evaluate_all("all => all.map(a => a.getAttribute('aria-label'))")
    assert second.locator("svg[data-picture] .lines path").count() == drawn.count("<path")

    # the shortest way, then back without it
    node(page, "person rita").click()
    expect(page.locator("#node")).to_contain_text("rita")
    way = page.get_by_role("link", name="Way from the centre")
    expect(way).to_have_attribute("href", re.compile("rita"))  # the panel is hers, it named her before
    way.click()
    expect(page.locator(".way-line")).to_contain_text("Shortest way, 2 links")
    expect(page.locator(".edge.way")).to_have_count(2)
    assert page.evaluate("window.same"), "nothing of this loaded a new page"
    page.go_back()
    expect(page.locator(".way-line")).to_have_count(0)

    # and from there into the event that says it
    page.goto(address)
    page.locator("#node .said a", has_text="Approved").first.click()
    expect(page).to_have_url(f"{page.url.split('/t/')[0]}/t/{investigated.acme.slug}/traces/r1?event=3")


def test_time_types_and_keyboard(visit: Any, investigated: Cast) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}).known_as(investigated.bob.email).page
    page.goto(f"/t/{investigated.acme.slug}/graph?node=trace:r1&depth=2")
    everything = page.locator("a.n").count()
    slider = page.get_by_label("As of event the graph as it was then")
    slider.focus()
    slider.press("Home")
    expect(page.get_by_role("link", name="Back to now")).to_be_visible()
    expect(page.locator("a.n")).to_have_count(3)
    assert "as_of=1" in page.url
    page.get_by_role("link", name="Back to now").click()
    expect(page.locator("a.n")).to_have_count(everything)

    page.get_by_title("Leave out policies").click()
    expect(node(page, "policy")).to_have_count(0)
    assert "node_types=" in page.url
    page.get_by_role("link", name="Show all types").click()
    expect(node(page, "policy")).to_have_count(1)

    # one stop by Tab; arrows walk from node to node, plus and minus zoom, arrows on the picture move it
    centre = page.locator("a.n.c")
    centre.focus()
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "success r1, " not in focused
    page.keyboard.press("Enter")
    expect(page.locator("#node .meta").first).to_have_text("selected")
    assert page.locator("a.n[tabindex='0']").count() == 1
    before = view_box(page)
    page.keyboard.press("+")
    assert view_box(page)[2] < before[2]
    page.keyboard.press("0")
    whole = view_box(page)
    assert whole[:2] == [0, 0]
    page.locator("svg[data-picture]").focus()
    page.keyboard.press("ArrowRight")
    assert view_box(page)[0] > whole[0]
    page.keyboard.press("-")
    assert view_box(page)[2] > whole[2]

    # e on a node expands it where it stands
    page.goto(f"/t/{investigated.acme.slug}/graph?node=trace:r1")
    node(page, "exception ex-r1").focus()
    page.keyboard.press("e")
    expect(node(page, "person rita")).to_be_visible()


def test_wheel_drag_and_buttons(visit: Any, investigated: Cast) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}).known_as(investigated.bob.email).page
    page.goto(f"/t/{investigated.acme.slug}/graph?node=trace:r1&depth=2")
    picture = page.locator("svg[data-picture]")
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    start = view_box(page)
    page.mouse.wheel(0, -200)
    page.wait_for_function(
        "w => Number(document.querySelector('svg[data-picture]').getAttribute('viewBox').split(' ')[2]) < w",
        arg=start[2],
    )
    zoomed = view_box(page)
    page.mouse.down()
    page.mouse.move(box["x"] + 65, box["y"] + 45, steps=4)
    page.mouse.up()
    moved = view_box(page)
    assert moved[0] < zoomed[0]
    assert moved[1] < zoomed[1]
    page.get_by_role("button", name="All", exact=True).click()
    assert view_box(page)[:2] == [0, 0]
    page.get_by_role("button", name="Zoom in").click()
    assert view_box(page)[2] < start[2]


def test_files(visit: Any, investigated: Cast, tmp_path: Path) -> None:
    page = visit(viewport={"width": 1440, "height": 1000}, color_scheme="dark").known_as(investigated.bob.email).page
    page.goto(f"/t/{investigated.acme.slug}/graph?node=trace:r1&depth=2")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as found:
        page.get_by_role("menuitem", name="SVG").click()
    found.value.save_as(tmp_path / "graph.svg")
    drawn = (tmp_path / "graph.svg").read_text()
    assert found.value.suggested_filename == "trace-r1.svg"
    assert "person" in drawn
    assert "#1c1b18" in drawn, "in the theme one looks at"
    if not page.get_by_role("menuitem", name="PNG").is_visible():
        page.get_by_role("button", name="Export").click()
    with page.expect_download() as found:
        page.get_by_role("menuitem", name="PNG").click()
    found.value.save_as(tmp_path / "graph.png")
    image = (tmp_path / "graph.png").read_bytes()
    assert found.value.suggested_filename == "trace-r1.png"
    assert image.startswith(b"\x89PNG")
    assert len(image) > 10_000, "and something is on it"
