"""What is over is forgotten; a tenant that was there before the workflow follows from its head; admin pages."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from approvals import migrations, services
from approvals.models import Attempt, Delivery, Follower, Notification, Once, Outbox
from approvals.services import upkeep
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.models import AuditEntry
from tests.approvals.house import House
from traces import selectors as traces

pytestmark = pytest.mark.django_db

(_FILE,) = Path(str(migrations.__file__)).parent.glob("*_upkeep.py")
BEGIN_AT_HEAD = import_module(f"approvals.migrations.{_FILE.stem}").BEGIN_AT_HEAD
OLD, NEW = timedelta(days=400), timedelta(days=0)


# --- retention ----------------------------------------------------------------------------------------


def leftovers(house: House, age: timedelta, *, waiting: bool) -> None:
    """One row of everything that can grow old; ``waiting``: not handed out, not delivered yet."""
    at, tenant = clock.now() - age, house.tenant.pk
    with tenant_tx(house.tenant):
        row = Outbox.objects.create(
            tenant_id=tenant, message="approval.updated", kind="approval", ident="x", at=at,
            handled_at=None if waiting else at,
        )  # fmt: skip
        delivery = Delivery.objects.create(
            id=uuid.uuid4(), tenant_id=tenant, channel=Delivery.WEBHOOK, outbox_id=row.pk, target="t", message="m",
            body="{}", created_at=at, next_at=clock.now() + OLD, state=Delivery.WAITING if waiting else Delivery.DONE,
        )  # fmt: skip
        Attempt.objects.create(tenant_id=tenant, delivery_id=delivery.pk, number=1, at=at)
        if not waiting:
            Notification.objects.create(
                tenant_id=tenant, user_id=1, outbox_id=row.pk, kind="k", message="m", subject="s", ident="x", title="t",
                at=at,
            )  # fmt: skip
            Once.objects.create(tenant_id=tenant, principal="p", key=uuid.uuid4().hex, asked="a", target="t", at=at)


def kept(house: House) -> dict[str, int]:
    with tenant_tx(house.tenant):
        models: tuple[Any, ...] = (Outbox, Notification, Delivery, Attempt, Once)
        return {model.__name__: model.objects.count() for model in models}


def test_what_is_over_and_old_goes_and_nothing_else(house: House) -> None:
    item = house.ask()
    house.decide(item, key="k-1")
    services.fan_out(house.tenant)
    before, said, steps = kept(house), house.said(item), house.steps(item)
    assert before["Once"] == 1
    leftovers(house, NEW, waiting=False)
    leftovers(house, OLD, waiting=True)
    young = kept(house)
    for _ in range(3):
        leftovers(house, OLD, waiting=False)
    assert kept(house) != young
    gone = Counter[str]()
    while went := services.forget(batch=2):
        gone += went
    assert kept(house) == young
    assert set(gone) == {"outbox", "notification", "delivery", "attempt", "once"}
    assert (house.said(item), house.steps(item)) == (said, steps)
    with tenant_tx(house.tenant):  # no worker of another test may find what never was a message
        Outbox.objects.update(handled_at=clock.now())
        Delivery.objects.update(state=Delivery.DONE)


def test_the_settings_say_how_long(house: House, settings: Any) -> None:
    leftovers(house, timedelta(days=5), waiting=False)
    services.forget()
    assert set(kept(house).values()) == {1}
    settings.OUTBOX_DAYS = settings.DELIVERY_DAYS = settings.NOTIFICATION_DAYS = settings.IDEMPOTENCY_DAYS = 4
    services.forget()
    assert set(kept(house).values()) == {0}
    moments = upkeep.horizon(clock.now())
    settings.IDEMPOTENCY_DAYS = 9
    assert upkeep.horizon(clock.now()).once < moments.once


# --- tenants that were there before -------------------------------------------------------------------


def as_before_the_workflow(house: House) -> str:
    """A tenant with a request in its log and, as before the upgrade, nobody who follows it."""
    trace = house.trace()
    house.append(house.proposal(trace))
    with tenant_tx(house.tenant):
        assert not Follower.objects.exists()
    return trace


def upgrade() -> None:
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_AT_HEAD)


def cursor_of(house: House) -> int:
    with tenant_tx(house.tenant):
        return Follower.objects.get().cursor


def test_an_upgraded_tenant_follows_from_its_head(house: House) -> None:
    old = as_before_the_workflow(house)
    upgrade()
    assert cursor_of(house) == traces.head(house.tenant)
    house.follow()
    assert house.items(trace_id=old) == []
    new = house.trace()
    house.append(house.proposal(new))
    house.follow()
    assert len(house.items(trace_id=new)) == 1


def test_the_upgrade_moves_no_cursor_and_makes_none_for_an_empty_log(house: House) -> None:
    upgrade()
    with tenant_tx(house.tenant):
        assert not Follower.objects.exists(), "what comes next is new, however late somebody follows"
    item = house.ask()
    stood = cursor_of(house)
    house.append(house.proposal(house.trace()))
    upgrade()
    assert cursor_of(house) == stood
    house.follow()
    assert len(house.items()) == 2
    assert item.pk in {each.pk for each in house.items()}


def test_all_of_the_log_is_followed_when_somebody_asks_for_it(house: House) -> None:
    old = as_before_the_workflow(house)
    upgrade()
    call_command("follow_from_start", tenant=house.tenant.slug, reason="Requests of last week still wait.")
    house.follow()
    assert len(house.items(trace_id=old)) == 1
    with tenant_tx(house.tenant):
        line = AuditEntry.objects.get(action="workflow.followed_from_start")
    assert (line.reason, line.after) == ("Requests of last week still wait.", {"cursor": 0})
    with pytest.raises(CommandError, match="opened nothing"):
        call_command("follow_from_start", tenant=house.tenant.slug, reason="again")
    with pytest.raises(Problem) as refused:
        services.from_start(house.tenant, principal=house.alice, reason="again")
    assert (refused.value.status, refused.value.code) == (409, "workflow.already_followed")
    with pytest.raises(CommandError, match="no tenant"):
        call_command("follow_from_start", tenant="nobody-here", reason="x")


# --- Django's admin -----------------------------------------------------------------------------------


def test_admin_pages_show_the_workflow_and_no_secret(house: House) -> None:
    item = house.ask()
    services.export_item(house.tenant, principal=house.alice, item_id=str(item.pk))
    hook, secret = services.create_endpoint(house.tenant, principal=house.alice, url="https://example.org/hook")
    browser = house.person(house.cast.alice)

    def page(model: str, *arguments: Any, app: str = "approvals") -> str:
        name = f"admin:{app}_{model}_{'change' if arguments else 'changelist'}"
        answer = browser.get(reverse(name, args=arguments))
        assert answer.status_code == 200, model
        return answer.content.decode()

    assert item.title in page("item")
    assert str(item.action_digest) in page("item", item.pk)
    assert "https://example.org/hook" in page("endpoint", hook.pk)
    shown = page("endpoint", hook.pk) + page("signingkey", app="tenants")
    assert secret not in shown
    assert "private" not in shown.lower()
    assert 'name="_save"' not in page("item", item.pk)
    assert browser.post(reverse("admin:approvals_item_delete", args=[item.pk]), {"post": "yes"}).status_code == 403
