"""A running product and a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tenants.models import User
from tests.e2e.product import Product
from tests.factories import PASSWORD, Cast, make_cast
from tests.run import installed, playwrights_own

# Playwright's synchronous interface runs an event loop in this thread; Django would take every
# query of a test for one made inside a coroutine.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=60_000)


@pytest.fixture(scope="package")
def product(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The whole product on this worker's database.

    For this folder only: while it runs, its workers fold and replay whatever other tests write.
    """
    running = Product(tmp_path_factory.mktemp("product"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="package")
def browser(product: Product) -> Iterator[Browser]:
    """A headless browser.

    For this folder only, after its tests without a product: while it is open, its event loop counts as
    running in this thread, and coroutine tests could not run.
    """
    found = os.environ.get("DG_BROWSER") or installed() or playwrights_own()
    if not found:
        pytest.skip("no browser is installed; `make test` installs one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, headless=True, args=FLAGS)
        yield started
        started.close()


# Answers that a test asks for, and what leaving a page cuts off; htmx names every failure twice, the
# second time by its kind (htmx:sendError, htmx:swapError, htmx:timeout ...).
NO_COMPLAINT = ("Failed to load resource", "htmx:sendAbort", "htmx:afterRequest")


class Visitor:
    """A person at a browser window; collects what the browser complains about."""

    def __init__(self, browser: Browser, product: Product, **context: Any) -> None:
        self.product = product
        self.context: BrowserContext = browser.new_context(base_url=product.address, **context)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(NO_COMPLAINT):
            self.complaints.append(message.text)

    def known_as(self, email: str) -> Visitor:
        """Signed in already, no page open yet: the form and its slow hash are for the tests of signing in."""
        session = Client()
        session.force_login(User.objects.get(email=email), backend="django.contrib.auth.backends.ModelBackend")
        name = settings.SESSION_COOKIE_NAME
        self.context.add_cookies([{"name": name, "value": session.cookies[name].value, "url": self.product.address}])
        return self

    def sign_in(self, email: str) -> Visitor:
        """Through the real form, to the Overview."""
        self.page.goto("/signin")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.locator("main")).to_be_visible()
        return self


@pytest.fixture
def visit(browser: Browser, product: Product) -> Iterator[Any]:
    """Opens windows; fails when one of them saw a script error or a policy violation."""
    open_windows: list[Visitor] = []

    def arrive(**context: Any) -> Visitor:
        visitor = Visitor(browser, product, **context)
        open_windows.append(visitor)
        return visitor

    yield arrive
    complaints = [text for visitor in open_windows for text in visitor.complaints]
    for visitor in open_windows:
        visitor.context.close()
    assert complaints == []


@pytest.fixture
def cast(db: None) -> Cast:
    """Two tenants and their people."""
    return make_cast()
