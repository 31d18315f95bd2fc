"""Signing in, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.factories import Cast

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
