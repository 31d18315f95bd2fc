"""Members: invitation, one-time links, roles, deactivation."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from guardian.shortcuts import assign_perm, get_objects_for_user, remove_perm

from decisiongraph.core.errors import Problem
from tenants import selectors, services
from tenants.access import system_principal
from tenants.domain.roles import ROLE_PERMISSIONS
from tenants.models import Membership, Tenant, User
from tests.factories import PASSWORD, Cast, UserFactory, make_token

pytestmark = pytest.mark.django_db


def text_of(link: str) -> str:
    return link.rsplit("/join/", 1)[1]


def invite(cast: Cast, email: str, role: str = "operator") -> dict[str, Any]:
    answer = cast.program().post("/api/v1/members", {"email": email, "role": role}, content_type="application/json")
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_guardian_holds_exactly_the_matrix(cast: Cast) -> None:
    for user, role in ((cast.alice, "admin"), (cast.bob, "operator"), (cast.rita, "reviewer"), (cast.vera, "viewer")):
        assert selectors.permissions(cast.acme, user) == ROLE_PERMISSIONS[role]
        assert selectors.permissions(cast.globex, user) == frozenset()
        for permission in ROLE_PERMISSIONS["admin"]:
            seen = get_objects_for_user(user, f"tenants.{permission}", Tenant, with_superuser=False)
            assert (cast.acme in seen) == (permission in ROLE_PERMISSIONS[role])


def test_groups_that_drifted_are_brought_back(cast: Cast) -> None:
    """As after a change of the matrix: one grant too many, one missing."""
    viewer = cast.vera.groups.get()
    reviewer = cast.rita.groups.get()
    assign_perm("tenants.admin", viewer, cast.acme)
    remove_perm("tenants.review", reviewer, cast.acme)
    assert selectors.permissions(cast.acme, cast.vera) == {"read", "admin"}
    services.sync_groups(cast.acme)
    assert selectors.permissions(cast.acme, cast.vera) == {"read"}
    assert selectors.permissions(cast.acme, cast.rita) == {"read", "review"}
    assert selectors.permissions(cast.globex, cast.mallory) == ROLE_PERMISSIONS["admin"]


def test_a_superuser_is_no_member_by_that(cast: Cast) -> None:
    root = UserFactory(first="root")
    User.objects.filter(pk=root.pk).update(is_superuser=True)
    root.refresh_from_db()
    assert selectors.permissions(cast.acme, root) == frozenset()
    assert cast.browser(root).get("/api/v1/me", headers={"X-Tenant": cast.acme.slug}).status_code == 404


def test_list_pages_in_a_stable_order(cast: Cast) -> None:
    program = cast.program("admin")
    first = program.get("/api/v1/members?limit=3").json()
    second = program.get(f"/api/v1/members?limit=3&cursor={first['next']}").json()
    emails = [row["email"] for row in first["items"] + second["items"]]
    assert emails == [u.email for u in (cast.alice, cast.bob, cast.rita, cast.vera)]
    assert second["next"] is None
    assert cast.mallory.email not in emails


def test_an_invited_person_joins_by_the_link_once(cast: Cast) -> None:
    made = invite(cast, "  New.Person@Example.ORG ")
    assert (made["status"], made["email"]) == ("invited", "new.person@example.org")
    user = User.objects.get(email="new.person@example.org")
    assert selectors.permissions(cast.acme, user) == frozenset()

    browser = Client()
    assert browser.get(f"/join/{text_of(made['link'])}").status_code == 200
    answer = browser.post(f"/join/{text_of(made['link'])}", {"password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 302
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert selectors.permissions(cast.acme, user) == ROLE_PERMISSIONS["operator"]
    assert browser.get(f"/join/{text_of(made['link'])}").status_code == 404
    User.objects.filter(pk=user.pk).update(email=f"gone-{user.pk}@example.org")


@pytest.mark.parametrize(
    ("password", "again"), [("short", "short"), ("a" * 12, "b" * 12), ("password123", "password123"), ("", "")]
)
def test_a_poor_password_is_refused_and_the_link_lives_on(cast: Cast, password: str, again: str) -> None:
    made = invite(cast, f"poor-{cast.acme.slug}@example.org")
    answer = Client().post(f"/join/{text_of(made['link'])}", {"password": password, "again": again})
    assert answer.status_code == 422
    assert Client().get(f"/join/{text_of(made['link'])}").status_code == 200


def test_two_people_with_one_link(cast: Cast) -> None:
    made = invite(cast, f"race-{cast.acme.slug}@example.org")
    outcomes: list[str] = []

    def use(password: str) -> None:
        try:
            services.use_link(text_of(made["link"]), password=password)
            outcomes.append("in")
        except Problem as problem:
            outcomes.append(problem.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=use, args=(f"a long password {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in", "link.not_found", "link.not_found", "link.not_found"]


def test_a_known_person_joins_signed_in_and_keeps_the_password(cast: Cast) -> None:
    """Mallory's link must not become a way to set the password of somebody who has one."""
    member, text = services.invite_member(
        cast.globex, principal=cast.principal(cast.mallory, cast.globex), email=cast.vera.email, role="viewer"
    )
    assert member.status == Membership.INVITED
    stranger = Client()
    assert stranger.get(f"/join/{text}")["Location"].startswith("/signin")
    assert stranger.post(f"/join/{text}", {"password": "a" * 20, "again": "a" * 20})["Location"].startswith("/signin")
    with pytest.raises(Problem, match="Sign in as"):
        services.use_link(text, password="mallory sets this", signed_in=cast.mallory)
    cast.vera.refresh_from_db()
    assert cast.vera.check_password(PASSWORD)

    browser = cast.browser(cast.vera)
    assert browser.post(f"/join/{text}")["Location"] == f"/t/{cast.globex.slug}/"
    assert selectors.permissions(cast.globex, cast.vera) == {"read"}
    cast.vera.refresh_from_db()
    assert cast.vera.check_password(PASSWORD)


