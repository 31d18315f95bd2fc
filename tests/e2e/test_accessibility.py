"""Every page, both themes: no serious finding of axe, no policy violation, no sideways scroll on a small phone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection
from playwright.sync_api import Page, expect

from decisiongraph.core.db import tenant_tx
from replays import selectors
from replays import services as replays
from tenants import services as people
from tests.e2e.product import until
from tests.factories import Cast, make_token
from tests.projections.desk import interleaved
from traces import selectors as log
from traces import services

pytestmark = [pytest.mark.django_db, pytest.mark.browser]

PAGES = {
    "overview": "",
    "overview of a day": "?range=24h",
    "traces": "traces",
    "a search that is not understood": "traces?q=outcom:failure",
    "trace": "traces/a-0",
    "trace as of an event": "traces/a-0?as_of=2",
    "difference of two events": "traces/a-0?event=3&tab=diff&other=1",
    "compare": "compare?left=a-0&right=a-1",
    "compare, to be chosen": "compare?left=a-0",
    "graph": "graph?node=trace:a-0&depth=2&to=policy:cap:0",
    "graph as a list": "graph?node=trace:a-0&view=list",
    "graph, to be chosen": "graph",
    "precedents": "precedents",
    "precedents of a trace": "precedents?trace=a-0",
    "inconsistencies": "precedents?view=radar",
    "live": "live",
    "projections": "projections",
    "refusals": "refusals",
    "replays": "replays",
    "rebuild form": "replays?projection=all&mode=rebuild#start",
    "replay with differences": "replays/{replay}",
    "your sign-in": "settings/you",
    "members": "settings/members",
    "tokens": "settings/tokens",
    "audit": "settings/audit",
    "not found": "traces/there-is-none",
}
AXE: str = Axe().axe_script
OUTSIDE = {"sign in": "/signin", "join": "{join}", "patterns": "/patterns", "nowhere": "/nowhere"}


@pytest.fixture
def addresses(cast: Cast, product: Any) -> dict[str, str]:
    """A tenant with something on every page, and where the pages are."""
    principal = cast.principal(cast.alice)
    services.append(cast.acme, principal=principal, events=interleaved(12, prefix="a"))
    broken = [{**interleaved(1, prefix="z")[0], "payload": {}}]
    services.append(cast.acme, principal=principal, events=broken, atomic=False)
    make_token(cast.acme, "ingest", name="refund agent <b>\u202e")
    _, link = people.invite_member(
        cast.acme, principal=principal, email=f"i-{cast.acme.slug}@example.org", role="viewer"
    )
    head = log.head(cast.acme)
    until(lambda: min(_cursors(cast)) >= head, "projections are at the head")
    with tenant_tx(cast.acme), connection.cursor() as cursor:
        cursor.execute("UPDATE projections_tracesummary SET outcome = 'tampered' WHERE tenant_id = %s", [cast.acme.pk])
    row = replays.start_replay(
        cast.acme, principal=principal, projection="trace_summary", mode="verify", reason="a look"
    )
    until(lambda: selectors.replay(cast.acme, str(row.pk)).row.verdict, "the verdict")
    inside = {name: f"/t/{cast.acme.slug}/{path}".format(replay=row.pk) for name, path in PAGES.items()}
    return inside | {name: path.format(join=f"/join/{link}") for name, path in OUTSIDE.items()}


def _cursors(cast: Cast) -> list[int]:
    from projections.selectors import observations

    return [item.seen.cursor for item in observations(cast.acme)]


COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules of axe that look at colours: of one document, only their answer depends on the theme."""


AT_REST = """() => Promise.allSettled(document.getAnimations()
    .filter((each) => each.effect.getComputedTiming().endTime !== Infinity).map((each) => each.finished))"""


