"""What the search bar offers: names of filters, then values of the latest and of older traces."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from django.test import Client

from projections.selectors import completion
from tests.factories import Cast, make_cast
from tests.projections.test_traces_page import address, append, decision, show

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def offered(client: Client, cast: Cast, text: str) -> list[tuple[str, str]]:
    page = show(client, address(cast, urlencode({"part": "complete", "q": text})))
    found = re.findall(r'data-text="([^"]*)"[^>]*><b>([^<]*)</b>', page)
    return [(html.unescape(text), html.unescape(label)) for text, label in found]


def test_the_bar_completes_names_then_values(cast: Cast) -> None:
    append(
        cast,
        *decision("one", workflow="loan review", policy="dti", actor="eve"),
        *decision("two", entity="K2"),
        *decision("three"),
    )
    vera = cast.browser(cast.vera)
    assert [label for _, label in offered(vera, cast, "")][:3] == ["workflow:", "outcome:", "status:"]
    assert offered(vera, cast, "refund pol") == [("refund policy:", "policy:")]
    assert offered(vera, cast, "policy:d") == [("policy:dti ", "dti"), ("policy:dti@3 ", "dti@3")]
    assert offered(vera, cast, "x workflow:") == [
        ("x workflow:refund ", "refund"),
        ('x workflow:"loan review" ', "loan review"),
    ]
    assert offered(vera, cast, 'workflow:"lo') == [('workflow:"loan review" ', "loan review")]
    assert offered(vera, cast, "entity:b") == [("entity:booking/", "booking/")]
    assert offered(vera, cast, "entity:booking/") == [
        ("entity:booking/K1 ", "booking/K1"),
        ("entity:booking/K2 ", "booking/K2"),
    ]
    assert ("actor:agent/eve ", "agent/eve") in offered(vera, cast, "actor:agent/")
    assert [label for _, label in offered(vera, cast, "outcome:f")] == ["failure"]
    assert len(offered(vera, cast, "after:")) == 5
    assert offered(vera, cast, '"in quotes') == []
    assert offered(vera, cast, "zzz") == []
    assert cast.browser(cast.mallory).get(address(cast, "part=complete&q=workflow:")).status_code == 404


def test_the_bar_completes_values_of_older_traces_too(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow that the latest traces do not have can still be chosen by keyboard."""
    monkeypatch.setattr(completion, "RECENT", 1)
    append(
        cast,
        *decision("one", workflow="loan review", policy="dti", actor="eve", entity="Z9"),
        *decision("two"),
        *decision("three"),
    )
    vera = cast.browser(cast.vera)
    assert offered(vera, cast, "workflow:") == [
        ("workflow:refund ", "refund"),
        ('workflow:"loan review" ', "loan review"),
    ]
    assert offered(vera, cast, "workflow:lo") == [('workflow:"loan review" ', "loan review")]
    assert offered(vera, cast, "policy:dti@") == [("policy:dti@3 ", "dti@3")]
    assert offered(vera, cast, "actor:agent/e") == [("actor:agent/eve ", "agent/eve")]
    assert ("entity:booking/Z9 ", "booking/Z9") in offered(vera, cast, "entity:booking/")
    assert offered(vera, cast, "entity:booking/z9") == [("entity:booking/Z9 ", "booking/Z9")]
    assert offered(vera, cast, "workflow:x") == []
