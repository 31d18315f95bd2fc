"""Who may open a socket, from which page, and how long that holds (TRUST D2)."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from decisiongraph.core import clock
from decisiongraph.core.errors import Problem
from tenants import services
from tenants.access import (
    NOT_A_MEMBER,
    UNAUTHENTICATED,
    Visitor,
    authenticate_socket,
    own_origin,
    still_allowed,
    system_principal,
    visitor_still_allowed,
)
from tests.factories import Cast, make_token

pytestmark = [pytest.mark.django_db, pytest.mark.trust("D2")]

OURS = "http://localhost:8000"


def scope(query: str = "", **headers: str) -> dict[str, Any]:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "websocket", "headers": pairs, "query_string": query.encode()}


def cookie_of(cast: Cast, user: Any) -> str:
    return f"theme=dark; dg_session={cast.browser(user).session.session_key}"


def code_of(refused: dict[str, Any]) -> str:
    with pytest.raises(Problem) as caught:
        authenticate_socket(refused)
    return caught.value.code


@pytest.fixture(autouse=True)
def own_pages(settings: Any) -> None:
    settings.PUBLIC_URL = OURS
    settings.CSRF_TRUSTED_ORIGINS = [OURS, "https://console.example.org"]


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        (OURS, True),
        ("http://LOCALHOST:8000", True),
        ("https://console.example.org", True),
        ("https://console.example.org:443", True),
        ("http://console.example.org", False),
        ("https://console.example.org:8443", False),
        ("http://localhost", False),
        ("http://localhost:8001", False),
        ("https://localhost:8000", False),
        ("https://console.example.org.evil.example", False),
        ("https://evil.example/https://console.example.org", False),
        ("https://user@console.example.org", False),
        ("null", False),
        ("", False),
        ("http://localhost:port", False),
        ("http://[::1", False),
        ("ws://localhost:8000", False),
    ],
)
def test_origin_means_scheme_host_and_port(origin: str, ours: bool) -> None:
    assert own_origin(origin) is ours


def test_a_session_opens_from_our_own_page_only(cast: Cast) -> None:
    cookie = cookie_of(cast, cast.vera)
    visitor = authenticate_socket(scope(cookie=cookie, origin=OURS))
    assert visitor.user == cast.vera
    for foreign in ("http://localhost:9999", "https://evil.example", "null"):
        assert code_of(scope(cookie=cookie, origin=foreign)) == "auth.origin_refused"
    assert code_of(scope(cookie=cookie)) == "auth.origin_refused"


@pytest.mark.parametrize("cookie", ["", "dg_session=nothing", "dg_session=", "dg_session=\x00", '"; =;;', "x" * 5000])
def test_without_a_session_nobody_comes_in(db: None, cookie: str) -> None:
    assert code_of(scope(cookie=cookie, origin=OURS)) == "auth.required"


def test_a_token_opens_without_an_origin_and_only_its_tenant(cast: Cast) -> None:
    token, text = make_token(cast.acme, "read")
    visitor = authenticate_socket(scope(authorization=f"Bearer {text}"))
    tenant, principal = visitor.enter(cast.acme.slug)
    assert (tenant, principal.token_id) == (cast.acme, token.pk)
    with pytest.raises(Problem, match="no tenant"):
        visitor.enter(cast.globex.slug)
    assert code_of(scope(authorization="Bearer dg_abcd1234_" + "a" * 43)) == "auth.token_unknown"
    assert code_of(scope(authorization="Basic YTpi")) == "auth.required"


def test_a_person_enters_their_tenants_one_by_one(cast: Cast) -> None:
    services.add_member(cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="admin")
    visitor = authenticate_socket(scope(cookie=cookie_of(cast, cast.vera), origin=OURS))
    assert visitor.enter(cast.acme.slug)[1].permissions == {"read"}
    assert visitor.enter(cast.globex.slug)[1].may("admin")
    stranger = authenticate_socket(scope(cookie=cookie_of(cast, cast.mallory), origin=OURS))
    with pytest.raises(Problem, match="no tenant"):
        stranger.enter(cast.acme.slug)
    with pytest.raises(Problem, match="no tenant"):
        Visitor().enter(cast.acme.slug)


def ticket(cast: Cast, *scopes: str) -> str:
    answer = cast.program(*scopes).post("/api/v1/socket-tickets")
    assert answer.status_code == 201
    return str(answer.json()["ticket"])


def test_a_ticket_opens_one_socket_once(cast: Cast) -> None:
    text = ticket(cast, "read")
    visitor = authenticate_socket(scope(f"ticket={text}"))
    assert visitor.enter(cast.acme.slug)[1].permissions == {"read"}
    assert code_of(scope(f"ticket={text}")) == "auth.ticket_invalid"


def test_a_ticket_of_a_person(cast: Cast) -> None:
    text, _ends = services.issue_ticket(cast.acme, principal=cast.principal(cast.vera))
    visitor = authenticate_socket(scope(f"ticket={text}"))
    assert visitor.enter(cast.acme.slug)[1].ident == f"user:{cast.vera.email}"
    late, _ends = services.issue_ticket(cast.acme, principal=cast.principal(cast.vera))
    services.deactivate_member(cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.vera).pk)
    assert code_of(scope(f"ticket={late}")) == "auth.required"


def test_a_ticket_lives_a_minute(cast: Cast, monkeypatch: Any) -> None:
    text = ticket(cast, "read")
    later = clock.now() + timedelta(seconds=61)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert code_of(scope(f"ticket={text}")) == "auth.ticket_invalid"


def test_a_ticket_dies_with_its_token(cast: Cast) -> None:
    token, text = make_token(cast.acme, "read")
    from django.test import Client

    made = Client(headers={"Authorization": f"Bearer {text}"}).post("/api/v1/socket-tickets").json()["ticket"]
    services.revoke_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
    assert code_of(scope(f"ticket={made}")) == "auth.token_revoked"


@pytest.mark.parametrize("text", ["x", "a:b:c", "", "W10:1:2", "%00", "é"])
def test_invented_tickets_are_refused(db: None, text: str) -> None:
    with pytest.raises(Problem) as caught:
        authenticate_socket(scope(f"ticket={text}"))
    assert caught.value.status == 401


def test_an_ingest_token_gets_no_ticket(cast: Cast) -> None:
    assert cast.program("ingest").post("/api/v1/socket-tickets").status_code == 403


def test_an_open_socket_of_a_token_ends_with_the_token(cast: Cast, monkeypatch: Any) -> None:
    token, text = make_token(cast.acme, "read")
    visitor = authenticate_socket(scope(authorization=f"Bearer {text}"))
    _tenant, principal = visitor.enter(cast.acme.slug)
    assert still_allowed(principal) is None
    assert visitor_still_allowed(visitor) is None
    services.revoke_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
    assert still_allowed(principal) == UNAUTHENTICATED
    assert visitor_still_allowed(visitor) == UNAUTHENTICATED


def test_an_open_socket_of_an_expired_token_ends(cast: Cast, monkeypatch: Any) -> None:
    _token, text = services.create_token(
        cast.acme,
        principal=system_principal(cast.acme),
        name="short",
        scopes=["read"],
        expires_at=clock.now() + timedelta(hours=1),
    )
    _tenant, principal = authenticate_socket(scope(authorization=f"Bearer {text}")).enter(cast.acme.slug)
    later = clock.now() + timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert still_allowed(principal) == UNAUTHENTICATED


@pytest.mark.parametrize("what", ["deactivated", "elsewhere", "locked", "password", "signed out"])
def test_an_open_socket_of_a_person_ends(cast: Cast, what: str) -> None:
    if what == "elsewhere":
        services.add_member(cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="viewer")
    browser = cast.browser(cast.vera)
    visitor = authenticate_socket(scope(cookie=f"dg_session={browser.session.session_key}", origin=OURS))
    _tenant, principal = visitor.enter(cast.acme.slug)
    assert (still_allowed(principal), visitor_still_allowed(visitor)) == (None, None)
    if what in ("deactivated", "elsewhere"):
        services.deactivate_member(cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.vera).pk)
    elif what == "locked":
        services.set_user_active(cast.vera, principal=system_principal(), active=False)
    elif what == "password":
        services.set_password(cast.vera, "another good password")
    else:
        browser.post("/signout")
    expected = {
        "deactivated": (UNAUTHENTICATED, UNAUTHENTICATED),
        "elsewhere": (NOT_A_MEMBER, None),
        "locked": (UNAUTHENTICATED, UNAUTHENTICATED),
        "password": (UNAUTHENTICATED, UNAUTHENTICATED),
        "signed out": (None, UNAUTHENTICATED),
    }
    assert (still_allowed(principal), visitor_still_allowed(visitor)) == expected[what]


def test_the_matrix(cast: Cast) -> None:
    """Every combination of page, tenant, state and scope; only the one right combination reads."""
    allowed = []
    for origin, own, revoked, scope_name in itertools.product(
        (OURS, "https://evil.example"), (True, False), (True, False), ("read", "ingest")
    ):
        token, text = make_token(cast.acme, scope_name)
        if revoked:
            services.revoke_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
        try:
            visitor = authenticate_socket(scope(authorization=f"Bearer {text}", origin=origin))
            _tenant, principal = visitor.enter((cast.acme if own else cast.globex).slug)
            principal.require("read")
        except Problem:
            continue
        allowed.append((own, revoked, scope_name))
    assert set(allowed) == {(True, False, "read")}
