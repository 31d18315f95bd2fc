"""API tokens: what they open, and how soon they stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from decisiongraph.core import bus, clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants import selectors, services
from tenants.access import system_principal, tokens
from tenants.models import ApiToken, User
from tests.factories import Cast, make_token

pytestmark = pytest.mark.django_db


def me(text: str) -> Any:
    return Client().get("/api/v1/me", headers={"Authorization": f"Bearer {text}"})


def until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return true()


def test_a_token_says_who_it_is(cast: Cast) -> None:
    token, text = make_token(cast.acme, "ingest", producers=["billing"])
    answer = me(text)
    assert answer.status_code == 200
    assert answer.json()["tenant"]["slug"] == cast.acme.slug
    assert answer.json()["principal"] == {"kind": "token", "id": f"token:{token.pk}", "label": "test"}
    assert answer.json()["scopes"] == ["ingest"]
    assert answer.json()["producers"] == ["billing"]
    assert answer.json()["socket"].startswith("ws")


def test_the_secret_is_kept_nowhere(cast: Cast) -> None:
    token, text = make_token(cast.acme)
    secret = text.rsplit(f"dg_{token.pk}_", 1)[1]
    with tenant_tx(cast.acme), connection.cursor() as cursor:
        for table in ("tenants_apitoken", "tenants_auditentry"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{secret}%"])
            assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), "auth.token_unknown"),
        (lambda t: "dg_zzzzzzzz_" + t[12:], "auth.token_unknown"),
        (lambda t: t[:-20], "auth.token_malformed"),
        (lambda _t: "", "auth.token_malformed"),
        (lambda t: t + "\x00", "auth.token_malformed"),
    ],
)
def test_wrong_tokens_are_401(cast: Cast, change: Callable[[str], str], code: str) -> None:
    _token, text = make_token(cast.acme)
    answer = me(change(text))
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"] == "application/problem+json"


def test_another_scheme_and_no_credential_are_401(cast: Cast) -> None:
    assert Client().get("/api/v1/me").status_code == 401
    assert Client().get("/api/v1/me", headers={"Authorization": "Basic YTpi"}).status_code == 401


def test_an_expired_token_is_401_even_while_remembered(cast: Cast, monkeypatch: Any) -> None:
    _token, text = services.create_token(
        cast.acme,
        principal=system_principal(cast.acme),
        name="short",
        scopes=["read"],
        expires_at=clock.now() + timedelta(hours=1),
    )
    assert me(text).status_code == 200
    later = clock.now() + timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert me(text).json()["code"] == "auth.token_expired"
    tokens.forget()
    assert me(text).json()["code"] == "auth.token_expired"


def test_a_revoked_token_stops_at_once_in_this_process(cast: Cast) -> None:
    token, text = make_token(cast.acme)
    assert me(text).status_code == 200
    services.revoke_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
    answer = me(text)
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.token_revoked")


def test_a_revocation_that_is_rolled_back_changes_nothing(cast: Cast) -> None:
    token, text = make_token(cast.acme)
    with tenant_tx(cast.acme):
        services.revoke_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
        transaction.set_rollback(True)
    assert me(text).status_code == 200


def test_the_memory_asks_the_database_once(cast: Cast, django_assert_num_queries: Any) -> None:
    _token, text = make_token(cast.acme)
    tokens.verify(text)
    with django_assert_num_queries(0):
        for _ in range(10):
            tokens.verify(text)


def test_the_bell_of_another_process_is_heard_within_a_second(cast: Cast) -> None:
    """What is sent through the broker reaches this process's ear, and the memory is dropped."""
    token, text = make_token(cast.acme)
    tokens.verify(text)
    # The row changes as if another process had done it: nothing rings in this one.
    with tenant_tx(cast.acme):
        ApiToken.objects.filter(pk=token.pk).update(revoked_at=clock.now())
    assert me(text).status_code == 200
    started = time.monotonic()
    topic = bus.public_topic("platform", "access")
    assert until(lambda: bus.sender().ring(topic, "access.changed") or me(text).status_code == 401, 5)
    assert time.monotonic() - started < 2


def test_without_a_bell_a_minute_is_the_longest(cast: Cast, monkeypatch: Any) -> None:
    token, text = make_token(cast.acme)
    tokens.verify(text)
    with tenant_tx(cast.acme):
        ApiToken.objects.filter(pk=token.pk).update(revoked_at=clock.now())
    now = time.monotonic()
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + 59)
    assert me(text).status_code == 200
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now + 61)
    assert me(text).status_code == 401


