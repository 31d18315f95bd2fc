"""Reading the console's pages in tests, without a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tenants.access import system_principal
from tenants.models import Tenant, User
from tests.factories import UserFactory
from tests.projections.desk import Desk


def browser(tenant: Tenant, role: str) -> Client:
    """The signed-in browser of somebody with this role."""
    user: User = UserFactory(first=role, tenant=tenant, role=role)
    client = Client(headers={"Accept": "text/html"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def text(answer: Any) -> str:
    """What a person reads: no tags, single spaces."""
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", answer.content.decode(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


class _Find(HTMLParser):
    def __init__(self, ident: str) -> None:
        super().__init__(convert_charrefs=False)
        self.ident = ident
        self.depth = 0
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self.depth and dict(attrs).get("id") != self.ident:
            return
        if tag not in VOID:
            self.depth += 1
        self.parts.append(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.depth:
            self.parts.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if self.depth and tag not in VOID:
            self.depth -= 1
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")


VOID = frozenset(("input", "img", "br", "hr", "meta", "link", "source"))
MOVING = re.compile(
    r"(<time[^>]*>)[^<]*|\b\d[\d.,]* (?:ms|s|min) ago\b|\bjust now\b"
    r"|datetime=\"[^\"]*\"|title=\"[^\"]*UTC\"|csrfmiddlewaretoken\" value=\"\w+\""
)


def element(answer: Any, ident: str) -> str:
    """The element with this id, without what changes with every second."""
    found = _Find(ident)
    found.feed(answer.content.decode())
    assert found.parts, f"no element with the id {ident}"
    return " ".join(MOVING.sub(r"\1", "".join(found.parts)).split())


def queries(client: Client, path: str) -> int:
    """How many statements a page costs when everything is warm."""
    assert client.get(path).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


class Shop(Desk):
    """A desk with people: the browsers of every role, and of a stranger."""

    def __init__(self) -> None:
        super().__init__()
        self.principal = system_principal(self.tenant)
        self.viewer = browser(self.tenant, "viewer")
        self.operator = browser(self.tenant, "operator")
        self.admin = browser(self.tenant, "admin")
        self.stranger = browser(Desk().tenant, "admin")
        self.base = f"/t/{self.tenant.slug}"