def test_an_account_set_by_one_tenant_does_not_open_the_other(cast: Cast) -> None:
    """Both invite one unknown address; whoever sets the password first gets only their own tenant."""
    email = f"both-{cast.acme.slug}@example.org"
    _member, there = services.invite_member(
        cast.globex, principal=cast.principal(cast.mallory, cast.globex), email=email, role="admin"
    )
    invite(cast, email, "admin")
    _tenant, user = services.use_link(there, password="mallory knows this")
    assert selectors.permissions(cast.globex, user) != frozenset()
    assert selectors.permissions(cast.acme, user) == frozenset()


def test_the_invitation_does_not_tell_who_is_known(cast: Cast) -> None:
    known = invite(cast, cast.mallory.email)
    unknown = invite(cast, f"nobody-{cast.acme.slug}@example.org")
    assert set(known) == set(unknown)
    assert known["status"] == unknown["status"] == "invited"


def test_no_reset_link_for_an_account_that_opens_more(cast: Cast) -> None:
    services.add_member(cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="viewer")
    with pytest.raises(Problem) as refused:
        services.reset_link(cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.vera).pk)
    assert refused.value.code == "member.account_shared"
    User.objects.filter(pk=cast.bob.pk).update(is_superuser=True)
    with pytest.raises(Problem):
        services.reset_link(cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.bob).pk)


def test_a_link_made_before_the_account_opened_more_is_refused(cast: Cast) -> None:
    _member, text = services.reset_link(
        cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.vera).pk
    )
    services.add_member(cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="viewer")
    with pytest.raises(Problem) as refused:
        services.use_link(text, password="somebody else's idea")
    assert refused.value.code == "member.account_shared"


def test_a_reset_ends_sessions_and_earlier_links(cast: Cast) -> None:
    browser = cast.browser(cast.vera)
    member = cast.member(cast.vera)
    _m, first = services.reset_link(cast.acme, principal=cast.principal(cast.alice), member_id=member.pk)
    _m, second = services.reset_link(cast.acme, principal=cast.principal(cast.alice), member_id=member.pk)
    assert Client().get(f"/join/{first}").status_code == 404
    assert browser.get(f"/t/{cast.acme.slug}/settings").status_code == 200
    services.use_link(second, password="a new good password")
    assert browser.get(f"/t/{cast.acme.slug}/settings").status_code == 302


@pytest.mark.parametrize("text", ["x", "a:b:c", "é", "W10:1:2", "." * 300])
def test_invented_links_are_404(db: None, text: str) -> None:
    assert Client().get(f"/join/{text}").status_code == 404


def test_a_role_change_moves_the_permissions(cast: Cast) -> None:
    member = cast.member(cast.vera)
    answer = cast.program().patch(f"/api/v1/members/{member.pk}", {"role": "reviewer"}, content_type="application/json")
    assert answer.status_code == 200
    assert selectors.permissions(cast.acme, cast.vera) == ROLE_PERMISSIONS["reviewer"]
    assert cast.vera.groups.count() == 1


