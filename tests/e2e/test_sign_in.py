"""Signing in, in a real browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from decisiongraph.core import clock
from tenants.models import Session
from tests.factories import PASSWORD, Cast

pytestmark = [pytest.mark.django_db, pytest.mark.browser]


def test_an_operator_signs_in_and_out(visit: Any, cast: Cast) -> None:
    """To the Overview of the one tenant there is, and back."""
    window = visit().sign_in(cast.bob.email)
    expect(window.page).to_have_url(f"{window.product.address}/t/{cast.acme.slug}/")
    expect(window.page.get_by_role("heading", level=1)).to_be_visible()


def test_a_wrong_password_says_so_without_saying_which_part(visit: Any, cast: Cast) -> None:
    """No hint whether the address exists."""
    page = visit().page
    said = []
    for email in (cast.bob.email, "nobody@example.org"):
        page.goto("/signin")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill("not this one")
        page.get_by_role("button", name="Sign in").click()
        said.append(page.get_by_role("alert").inner_text())
    assert said[0] == said[1]


def test_a_stranger_finds_nothing(visit: Any, cast: Cast) -> None:
    """Another tenant's pages do not exist for Mallory."""
    window = visit().sign_in(cast.mallory.email)
    for path in ("", "traces", "projections", "replays", "live", "settings"):
        answer = window.page.goto(f"/t/{cast.acme.slug}/{path}")
        assert answer.status == 404, path
        assert cast.acme.name not in window.page.locator("main").inner_text()


def test_the_question_who_it_is_goes_on_with_what_was_asked(visit: Any, cast: Cast) -> None:
    """The dialog of `static/js/reauth.js`: refused, asked, sent again as it was typed."""
    window = visit().known_as(cast.alice.email)
    Session.objects.filter(user=cast.alice).update(created_at=clock.now() - timedelta(minutes=20))
    page = window.page
    page.goto(f"/t/{cast.acme.slug}/settings/tokens")
    page.get_by_label("What for").fill("typed once")
    page.get_by_role("button", name="Create the token").click()
    dialog = page.get_by_role("dialog", name="Is it you?")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="It is me, go on").click()
    expect(page.locator("#secret")).to_contain_text("typed once")
    expect(page.locator("#reauth input")).to_have_count(0)
    window.complaints.clear()  # htmx writes the refusal into the console as well
