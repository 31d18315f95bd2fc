"""G1: every address, every method, every kind of stranger; nothing of a foreign tenant ever shows."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db import connection, models
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from approvals import services as approvals
from approvals.domain import sla
from decisiongraph.core.db import TenantManager, tenant_tx
from decisiongraph.stack.endpoints import endpoints
from projections import engine
from projections.models import DeadLetter
from projections.services import run_export, save_view, start_export
from replays.services import ask_erasure, start_replay
from tenants import services as people
from tenants.access import system_principal
from tenants.models import ApiToken, AuditEntry, Membership
from tests.factories import Cast, make_cast, make_token
from tests.traces.events import envelope, new_id, start
from traces import services

pytestmark = [pytest.mark.django_db, pytest.mark.trust("G1")]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
ADMIN_METHODS = ("GET", "POST", "DELETE")
"""Django's admin takes every other method for a GET."""
OPEN = {"healthz", "readyz", "metrics", "signin", "patterns", "api/v1/schema", "api/v1/schema.json", "api/v1/docs"}
"""Addresses that answer 2xx to anybody: none of them has anything of a tenant."""
OPEN_PREFIXES = ("join/",)


WORKFLOW = (
    "approvals", "approvals/<str:approval_id>", "incidents", "incidents/<str:incident_id>", "settings/sla",
    "settings/sla/<str:policy_id>",
)  # fmt: skip
"""Pages that show acme's own people what waits; the canary is in each."""


@dataclass
class Acme:
    """Somebody else's tenant, with a word in everything that people and programs can write."""

    cast: Cast
    canary: str
    ids: dict[str, Any]


@pytest.fixture(scope="module")
def acme(django_db_setup: None, django_db_blocker: pytest.Blocker) -> Iterator[Acme]:
    with django_db_blocker.unblock():
        yield fill(make_cast(), f"canary{uuid.uuid4().hex[:12]}")


def fill(cast: Cast, canary: str) -> Acme:
    """One of everything, each with the canary in it; the ids themselves are clean, refusals may repeat them."""
    tenant, principal = cast.acme, system_principal(cast.acme)
    people.rename_tenant(tenant, principal=principal, name=f"Acme {canary}")
    trace = new_id()
    said = {"workflow": canary, "title": canary, "primary_entity": {"entity_type": canary, "entity_id": canary}}
    source = {"producer_id": canary, "system": canary}
    ruled = envelope(trace, "PolicyEvaluated")["payload"] | {"policy": {"policy_id": canary, "policy_version": "1"}}
    events = [
        start(trace, payload=said, source=source, tags=[canary], correlation_id=canary),
        envelope(trace, "PolicyEvaluated", ruled, actor={"actor_type": "agent", "actor_id": canary}),
        envelope(trace, "ExceptionRequested"),
        envelope(trace, "TraceFinished", {"outcome": "success", "summary": canary}),
    ]
    services.append(tenant, principal=principal, events=events)
    services.append(tenant, principal=principal, events=[envelope(canary, "TraceFinished")], atomic=False)
    services.roll_up(tenant)
    engine.catch_up(tenant)
    view = save_view(tenant, principal=principal, name=canary, query=f'"{canary}"', shared=True)
    export = start_export(tenant, principal=principal, format="csv", query=canary)
    run_export(tenant, str(export.pk))
    replay = start_replay(tenant, principal=principal, projection="all", mode="verify", reason=canary)
    with tenant_tx(tenant):
        letter = DeadLetter.objects.create(
            tenant=tenant, projection="context_graph", generation=1, trace_id=trace, log_seq=1,
            event_type="TraceStarted", error=canary, rule_version=1,
        )  # fmt: skip
        audit = AuditEntry.objects.order_by("pk").first()
        member = Membership.objects.order_by("pk").first()
    token, _ = make_token(tenant, "read", name=canary)
    _, link = people.invite_member(tenant, principal=principal, email=f"{canary}@example.org", role="viewer")
    item = approvals.open_item(
        tenant, principal=principal, trace_id=trace, subject_type=canary, subject_id=canary, reason=canary, title=canary
    )
    incident = approvals.open_incident(tenant, principal=principal, title=canary, severity="low", trace_id=trace)
    policy = approvals.create_policy(
        tenant, principal=principal, name=canary, definition=sla.STANDARD, applies=sla.Match(workflow=canary)
    )
    approvals.watch_producer(tenant, principal=principal, producer_id=canary, seconds=3600)
    hook, _ = approvals.create_endpoint(
        tenant, principal=principal, url=f"https://example.org/{canary}", description=canary
    )
    asked = ask_erasure(
        tenant, principal=cast.principal(cast.alice), trace_id=trace, texts=[canary], reason="Asked for."
    )
    services.seal(tenant)
    sent = approvals.test_endpoint(tenant, principal=principal, endpoint_id=str(hook.pk))
    approvals.fan_out(tenant)
    assert audit is not None
    assert member is not None
    ids = {
        "slug": tenant.slug, "trace_id": trace, "replay_id": str(replay.pk), "ident": letter.pk, "seq": 0,
        "member_id": member.pk, "token_id": token.pk, "text": link.rpartition("/")[2][:-1] + "x", "url": "none",
        "app_label": "tenants", "view_id": view.pk, "export_id": str(export.pk),
        "approval_id": str(item.pk), "incident_id": str(incident.pk), "action": "comment", "policy_id": str(policy.pk),
        "producer_id": "desk", "webhook_id": str(hook.pk), "delivery_id": str(sent.pk), "erasure_id": str(asked.pk),
        "mark": "0" * 16,
    }  # fmt: skip
    ids |= {"audit": audit.pk, "membership": member.pk, "apitoken": token.pk, "tenant": tenant.pk, "user": cast.bob.pk}
    ids |= {"item": item.pk, "incident": incident.pk, "slapolicy": policy.pk, "endpoint": hook.pk, "delivery": sent.pk}
    return Acme(cast, canary, ids)