def test_the_last_admin_stays(cast: Cast) -> None:
    member = cast.member(cast.alice)
    program = cast.program()
    demoted = program.patch(f"/api/v1/members/{member.pk}", {"role": "viewer"}, content_type="application/json")
    ended = program.post(f"/api/v1/members/{member.pk}/deactivate", {}, content_type="application/json")
    assert demoted.status_code == ended.status_code == 409
    assert demoted.json()["code"] == ended.json()["code"] == "member.last_admin"


def test_two_admins_who_demote_each_other_leave_one(cast: Cast) -> None:
    services.change_role(
        cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.bob).pk, role="admin"
    )
    pairs = [
        (cast.principal(cast.alice), cast.member(cast.bob).pk),
        (cast.principal(cast.bob), cast.member(cast.alice).pk),
    ]

    def demote(principal: Any, member_id: int) -> None:
        try:
            services.change_role(cast.acme, principal=principal, member_id=member_id, role="viewer")
        except Problem as problem:
            assert problem.code == "member.last_admin"  # noqa: PT017
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    admins = [m for m in selectors.members(cast.acme) if m.role == "admin" and m.active]
    assert len(admins) == 1


def test_deactivation_ends_session_tokens_and_links(cast: Cast) -> None:
    services.change_role(
        cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.bob).pk, role="admin"
    )
    token, text = services.create_token(cast.acme, principal=cast.principal(cast.bob), name="bob's", scopes=["read"])
    _other, other_text = make_token(cast.acme, "read")
    browser = cast.browser(cast.bob)
    headers = {"X-Tenant": cast.acme.slug}
    assert browser.get("/api/v1/me", headers=headers).status_code == 200
    assert Client().get("/api/v1/me", headers={"Authorization": f"Bearer {text}"}).status_code == 200

    services.deactivate_member(
        cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.bob).pk, reason="left"
    )
    assert browser.get("/api/v1/me", headers=headers).status_code == 401
    assert Client().get("/api/v1/me", headers={"Authorization": f"Bearer {text}"}).status_code == 401
    assert Client().get("/api/v1/me", headers={"Authorization": f"Bearer {other_text}"}).status_code == 200
    entry = selectors.audit_entries(cast.acme, action="member.deactivated")[0]
    assert (entry.actor, entry.reason) == (f"user:{cast.alice.email}", "left")
    assert entry.after["tokens_revoked"] == [token.pk]


def test_deactivated_in_one_tenant_stays_signed_in_for_the_other(cast: Cast) -> None:
    services.add_member(cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="viewer")
    browser = cast.browser(cast.vera)
    services.deactivate_member(cast.acme, principal=cast.principal(cast.alice), member_id=cast.member(cast.vera).pk)
    assert browser.get("/api/v1/me", headers={"X-Tenant": cast.acme.slug}).status_code == 404
    assert browser.get("/api/v1/me", headers={"X-Tenant": cast.globex.slug}).status_code == 200


def test_somebody_elses_member_is_404(cast: Cast) -> None:
    theirs = cast.member(cast.mallory, cast.globex).pk
    program = cast.program()
    answers = [
        program.get(f"/api/v1/members/{theirs}"),
        program.patch(f"/api/v1/members/{theirs}", {"role": "viewer"}, content_type="application/json"),
        program.post(f"/api/v1/members/{theirs}/deactivate", {}, content_type="application/json"),
        program.post(f"/api/v1/members/{theirs}/link"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert cast.member(cast.mallory, cast.globex).role == "admin"


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"email": "no address", "role": "viewer"}, 400),
        ({"email": "a@b.example", "role": "root"}, 422),
        ({"email": "a@b.example"}, 422),
        ({"email": 1, "role": "viewer"}, 422),
        ({"email": "a@b.example", "role": "viewer", "admin": True}, 422),
        ({"email": "a" * 300 + "@b.example", "role": "viewer"}, 422),
        ([], 400),
    ],
)
def test_bad_invitations_are_refused(cast: Cast, wish: Any, status: int) -> None:
    answer = cast.program().post("/api/v1/members", wish, content_type="application/json")
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("ident", ["0", "x", "-1", "9" * 30, "1e3", "%00"])
def test_bad_member_numbers_are_404(cast: Cast, ident: str) -> None:
    assert cast.program().get(f"/api/v1/members/{ident}").status_code == 404


@pytest.mark.parametrize(
    "query", ["surprise=1", "limit=0", "limit=501", "limit=x", "cursor=x", "limit=1&limit=2", "cursor=WyJhIl0"]
)
def test_bad_queries_are_400(cast: Cast, query: str) -> None:
    answer = cast.program().get(f"/api/v1/members?{query}")
    assert answer.status_code == 400, answer.content
