"""A live part of a page asks for itself: its answer listens to the same topics at the same address."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from tests.factories import make_cast
from tests.house.test_crawl import ROUTES, Acme, address, fill

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def acme(django_db_setup: None, django_db_blocker: pytest.Blocker) -> Iterator[Acme]:
    """A tenant with one of everything."""
    with django_db_blocker.unblock():
        yield fill(make_cast(), f"canary{uuid.uuid4().hex[:12]}")


class Regions(HTMLParser):
    """The live parts of a page that replace themselves, by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if given.get("data-live") and not given.get("hx-swap", "").startswith(("innerHTML", "none")):
            assert given.get("id"), given
            assert "live" in given.get("hx-trigger", "").replace(",", " ").split(), given
            self.found[given["id"]] = {name: given.get(name, "") for name in ("data-live", "hx-get", "hx-swap")}


def regions(client: Client, path: str, **headers: str) -> dict[str, dict[str, str]]:
    """Of one page; none where the address is no page."""
    answer: Any = client.get(path, headers=headers)
    page = answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html") and not answer.streaming
    return Regions(answer.content.decode()).found if page else {}


def test_a_live_part_goes_on_as_it_began(acme: Acme) -> None:
    client, wrong, seen = acme.cast.browser(acme.cast.alice), [], set()
    for route in ROUTES:
        if not route.startswith("t/"):
            continue
        path = address(route, acme.ids)
        for ident, first in regions(client, path).items():
            seen.add(ident)
            then = regions(client, first["hx-get"], **{"HX-Request": "true"}).get(ident)
            if then != first:
                wrong.append((route, ident, first, then))
    assert wrong == []
    assert {"it-head", "it-side", "ib-list", "ib-pane"} <= seen
    assert len(seen) > 20, seen
