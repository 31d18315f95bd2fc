"""The settings pages: complete, honest, and only for admins."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.test import Client

from tenants import selectors, services
from tenants.access import system_principal
from tests.factories import PASSWORD, Cast, UserFactory, make_token
from tests.pages import queries, text

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def admin(cast: Cast) -> Client:
    return cast.browser(cast.alice)


def base(cast: Cast) -> str:
    return f"/t/{cast.acme.slug}/settings"


def test_everybody_else_reads_what_they_may_and_whom_to_ask(cast: Cast) -> None:
    said = text(cast.browser(cast.vera).get(base(cast)))
    assert f"Your role in {cast.acme.name} is viewer" in said
    assert cast.alice.label in said
    for page in ("members", "tokens", "audit", "audit.csv"):
        assert cast.browser(cast.bob).get(f"{base(cast)}/{page}").status_code == 403
        assert cast.browser(cast.mallory).get(f"{base(cast)}/{page}").status_code == 404


def test_members_page(cast: Cast, admin: Client) -> None:
    said = text(admin.get(f"{base(cast)}/members"))
    assert "4 people may enter" in said
    for person in (cast.alice, cast.bob, cast.rita, cast.vera):
        assert person.email in said
    assert cast.mallory.email not in said


def test_a_change_of_role_moves_the_page_and_says_so(cast: Cast, admin: Client) -> None:
    vera = cast.member(cast.vera).pk
    answer = admin.post(f"{base(cast)}/members/{vera}/role", {"role": "reviewer"}, headers=HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, f"{base(cast)}/members")
    assert "is reviewer now." in text(admin.get(f"{base(cast)}/members"))


def test_the_last_admin_stays(cast: Cast, admin: Client) -> None:
    alice = cast.member(cast.alice).pk
    answer = admin.post(f"{base(cast)}/members/{alice}/deactivate", headers=HTMX)
    assert answer.status_code == 409
    assert json.loads(answer.content)["detail"].startswith("This is the tenant's last admin.")


def test_an_invitation_goes_all_the_way(cast: Cast, admin: Client) -> None:
    email = f"new-{cast.acme.slug}@example.org"
    made = admin.post(f"{base(cast)}/members/invite", {"email": email, "role": "operator", "name": "Nora <b>"})
    link = re.search(r"/join/([^<\"\s]+)", made.content.decode())
    assert link
    assert b"Nora <b>" not in made.content
    assert "1 invitation not used yet" in text(admin.get(f"{base(cast)}/members"))
    guest = Client(headers={"Accept": "text/html"})
    page = guest.get(f"/join/{html.unescape(link[1])}")
    assert f"Join {cast.acme.name}" in text(page)
    assert "with the role operator" in text(page)
    weak = guest.post(f"/join/{html.unescape(link[1])}", {"password": "short", "again": "short"})
    assert weak.status_code == 422
    assert guest.post(f"/join/{html.unescape(link[1])}", {"password": PASSWORD, "again": PASSWORD}).status_code == 302
    assert guest.get(f"/join/{html.unescape(link[1])}").status_code == 404


def test_the_shown_command_really_sends_the_first_event(cast: Cast, admin: Client) -> None:
    made = admin.post(f"{base(cast)}/tokens/create", {"name": "first", "scopes": ["ingest", "read"]})
    shown = html.unescape(made.content.decode())
    command = re.search(r"curl (\S+)/api/v1(\S+) -H 'Authorization: (Bearer \S+)' .* -d '(\{.*?\})'<", shown)
    assert command, "no command on the page"
    answer = Client(headers={"Authorization": command[3]}).post(
        f"/api/v1{command[2]}", command[4], content_type="application/json"
    )
    assert answer.status_code == 201, answer.content
    assert command[3] not in admin.get(f"{base(cast)}/tokens").content.decode()


def test_tokens_page_revokes(cast: Cast, admin: Client) -> None:
    assert "No program can reach this tenant yet" in text(admin.get(f"{base(cast)}/tokens"))
    token, _ = make_token(cast.acme, "read", name="one")
    assert "1 token opens this tenant to programs" in text(admin.get(f"{base(cast)}/tokens"))
    answer = admin.post(f"{base(cast)}/tokens/{token.pk}/revoke", {"reason": "lost"}, headers=HTMX)
    assert answer["HX-Redirect"] == f"{base(cast)}/tokens"
    said = text(admin.get(f"{base(cast)}/tokens"))
    assert "Revoked" in said
    assert selectors.audit_entries(cast.acme, action="token.revoked")[0].reason == "lost"


def test_audit_is_searched(cast: Cast, admin: Client) -> None:
    services.record_audit(
        cast.acme,
        principal=system_principal(cast.acme),
        action="member.role_changed",
        target="user:x@example.org",
        reason="Because Ümläut <i>",
        before={"role": "viewer", "same": 1},
        after={"role": "admin", "same": 1},
    )
    path = f"{base(cast)}/audit"
    found = admin.get(f"{path}?text=ümläut&days=7")
    assert "member role changed" in text(found)
    assert "role viewer admin" in text(found)
    assert "same" not in text(found).split("Change")[-1]
    assert b"<i>" not in found.content.split(b"<main", 1)[1]
    assert "No line matches." in text(admin.get(f"{path}?text=nowhere-to-be-found"))
    assert "member added" not in text(admin.get(f"{path}?action=token."))
    assert admin.get(f"{path}?days=5").status_code == 400
    exported = admin.get(f"{base(cast)}/audit.csv?text=x@example.org")
    assert exported["Content-Disposition"].startswith("attachment")
    assert len(b"".join(exported.streaming_content).splitlines()) == 2


def test_the_audit_log_names_people(cast: Cast, admin: Client) -> None:
    twin = UserFactory(first="rita", tenant=cast.acme)
    for user in (cast.alice, cast.rita, twin):
        services.record_audit(
            cast.acme,
            principal=cast.principal(user),
            action="member.noted",
            target=f"user:{cast.bob.email}",
            after={"to": f"user:{cast.vera.email}"},
        )
    page = admin.get(f"{base(cast)}/audit?action=member.noted")
    said = text(page)
    assert f'<span title="{cast.alice.email}">Alice</span>' in page.content.decode()
    assert said.count("Bob") == said.count("to Vera") == 3
    assert cast.alice.email not in said
    assert cast.bob.email not in said
    for one in (cast.rita, twin):
        assert f"Rita ({one.email})" in said, "two of one name are told apart"


def test_older_lines_keep_the_filters(cast: Cast, admin: Client) -> None:
    for number in range(70):
        services.record_audit(
            cast.acme, principal=system_principal(cast.acme), action="test.made", reason=f"line {number}"
        )
    first = admin.get(f"{base(cast)}/audit?action=test.made&text=line").content.decode()
    following = re.search(r'rel="next" href="(\?[^"]+)"', first)
    assert following
    second = admin.get(f"{base(cast)}/audit{html.unescape(following[1])}")
    lines = re.findall(r"line (\d+)", first.split("<tbody", 1)[1] + second.content.decode().split("<tbody", 1)[1])
    assert sorted(map(int, lines)) == list(range(70))


@pytest.mark.parametrize("page", ["members", "tokens", "audit", "you"])
def test_queries_do_not_grow(cast: Cast, admin: Client, page: str) -> None:
    make_token(cast.acme, "read", name="one")
    before = queries(admin, f"{base(cast)}/{page}")
    for number in range(5):
        make_token(cast.acme, "read", name=f"t{number}")
        services.invite_member(
            cast.acme,
            principal=cast.principal(cast.alice),
            email=f"i{number}-{cast.acme.slug}@example.org",
            role="viewer",
        )
    assert queries(admin, f"{base(cast)}/{page}") <= before
    assert before <= 16
