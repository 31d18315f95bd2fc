"""Every page, both themes: no serious finding of axe, no policy violation, no sideways scroll on a small phone."""

from __future__ import annotations

import time
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
    "trace": "traces/a-0",
    "live": "live",
    "projections": "projections",
    "refusals": "refusals",
    "replays": "replays",
    "rebuild form": "replays?projection=all&mode=rebuild#start",
    "replay with differences": "replays/{replay}",
    "members": "settings/members",
    "tokens": "settings/tokens",
    "audit": "settings/audit",
    "not found": "traces/there-is-none",
}
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
    until(lambda: _cursors(cast) == [head] * 4, "projections are at the head")
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


def findings(page: Page) -> list[str]:
    """Serious findings of axe, in words."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {', '.join(node['html'][:120] for node in each['nodes'][:3])}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page(visit: Any, cast: Cast, addresses: dict[str, str], theme: str) -> None:
    window = visit(color_scheme=theme, viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    guest = visit(color_scheme=theme, viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    window.sign_in(cast.alice.email)
    wrong: dict[str, list[str]] = {}
    for name, path in addresses.items():
        page = (guest if name in OUTSIDE else window).page
        page.set_viewport_size({"width": 1440, "height": 1000})
        page.goto(path)
        expect(page.locator("main h1").first).to_be_visible()
        settle(page)
        said = findings(page)
        page.set_viewport_size({"width": 360, "height": 780})
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            said.append(f"{wide} px too wide at 360 px")
        if theme == "light":  # colours do not change with the width
            said += [f"at 360 px: {each}" for each in findings(page)]
        if said:
            wrong[name] = said
    assert wrong == {}


def settle(page: Page) -> None:
    """What a page asks for by itself has come."""
    end = time.monotonic() + 5
    while page.locator(".skel").count() and "/patterns" not in page.url and time.monotonic() < end:
        page.wait_for_timeout(50)


def test_dialogs_and_menus(visit: Any, cast: Cast, addresses: dict[str, str]) -> None:
    """Open, reachable by keyboard, and as clean as the pages."""
    page = visit(viewport={"width": 1100, "height": 900}).sign_in(cast.alice.email).page
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
    window = visit().sign_in(cast.alice.email)
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