# --- every address ----------------------------------------------------------------------------


def routes(resolver: Any = None, prefix: str = "") -> Iterator[str]:
    """The patterns of all addresses."""
    for entry in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, pattern)
        elif isinstance(entry, URLPattern):
            yield pattern


ROUTES = sorted(set(routes()))
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")


def address(route: str, ids: dict[str, Any]) -> str:
    """An address of the route, with acme's things in it. KeyError: the table of `fill` lacks an argument."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name == "object_id":
            model = route.split("/")[2]
            return str(ids.get({"auditentry": "audit"}.get(model, model), ids.get(model, 1)))
        return str(ids[name])

    return "/" + ARGUMENT.sub(value, route).replace("^", "").replace("$", "")


@pytest.mark.trust("G1")
def test_every_route_has_sample_arguments(acme: Acme) -> None:
    without = []
    for route in ROUTES:
        try:
            address(route, acme.ids)
        except KeyError as missing:
            without.append((route, str(missing)))
    assert without == [], "add the argument to `fill`"
    assert len(ROUTES) > 60


# --- every stranger ---------------------------------------------------------------------------


def anonymous(acme: Acme) -> Client:
    return Client(raise_request_exception=False)


def foreign_admin(acme: Acme) -> Client:
    """Mallory's browser."""
    client = acme.cast.browser(acme.cast.mallory)
    client.raise_request_exception = False
    return client


def foreign_api(acme: Acme) -> Client:
    """The same browser, asking the API for acme by name."""
    client = foreign_admin(acme)
    client.defaults["HTTP_X_TENANT"] = acme.cast.acme.slug
    return client


def foreign_token(acme: Acme) -> Client:
    _token, text = make_token(acme.cast.globex)
    return Client(headers={"Authorization": f"Bearer {text}"}, raise_request_exception=False)


def revoked_token(acme: Acme) -> Client:
    token, text = make_token(acme.cast.acme)
    people.revoke_token(acme.cast.acme, principal=system_principal(acme.cast.acme), token_id=token.pk)
    return Client(headers={"Authorization": f"Bearer {text}"}, raise_request_exception=False)


STRANGERS: dict[str, Callable[[Acme], Client]] = {
    "anonymous": anonymous,
    "admin of another tenant": foreign_admin,
    "the same, naming acme": foreign_api,
    "token of another tenant": foreign_token,
    "revoked token of acme": revoked_token,
}


def everything(make: Callable[[], Client], ids: dict[str, Any], only: str = "") -> Iterator[tuple[str, str, Any]]:
    """(method, route, answer) of all routes that contain ``only``; after a sign-out the client is made anew."""
    client = make()
    for route in ROUTES:
        if only not in route:
            continue
        path = address(route, ids)
        for method in ADMIN_METHODS if route.startswith("admin/") else METHODS:
            if route in ("signout", "admin/logout/"):
                client = make()
            body = b"{}" if method in ("POST", "PUT", "PATCH") else b""
            yield method, route, client.generic(method, path, body, content_type="application/json")


