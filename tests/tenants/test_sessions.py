"""Sessions: seen and ended by their person, ended by age and idleness; asked again before what is final."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from approvals.services import open_item
from decisiongraph.core import clock
from tenants import selectors, services
from tenants.access import system_principal
from tenants.access.sockets import UNAUTHENTICATED, Visitor, visitor_still_allowed
from tenants.models import LoginThrottle, Session, User
from tenants.services import reauth
from tests.factories import PASSWORD, Cast, make_token
from tests.pages import text
from tests.traces.events import new_id, start
from traces.services import append

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true", "Accept": "*/*"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def fresh(quick_passwords: None) -> None:
    """Attempts of other tests come from the same address."""
    LoginThrottle.objects.all().delete()


def signed_in(user: User, agent: str = FIREFOX, address: str = "192.0.2.7") -> Client:
    client = Client(headers={"Accept": "text/html", "User-Agent": agent}, REMOTE_ADDR=address)
    assert client.post("/signin", {"username": user.email, "password": PASSWORD}).status_code == 302
    return client


def later(monkeypatch: pytest.MonkeyPatch, **span: int) -> None:
    """The clock, moved on."""
    now = clock.now() + timedelta(**span)
    monkeypatch.setattr(clock, "now", lambda: now)


def base(cast: Cast) -> str:
    return f"/t/{cast.acme.slug}/settings/you"


def test_a_person_sees_their_sessions_and_ends_one(cast: Cast) -> None:
    laptop, phone = signed_in(cast.vera), signed_in(cast.vera, "Mozilla/5.0 (iPhone) Safari/604.1", "198.51.100.9")
    other = signed_in(cast.bob)
    said = text(laptop.get(base(cast)))
    assert "Firefox on Linux this one 192.0.2.7" in said
    assert "Safari on iPhone 198.51.100.9" in said
    mark = next(row.pk[:16] for row in selectors.sessions_of(cast.vera) if row.address == "198.51.100.9")
    assert other.post(f"{base(cast)}/sessions/{mark}/end").status_code == 404
    visitor = Visitor(user=cast.vera, session_key=phone.session.session_key or "")
    assert visitor_still_allowed(visitor) is None
    assert laptop.post(f"{base(cast)}/sessions/{mark}/end").status_code == 302
    assert visitor_still_allowed(visitor) == UNAUTHENTICATED, "its sockets close"
    assert phone.get(base(cast))["Location"].startswith("/signin")
    assert laptop.get(base(cast)).status_code == 200
    entry = selectors.audit_entries(cast.acme, action="session.ended")[0]
    assert (entry.actor, entry.after["address"]) == (f"user:{cast.vera.email}", "198.51.100.9")


def test_all_others_end_together(cast: Cast) -> None:
    mine, one, two = (signed_in(cast.vera) for _ in range(3))
    assert mine.post(f"{base(cast)}/sessions/end").status_code == 302
    assert [client.get(base(cast)).status_code for client in (mine, one, two)] == [200, 302, 302]
    assert len(selectors.sessions_of(cast.vera)) == 1


def test_the_table_opens_nothing(cast: Cast) -> None:
    client = signed_in(cast.vera)
    key = client.session.session_key
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenants_session t WHERE t::text LIKE %s", [f"%{key}%"])
        assert cursor.fetchone() == (0,)
    row = Session.objects.get(user=cast.vera)
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = row.pk
    assert thief.get(base(cast)).status_code == 302


def test_idle_and_too_old_sessions_are_over(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(cast.vera)
    for _ in range(6):  # nine hours at work
        later(monkeypatch, minutes=90)
        assert client.get(base(cast)).status_code == 200
    later(monkeypatch, minutes=121)
    assert client.get(base(cast)).status_code == 302, "left alone for more than two hours"
    again = signed_in(cast.vera)
    for minutes in (100,) * 7:
        later(monkeypatch, minutes=minutes)
        assert again.get(base(cast)).status_code == 200
    later(monkeypatch, minutes=30)
    assert again.get(base(cast)).status_code == 302, "twelve hours are the end, at work or not"
    services.forget_sessions()
    assert not Session.objects.filter(user=cast.vera).exists()


def test_a_page_that_refreshes_itself_keeps_nothing_alive(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(cast.vera)
    later(monkeypatch, minutes=80)
    assert client.get(base(cast), headers={"X-Background": "1"}).status_code == 200
    later(monkeypatch, minutes=60)
    assert client.get(base(cast)).status_code == 302


def test_a_new_password_ends_every_other_session(cast: Cast) -> None:
    mine, other = signed_in(cast.vera), signed_in(cast.vera)
    wish = {"current": "wrong", "password": "a much longer sentence", "again": "a much longer sentence"}
    refused = mine.post(f"{base(cast)}/password", wish, headers={"Accept": "*/*"})
    assert refused.json()["code"] == "auth.password_wrong"
    weak = mine.post(f"{base(cast)}/password", wish | {"current": PASSWORD, "again": "x"}, headers={"Accept": "*/*"})
    assert weak.json()["code"] == "user.password_differs"
    assert mine.post(f"{base(cast)}/password", wish | {"current": PASSWORD}).status_code == 302
    assert mine.get(base(cast)).status_code == 200
    assert other.get(base(cast)).status_code == 302
    said = [each.action for each in selectors.audit_entries(cast.acme, target=f"user:{cast.vera.email}")]
    assert said[:2] == ["user.password_changed", "login.refused"]


# --- is it still you? -------------------------------------------------------------------------


def final(cast: Cast) -> dict[str, tuple[str, dict[str, Any]]]:
    """What asks again: address and form."""
    token, _ = make_token(cast.acme, "read", name="old")
    home = f"/t/{cast.acme.slug}"
    principal = system_principal(cast.acme)
    append(cast.acme, principal=principal, events=[start(trace := new_id())])
    item = open_item(
        cast.acme, principal=principal, trace_id=trace, subject_type="limit", subject_id="limit", reason="x", title="x"
    )
    return {
        "token": (f"{home}/settings/tokens/create", {"name": "new", "scopes": ["read"]}),
        "rotation": (f"{home}/settings/tokens/{token.pk}/rotate", {"overlap": "24"}),
        "rebuild": (
            f"{home}/replays/start",
            {"projection": "trace_summary", "mode": "rebuild", "reason": "x", "confirm": "trace_summary"},
        ),
        "override": (f"{home}/approvals/{item.pk}/override", {"version": "1", "reason": "x", "confirm": "limit"}),
        "second factor": (f"{home}/settings/you/factor", {}),
    }


@pytest.mark.parametrize("what", ["token", "rotation", "rebuild", "override", "second factor"])
def test_what_is_final_asks_again_after_a_while(cast: Cast, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    client = signed_in(cast.alice)
    address, form = final(cast)[what]
    later(monkeypatch, minutes=16)
    refused = client.post(address, form, headers={"Accept": "*/*", "HX-Request": "true"})
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.reauth_required")
    assert refused.json()["reauth"] == "/reauth"
    entry = selectors.audit_entries(cast.acme, action="action.refused")[0]
    assert (entry.after, entry.target) == ({"code": "auth.reauth_required"}, f"POST {address}")
    without_script = client.post(address, form, headers={"Referer": f"http://testserver/t/{cast.acme.slug}/x"})
    assert without_script["Location"] == f"/reauth?next=%2Ft%2F{cast.acme.slug}%2Fx"
    dialog = client.get("/reauth", headers={"HX-Request": "true"})
    assert "<form" in dialog.content.decode()
    assert "<html" not in dialog.content.decode()
    wrong = client.post("/reauth", {"password": "wrong"}, headers={"HX-Request": "true"})
    assert (wrong.status_code, "not right" in text(wrong)) == (422, True)
    shown = client.post("/reauth", {"password": PASSWORD}, headers={"HX-Request": "true"})
    assert (shown.status_code, shown["HX-Trigger"]) == (204, '{"proved": true}')
    goes_on = client.post(address, form, headers={"Accept": "*/*", "HX-Request": "true"})
    assert goes_on.status_code in (200, 204, 302), goes_on.content


def test_the_api_asks_people_and_not_programs(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    client, program = signed_in(cast.alice), cast.program()
    wish = {"name": "new", "scopes": ["read"]}
    later(monkeypatch, minutes=16)
    asked = client.post("/api/v1/tokens", wish, content_type="application/json", headers={"X-Tenant": cast.acme.slug})
    assert asked.json()["code"] == "auth.reauth_required"
    assert program.post("/api/v1/tokens", wish, content_type="application/json").status_code == 201
    for path, body in (
        ("projections/replay", {"projection": "trace_summary", "mode": "rebuild", "reason": "x"}),
        (f"approvals/{'0' * 8}-0000-0000-0000-{'0' * 12}/override", {"version": 1, "reason": "x", "confirmation": "x"}),
    ):
        answer = client.post(
            f"/api/v1/{path}", body, content_type="application/json", headers={"X-Tenant": cast.acme.slug}
        )
        assert answer.json()["code"] == "auth.reauth_required", path


def test_guessing_at_the_question_is_throttled(cast: Cast) -> None:
    client = signed_in(cast.vera)
    statuses = [client.post("/reauth", {"password": "wrong"}).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert client.post("/reauth", {"password": PASSWORD}).status_code == 429
    assert Client().get("/reauth").status_code == 302


def test_it_forwards_to_our_own_pages_only(cast: Cast) -> None:
    client = signed_in(cast.vera)
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        assert client.post("/reauth", {"password": PASSWORD, "next": target})["Location"] == "/"
    assert client.post("/reauth", {"password": PASSWORD, "next": base(cast)})["Location"] == base(cast)


def test_methods_are_what_the_person_has(cast: Cast) -> None:
    assert reauth.methods(cast.vera) == ["password"]
    lone = User.objects.get(pk=cast.vera.pk)
    lone.set_unusable_password()
    assert reauth.methods(lone) == []


def test_an_admin_ends_the_sessions_of_a_member(cast: Cast) -> None:
    laptop, phone, bystander = signed_in(cast.vera), signed_in(cast.vera), signed_in(cast.rita)
    page, member = f"/t/{cast.acme.slug}/settings/members", cast.member(cast.vera)
    alice = signed_in(cast.alice)
    assert "Sign Vera out everywhere?" in text(alice.get(page))
    unsaid = alice.post(f"{page}/{member.pk}/sessions", {"reason": " "}, headers=HTMX)
    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "member.reason_missing")
    assert laptop.get(base(cast)).status_code == 200
    done = alice.post(f"{page}/{member.pk}/sessions", {"reason": "A stolen laptop."}, headers=HTMX)
    assert done["HX-Redirect"] == page
    assert "Vera is signed out: 2 sessions ended." in text(alice.get(page))
    assert [each.get(base(cast)).status_code for each in (laptop, phone, bystander)] == [302, 302, 200]
    (line,) = selectors.audit_entries(cast.acme, action="member.sessions_ended", limit=5)
    assert (line.actor, line.target) == (f"user:{cast.alice.email}", f"user:{cast.vera.email}")
    assert (line.reason, line.after) == ("A stolen laptop.", {"sessions": 2})
    assert signed_in(cast.vera).get(base(cast)).status_code == 200, "they may sign in again"
    Session.objects.filter(user=cast.alice).update(created_at=clock.now() - timedelta(minutes=20))
    asked = alice.post(f"{page}/{member.pk}/sessions", {"reason": "Again."}, headers=HTMX)
    assert asked.json()["code"] == "auth.reauth_required"


def test_a_program_ends_sessions_only_of_its_own_members(cast: Cast) -> None:
    vera, mallory = signed_in(cast.vera), signed_in(cast.mallory)
    program, mine, theirs = cast.program(), cast.member(cast.vera).pk, cast.member(cast.mallory, cast.globex).pk

    def end(client: Client, member_id: int, **said: str) -> Any:
        path = f"/api/v1/members/{member_id}/end-sessions"
        return client.post(path, said, content_type="application/json")

    assert end(program, theirs, reason="Mine now.").status_code == 404
    assert end(cast.program("read", "operate"), mine, reason="Not an admin.").status_code == 403
    assert end(program, mine).json()["code"] == "member.reason_missing"
    assert end(program, mine, reason="Left the company.").json()["sessions_ended"] == 1
    assert vera.get(base(cast)).status_code == 302
    assert mallory.get(f"/t/{cast.globex.slug}/settings/you").status_code == 200
    services.add_member(cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="viewer")
    assert end(program, mine, reason="Opens more.").json()["code"] == "member.account_shared"
