"""The page of the API, in a real browser under the strict content policy."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.django_db, pytest.mark.browser]


def test_the_operations_are_shown(visit: Any) -> None:
    """Every operation, with an example; the browser refuses nothing."""
    window = visit()
    window.page.goto("/api/v1/docs")
    expect(window.page.get_by_text("Append up to 500 events")).to_be_visible()
    expect(window.page.locator(".opblock")).not_to_have_count(0)
    window.page.get_by_text("Append one event").click()
    expect(window.page.get_by_role("tabpanel").get_by_text("TraceStarted").first).to_be_visible()
    assert window.complaints == []