def shown(answer: Any) -> str:
    """All that an answer says."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return body.decode("utf-8", "replace") + repr(dict(answer.headers)) + str(answer.cookies)


@pytest.mark.trust("G1")
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_finds_nothing(acme: Acme, stranger: str) -> None:
    make, problems = STRANGERS[stranger], []
    only = "api/" if stranger == "the same, naming acme" else ""  # nothing else listens to that name
    for method, route, answer in everything(lambda: make(acme), acme.ids, only):
        where = f"{method} {route} -> {answer.status_code}"
        if answer.status_code >= 500:
            problems.append(where)
        if acme.canary in shown(answer):
            problems.append(f"{where}: canary")
        if route.startswith("t/") and answer.status_code not in (302, 401, 403, 404, 405):
            problems.append(f"{where}: a page of acme")
        nobody = stranger in ("anonymous", "revoked token of acme") and method != "OPTIONS"
        if nobody and answer.status_code < 300 and route not in OPEN and not route.startswith(OPEN_PREFIXES):
            problems.append(f"{where}: open to anybody")
    assert problems == []


@pytest.mark.trust("G1")
def test_a_stranger_in_their_own_console_finds_nothing_of_acme(acme: Acme) -> None:
    """Acme's ids under one's own slug."""
    mine = acme.ids | {"slug": acme.cast.globex.slug}
    problems = []
    for method, route, answer in everything(lambda: foreign_admin(acme), mine, "<slug"):
        if answer.status_code >= 500 or acme.canary in shown(answer):
            problems.append(f"{method} {route} -> {answer.status_code}")
    assert problems == []


@pytest.mark.trust("G1", control=True)
def test_the_control_acmes_own_people_do_see_it(acme: Acme) -> None:
    alice, program = acme.cast.browser(acme.cast.alice), acme.cast.program()
    seen = set()
    for client in (alice, program):
        client.raise_request_exception = False
        for route in ROUTES:
            if route == "signout":
                continue
            answer = client.get(address(route, acme.ids))
            assert answer.status_code < 500, route
            if acme.canary in shown(answer):
                seen.add(route)
    assert len(seen) >= 20, seen
    assert {"t/<slug:slug>/", "t/<slug:slug>/traces", "api/v1/events", "api/v1/traces", "api/v1/tokens"} <= seen
    assert {"api/v1/exports/<uuid:export_id>/file", "t/<slug:slug>/exports/<uuid:export_id>/file"} <= seen
    assert {"api/v1/views", "api/v1/exports"} <= seen
    assert {f"t/<slug:slug>/{name}" for name in WORKFLOW} <= seen
    assert {"api/v1/ingest/refusals", "api/v1/replays", "api/v1/audit", "admin/traces/event/"} <= seen
    assert {f"admin/approvals/{name}/" for name in ("item", "incident", "slapolicy", "endpoint", "outbox")} <= seen


@pytest.mark.trust("G1", control=True)
def test_without_the_managers_the_database_still_holds(acme: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the policy: no queryset filters on the tenant, and nothing more is seen."""
    monkeypatch.setattr(TenantManager, "get_queryset", models.Manager.get_queryset)
    mine = acme.ids | {"slug": acme.cast.globex.slug}
    for client in (foreign_token(acme), foreign_admin(acme)):
        for route in ROUTES:
            answer = client.get(address(route, mine))
            assert acme.canary not in shown(answer), route
    with tenant_tx(acme.cast.globex), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM traces_event WHERE tenant_id = %s", [acme.cast.acme.pk])
        assert cursor.fetchone() == (0,)
        assert not ApiToken.objects.filter(tenant_id=acme.cast.acme.pk).exists()


def test_the_control_without_filter_and_policy_a_stranger_sees_it(
    acme: Acme, monkeypatch: pytest.MonkeyPatch, stack_environ: dict[str, str]
) -> None:
    """Both taken away, the canary shows: the two tests above would notice if either failed."""
    monkeypatch.setattr(TenantManager, "get_queryset", models.Manager.get_queryset)
    with psycopg.connect(endpoints(stack_environ).database_url_admin, autocommit=True) as admin:
        try:
            admin.execute("ALTER TABLE tenants_apitoken DISABLE ROW LEVEL SECURITY")
            assert acme.canary in shown(foreign_token(acme).get("/api/v1/tokens"))
        finally:
            admin.execute("ALTER TABLE tenants_apitoken ENABLE ROW LEVEL SECURITY")
    assert acme.canary not in shown(foreign_token(acme).get("/api/v1/tokens"))