def test_a_revocation_during_the_look_up_is_not_forgotten(cast: Cast, monkeypatch: Any) -> None:
    token, text = make_token(cast.acme)
    real = selectors.token

    def slow(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        services.revoke_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
        return found

    monkeypatch.setattr(selectors, "token", slow)
    tokens.verify(text)
    monkeypatch.setattr(selectors, "token", real)
    with pytest.raises(Problem, match="revoked"):
        tokens.verify(text)


def test_use_is_noted_off_the_hot_path_at_most_once_a_minute(cast: Cast, monkeypatch: Any) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(jobs, "enqueue", lambda name, **kw: asked.append({"name": name} | kw))
    token, text = make_token(cast.acme)
    for _ in range(5):
        tokens.verify(text)
    assert asked == [{"name": "tenants.note_token_use", "tenant_id": cast.acme.pk, "token_id": token.pk}]
    services.note_token_use(cast.acme.pk, token.pk)
    first = selectors.token(cast.acme, token.pk).last_used_at
    assert first is not None
    services.note_token_use(cast.acme.pk, token.pk)
    assert selectors.token(cast.acme, token.pk).last_used_at == first


def test_nobody_gives_more_than_they_hold(cast: Cast) -> None:
    _token, text = make_token(cast.acme, "admin")
    answer = Client(headers={"Authorization": f"Bearer {text}"}).post(
        "/api/v1/tokens", {"name": "more", "scopes": ["ingest"]}, content_type="application/json"
    )
    assert answer.status_code == 403
    assert answer.json()["permission"] == "ingest"


def test_a_locked_issuer_ends_the_token(cast: Cast) -> None:
    _token, text = services.create_token(cast.acme, principal=cast.principal(cast.alice), name="hers", scopes=["read"])
    assert me(text).status_code == 200
    services.set_user_active(cast.alice, principal=system_principal(), active=False)
    assert me(text).status_code == 401
    assert not User.objects.get(pk=cast.alice.pk).is_active


def test_a_token_does_not_open_another_tenant(cast: Cast) -> None:
    _token, text = make_token(cast.acme)
    header = {"Authorization": f"Bearer {text}"}
    there = Client().get("/api/v1/me", headers=header | {"X-Tenant": cast.globex.slug})
    nowhere = Client().get("/api/v1/me", headers=header | {"X-Tenant": "nowhere"})
    assert there.status_code == nowhere.status_code == 404
    assert Client().get("/api/v1/me", headers=header | {"X-Tenant": cast.acme.slug}).status_code == 200


def test_verification_from_many_threads(cast: Cast) -> None:
    _token, text = make_token(cast.acme)
    found: list[int] = []

    def ask() -> None:
        found.append(tokens.verify(text)[0].pk)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cast.acme.pk] * 8


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"name": "x", "scopes": []}, "request.not_valid"),
        ({"name": "x", "scopes": ["root"]}, "token.scopes_invalid"),
        ({"name": "", "scopes": ["read"]}, "request.not_valid"),
        ({"name": "  ", "scopes": ["read"]}, "token.name_invalid"),
        ({"name": "x\u0000", "scopes": ["read"]}, ""),
        ({"name": "x", "scopes": ["read"], "producers": []}, "token.producers_invalid"),
        ({"name": "x", "scopes": ["read"], "producers": [" a"]}, "token.producers_invalid"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "token.expiry_past"),
        ({"name": "x", "scopes": ["read"], "expires_at": "tomorrow"}, "request.not_valid"),
        ({"name": "x", "scopes": ["read"], "surprise": 1}, "request.not_valid"),
        ([], "request.malformed"),
    ],
)
def test_bad_wishes_are_refused(cast: Cast, wish: Any, code: str) -> None:
    answer = cast.program().post("/api/v1/tokens", wish, content_type="application/json")
    assert 400 <= answer.status_code < 500
    assert not code or answer.json()["code"] == code
    assert answer.json()["detail"]


# --- rotation -----------------------------------------------------------------------------------


def test_rotation_overlaps_and_then_the_old_one_ends(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    old, old_text = services.create_token(
        cast.acme,
        principal=cast.principal(cast.alice),
        name="billing",
        scopes=["ingest", "read"],
        producers=["desk"],
        expires_at=clock.now() + timedelta(days=90),
    )
    program = cast.program("admin", "ingest")
    answer = program.post(
        f"/api/v1/tokens/{old.pk}/rotate", {"overlap_hours": 2, "reason": "quarterly"}, content_type="application/json"
    )
    made = answer.json()
    assert (answer.status_code, made["name"], made["scopes"], made["producers"]) == (
        201, "billing", ["ingest", "read"], ["desk"],
    )  # fmt: skip
    assert made["replaces"]["replaced_by"] == made["id"]
    assert (me(old_text).status_code, me(made["token"]).status_code) == (200, 200)
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=2, seconds=1))
    assert me(old_text).json()["code"] == "auth.token_expired"
    assert me(made["token"]).status_code == 200
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=89))
    assert me(made["token"]).status_code == 200
    entry = selectors.audit_entries(cast.acme, action="token.rotated")[0]
    assert (entry.reason, entry.after["replaced_by"]) == ("quarterly", f"token:{made['id']}")


def test_rotation_without_overlap_ends_it_at_once_everywhere(cast: Cast) -> None:
    old, text = make_token(cast.acme, "read")
    assert me(text).status_code == 200
    services.rotate_token(cast.acme, principal=system_principal(cast.acme), token_id=old.pk, overlap_hours=0)
    assert me(text).status_code == 401, "also where it was remembered"


def test_what_is_not_rotated(cast: Cast) -> None:
    token, _ = make_token(cast.acme, "review")
    program = cast.program("admin")
    for path, body, status, code in (
        (token.pk, {}, 403, "permission.missing"),  # nobody gives more than they hold
        ("nothing0", {}, 404, "token.not_found"),
        (token.pk, {"overlap_hours": 721}, 422, "request.not_valid"),
    ):
        answer = program.post(f"/api/v1/tokens/{path}/rotate", body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    with pytest.raises(Problem) as refused:
        services.rotate_token(cast.acme, principal=system_principal(), token_id=token.pk, overlap_hours=-1)
    assert refused.value.code == "token.overlap_invalid"
    services.rotate_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
    with pytest.raises(Problem) as refused:
        services.rotate_token(cast.acme, principal=system_principal(cast.acme), token_id=token.pk)
    assert refused.value.code == "token.not_active"
    page = f"/t/{cast.acme.slug}/settings/tokens"
    assert cast.browser(cast.alice).post(f"{page}/{token.pk}/rotate", {"overlap": "9"}).status_code == 422
