"""The audit log: in the same transaction, searchable, exported safely."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.db import transaction
from django.test import Client

from decisiongraph.core.db import tenant_tx
from tenants import selectors, services
from tenants.api import shapes
from tests.factories import Cast, make_token

pytestmark = pytest.mark.django_db


def test_the_line_stands_or_falls_with_the_action(cast: Cast) -> None:
    with tenant_tx(cast.acme):
        services.invite_member(
            cast.acme, principal=cast.principal(cast.alice), email=f"x-{cast.acme.slug}@example.org", role="viewer"
        )
        transaction.set_rollback(True)
    assert selectors.audit_entries(cast.acme, action="member.invited") == []
    assert len(selectors.members(cast.acme)) == 4


def test_a_line_says_who_what_why_and_on_whose_behalf(cast: Cast) -> None:
    token, text = services.create_token(
        cast.acme, principal=cast.principal(cast.alice), name="deploy", scopes=["admin"]
    )
    client = cast.program()
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {text}"
    member = cast.member(cast.vera)
    answer = client.post(
        f"/api/v1/members/{member.pk}/deactivate",
        {"reason": "left the company"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {text}", "X-Request-ID": "request-12345"},
    )
    assert answer.status_code == 200
    row = cast.program("admin").get("/api/v1/audit?action=member.deactivated").json()["items"][0]
    assert row["actor"] == f"token:{token.pk}"
    assert row["on_behalf_of"] == f"user:{cast.alice.email}"
    assert row["target"] == f"user:{cast.vera.email}"
    assert row["reason"] == "left the company"
    assert row["before"] == {"role": "viewer", "status": "active"}
    assert row["after"]["status"] == "deactivated"
    assert row["request_id"] == "request-12345"
    assert row["address"] == "127.0.0.1"


def test_every_privileged_service_leaves_a_line(cast: Cast) -> None:
    alice = cast.principal(cast.alice)
    vera = cast.member(cast.vera).pk
    services.change_role(cast.acme, principal=alice, member_id=vera, role="operator")
    services.reset_link(cast.acme, principal=alice, member_id=vera)
    token, _text = services.create_token(cast.acme, principal=alice, name="x", scopes=["read"])
    services.revoke_token(cast.acme, principal=alice, token_id=token.pk)
    services.revoke_token(cast.acme, principal=alice, token_id=token.pk)
    services.rename_tenant(cast.acme, principal=alice, name="Acme Ltd")
    actions = [entry.action for entry in selectors.audit_entries(cast.acme, actor=alice.ident)]
    assert actions == ["tenant.renamed", "token.revoked", "token.created", "member.link_issued", "member.role_changed"]


def test_filters_and_pages(cast: Cast) -> None:
    for _ in range(5):
        make_token(cast.acme)
    program = cast.program("admin")
    first = program.get("/api/v1/audit?action=token.&limit=4").json()
    second = program.get(f"/api/v1/audit?action=token.&limit=4&cursor={first['next']}").json()
    numbers = [row["id"] for row in first["items"] + second["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 6
    assert program.get("/api/v1/audit?action=token").json()["items"] == []
    moment = first["items"][2]["at"].replace("+", "%2B")
    assert len(program.get(f"/api/v1/audit?action=token.&before={moment}").json()["items"]) == 3
    assert len(program.get(f"/api/v1/audit?action=token.&after={moment}").json()["items"]) == 3


@pytest.mark.parametrize(
    "query", ["x=1", "after=yesterday", "after=2026-01-01T00:00:00", "cursor=zzz", "limit=1000", "action=%00"]
)
def test_bad_filters_are_400(cast: Cast, query: str) -> None:
    assert cast.program("admin").get(f"/api/v1/audit?{query}").status_code == 400


def test_the_log_of_another_tenant_is_not_shown(cast: Cast) -> None:
    make_token(cast.globex, name="globex-only-token")
    assert "globex-only-token" not in cast.program("admin").get("/api/v1/audit").content.decode()


def test_long_and_hostile_texts_are_kept_within_bounds(cast: Cast) -> None:
    services.record_audit(
        cast.acme,
        principal=cast.principal(cast.alice),
        action="test.made",
        target="t" * 5000,
        reason="=cmd()\x00" + "r" * 9000,
    )
    entry = selectors.audit_entries(cast.acme, action="test.made")[0]
    assert len(entry.target) == 300
    assert len(entry.reason) == 2000


def test_the_export_is_safe_for_spreadsheets_and_is_itself_written_down(cast: Cast) -> None:
    for reason in ("=1+1", "+1", "-1", "@x", "fine"):
        services.record_audit(cast.acme, principal=cast.principal(cast.alice), action="test.made", reason=reason)
    answer = cast.browser(cast.alice).get(f"/t/{cast.acme.slug}/settings/audit.csv?action=test.made")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [row["reason"] for row in rows] == ["fine", "'@x", "'-1", "'+1", "'=1+1"]
    assert selectors.audit_entries(cast.acme, action="audit.exported")[0].after == {
        "format": "csv",
        "action": "test.made",
    }


def test_an_export_is_whole_in_pieces(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "EXPORT_PIECE", 3)
    for number in range(8):
        services.record_audit(
            cast.acme,
            principal=cast.principal(cast.alice),
            action="test.made",
            reason=f"r{number}",
            before={"n": number},
        )
    for address, client in (
        ("/api/v1/audit/export?action=test.made", cast.program("admin")),
        (f"/t/{cast.acme.slug}/settings/audit.ndjson?action=test.made", cast.browser(cast.alice)),
    ):
        answer = client.get(address)
        lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
        assert [line["before"]["n"] for line in lines] == list(range(7, -1, -1))
        assert answer["Content-Type"] == "application/x-ndjson"
    program = cast.program("admin")
    whole = b"".join(program.get("/api/v1/audit/export?format=csv&text=r7").streaming_content).decode()
    assert whole.splitlines()[0].startswith("id,at,actor,on_behalf_of,action")
    assert '{""n"":7}' in whole
    for wrong in ("format=xml", "limit=5", "cursor=x"):
        assert program.get(f"/api/v1/audit/export?{wrong}").status_code == 400
    assert cast.program("read").get("/api/v1/audit/export").status_code == 403


# --- refusals -----------------------------------------------------------------------------------


def refusals(cast: Cast) -> list[tuple[str, str, str]]:
    """Who, what was asked, and the code of the refusal; the newest first."""
    rows = selectors.audit_entries(cast.acme, action="action.refused")
    return [(row.actor, row.target, row.after["code"]) for row in rows]


def test_a_refusal_by_any_rule_is_written_down_with_who_what_and_why(cast: Cast) -> None:
    alice, base = cast.browser(cast.alice), f"/t/{cast.acme.slug}/settings/members"
    mine = cast.member(cast.alice).pk
    asked = {"X-Tenant": cast.acme.slug, "X-Request-ID": "request-54321"}
    answer = alice.post(f"/api/v1/members/{mine}/deactivate", {}, content_type="application/json", headers=asked)
    assert answer.json()["code"] == "member.last_admin"
    assert alice.post(f"{base}/{mine}/deactivate").status_code == 409
    actor = f"user:{cast.alice.email}"
    assert refusals(cast) == [
        (actor, f"POST {base}/{mine}/deactivate", "member.last_admin"),
        (actor, f"POST /api/v1/members/{mine}/deactivate", "member.last_admin"),
    ]
    entry = selectors.audit_entries(cast.acme, action="action.refused")[1]
    assert (entry.request_id, entry.address) == ("request-54321", "127.0.0.1")
    assert entry.reason.startswith("This is the tenant's last admin.")


def test_a_refusal_on_behalf_of_somebody_names_them(cast: Cast) -> None:
    token, text = services.create_token(cast.acme, principal=cast.principal(cast.alice), name="x", scopes=["admin"])
    wish = {"name": "more", "scopes": ["review"]}
    bearer = {"Authorization": f"Bearer {text}"}
    answer = Client().post("/api/v1/tokens", wish, content_type="application/json", headers=bearer)
    assert answer.json()["permission"] == "review"
    entry = selectors.audit_entries(cast.acme, action="permission.refused")[0]
    assert (entry.actor, entry.on_behalf_of) == (f"token:{token.pk}", f"user:{cast.alice.email}")
    assert (entry.target, entry.reason) == ("POST /api/v1/tokens", "needs 'review'")
    assert len(selectors.audit_entries(cast.acme, action="permission.refused")) == 1


def test_mistakes_reads_and_ingest_are_no_refused_actions(cast: Cast) -> None:
    program = cast.program()
    for method, path, body in (
        ("post", "/api/v1/tokens", {"name": ""}),
        ("post", "/api/v1/tokens/nothing0/revoke", {}),
        ("get", "/api/v1/audit?limit=0", None),
        ("post", "/api/v1/traces/none/events", {"event_type": "TraceFinished"}),
    ):
        assert getattr(program, method)(path, body, content_type="application/json").status_code >= 400
    assert refusals(cast) == []