def findings(page: Page, *rules: str) -> list[str]:
    """Serious findings of axe (of these rules, or of all), in words, once nothing moves: what fades in
    has half its colours."""
    page.evaluate(AT_REST)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return [
        f"{each['id']}: {each['help']}: {', '.join(node['html'][:120] for node in each['nodes'][:3])}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def in_both_themes(page: Page) -> list[str]:
    """Serious findings of axe in the light, and what the dark changes: the colours of the same document."""
    said = findings(page)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    said += [f"in the dark: {each}" for each in findings(page, *COLOURS)]
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return said


def settle(page: Page) -> None:
    """What a page asks for by itself has come; what it asks for when one scrolls there is not waited for."""
    if "/patterns" not in page.url:
        page.wait_for_function(SETTLED, timeout=30_000)


SETTLED = """() => [...document.querySelectorAll('.skel')].every((bar) => {
  const panel = bar.closest("[hx-trigger^='intersect']");
  return panel !== null && panel.getBoundingClientRect().top >= innerHeight;
})"""


def look_through(pages: Mapping[str, tuple[Page, str]]) -> dict[str, list[str]]:
    """What is wrong with pages, by name: in both themes, and on a small phone."""
    wrong: dict[str, list[str]] = {}
    for name, (page, path) in pages.items():
        page.set_viewport_size({"width": 1440, "height": 1000})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(path)
        expect(page.locator("main h1").first).to_be_visible()
        settle(page)
        said = in_both_themes(page)
        page.set_viewport_size({"width": 360, "height": 780})
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            said.append(f"{wide} px too wide at 360 px")
        said += [f"at 360 px: {each}" for each in findings(page)]
        if said:
            wrong[name] = said
    return wrong


def test_every_page(visit: Any, cast: Cast, addresses: dict[str, str]) -> None:
    window, guest = visit().known_as(cast.alice.email), visit()
    pages = {name: ((guest if name in OUTSIDE else window).page, path) for name, path in addresses.items()}
    assert look_through(pages) == {}


def test_the_look_sees_what_is_wrong(visit: Any, product: Any) -> None:
    """The control: a heading that the dark swallows and that is too long for a phone."""
    page = visit().page
    page.route("**/static/css/picture.css*", lambda route: route.fulfill(body=SPOILT, content_type="text/css"))
    said = look_through({"sign in": (page, "/signin")})["sign in"]
    assert [each.split(":")[1] for each in said if each.startswith("in the dark")] == [" color-contrast"]
    assert [each for each in said if each.endswith("px too wide at 360 px")]
    assert not [each for each in said if each.startswith("color-contrast")]


def test_a_window_complains_of_what_the_policy_forbids(visit: Any, product: Any) -> None:
    """The control of every browser test: `visit` fails when one of its windows has seen this."""
    window = visit()
    window.page.goto("/signin")
    assert window.complaints == []
    with window.page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        window.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), { textContent: '1' }))"
        )
    assert len(window.complaints) == 1
    window.complaints.clear()


SPOILT = """
@media (prefers-color-scheme: dark) { main h1 { color: #2a2926 !important; background: #1c1b18 !important; } }
main h1 { min-width: 800px; }
"""


def test_dialogs_and_menus(visit: Any, cast: Cast, addresses: dict[str, str]) -> None:
    """Open, reachable by keyboard, and as clean as the pages."""
    page = visit(viewport={"width": 1100, "height": 900}).known_as(cast.alice.email).page
    wrong: dict[str, list[str]] = {}
    page.goto(addresses["members"])
    page.get_by_role("button", name="Role of").first.click()
    expect(page.locator("dialog[open]")).to_be_visible()
    wrong["role"] = findings(page)
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.get_by_role("button", name="More actions for").first.click()
    expect(page.get_by_role("menuitem").first).to_be_focused()
    wrong["menu"] = findings(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_contain_text("End sessions")
    wrong["end sessions"] = findings(page)
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.get_by_role("button", name="More actions for").first.click()
    expect(page.get_by_role("menuitem").first).to_be_focused()  # a key before that goes to the page
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Deactivate").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_contain_text("Deactivate")
    page.goto(addresses["replay with differences"])
    page.get_by_role("button", name="Promote anyway").click()
    expect(page.get_by_role("button", name="Promote", exact=True)).to_be_disabled()
    wrong["promote"] = findings(page)
    page.get_by_label("Reason").fill("The log is right")
    page.get_by_label("Type trace_summary to confirm").fill("trace_summary")
    page.get_by_role("button", name="Promote", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Mismatch", timeout=40_000)
    expect(page.locator("#rp-one")).to_contain_text("promoted by an admin")
    assert {name: said for name, said in wrong.items() if said} == {}


def test_the_invitation_is_shown_once_and_a_refusal_is_a_toast(
    visit: Any, cast: Cast, addresses: dict[str, str]
) -> None:
    window = visit().known_as(cast.alice.email)
    page = window.page
    page.goto(addresses["members"])
    page.get_by_label("E-mail").fill(cast.bob.email)
    page.get_by_role("button", name="Make the link").click()
    expect(page.locator("#toasts")).to_contain_text("is a member already")
    window.complaints.clear()  # htmx writes the refusal into the console as well
    page.get_by_label("E-mail").fill(f"fresh-{cast.acme.slug}@example.org")
    page.get_by_role("button", name="Make the link").click()
    expect(page.locator("#link code")).to_contain_text("/join/")
    page.reload()
    expect(page.locator("#link")).to_have_count(0)
