"""The settings with something in them: checkpoints, an erasure on its way, sessions, a second factor; and its door."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from replays import selectors as erasures
from replays import services as replays
from tenants import services as people
from tests.e2e.product import until
from tests.e2e.test_accessibility import in_both_themes, look_through
from tests.factories import PASSWORD, Cast, UserFactory
from tests.projections.desk import interleaved
from tests.tenants.test_second_factor import code_of, enrol
from traces import selectors as log
from traces import services

pytestmark = [pytest.mark.django_db, pytest.mark.browser]

EVERY_COLUMN = "outcome,workflow,entity,policy,actors,waiting,actions,summary,events,duration,started,last"


def test_every_page_with_something_on_it(visit: Any, cast: Cast, product: Any) -> None:
    alice, base = cast.principal(cast.alice), f"/t/{cast.acme.slug}"
    ada = UserFactory(first="ada", tenant=cast.acme, role="admin")
    services.append(cast.acme, principal=alice, events=interleaved(4, prefix="a"))
    until(lambda: log.seal_state(cast.acme).checkpoint, "a checkpoint")
    row = replays.ask_erasure(cast.acme, principal=alice, trace_id="a-0", reason="Request <b>\u202e118")
    until(lambda: erasures.erasure(cast.acme, str(row.pk)).status == "waiting", "a second person is waited for")
    enrol(ada)
    people.start_factor(cast.alice)
    first, second = visit().known_as(cast.alice.email).page, visit().page
    second.goto("/signin")
    second.get_by_label("E-mail").fill(ada.email)
    second.get_by_label("Password").fill(PASSWORD)
    second.get_by_role("button", name="Sign in").click()
    second.wait_for_url("**/signin/code")
    wrong = look_through({"code": (second, "/signin/code")})
    second.get_by_role("textbox", name="Code").fill(code_of(ada))
    second.get_by_role("button", name="Go on").click()
    second.wait_for_url("**/t/**")
    visit().known_as(ada.email)
    wrong |= look_through(
        {
            "log": (first, f"{base}/settings/log"),
            "a factor to be set up": (first, f"{base}/settings/you"),
            "a factor and two browsers": (second, f"{base}/settings/you"),
            "erasure to confirm": (second, f"{base}/settings/erasures"),
        }
    )
    page = second
    current = page.locator(".hero nav[aria-label=Settings] [aria-current]")
    expect(current).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1440, "height": 1000})
    expect(page.get_by_role("link", name="a-0")).to_be_visible()
    page.get_by_role("button", name="Erase for good").click()
    erase = page.get_by_role("button", name="Erase", exact=True)
    expect(erase).to_be_disabled()
    wrong |= {"confirm": said} if (said := in_both_themes(page)) else {}
    page.get_by_label("Type erase to confirm").fill("erase")
    erase.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 erasure completed")
    wrong |= {"completed": said} if (said := in_both_themes(page)) else {}
    assert wrong == {}


def test_a_list_with_every_column_fits_a_desk(visit: Any, cast: Cast, product: Any) -> None:
    services.append(cast.acme, principal=cast.principal(cast.alice), events=interleaved(4, prefix="a"))
    page = visit(viewport={"width": 1440, "height": 900}).known_as(cast.vera.email).page
    until(lambda: _rows(page, f"/t/{cast.acme.slug}/traces?columns={EVERY_COLUMN}") == 4, "four rows")
    for path, widths in (("traces", (1440, 1181, 1000, 721)), (f"traces?columns={EVERY_COLUMN}", (1440,))):
        page.goto(f"/t/{cast.acme.slug}/{path}")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            beyond = page.evaluate("(each => each.scrollWidth - each.clientWidth)(document.querySelector('.lists'))")
            assert beyond <= 0, (path, width)


def _rows(page: Any, path: str) -> int:
    page.goto(path)
    return int(page.locator("tbody tr").count())
