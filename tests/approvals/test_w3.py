"""W3: every write of the workflow is whole or not there at all.

Each write is done again and again, and broken off right after its first statement, its second, and so on
to the last one before the commit, whatever these statements are. Nothing of it may be seen afterwards: no
row, no event, no audit line, no doorbell. Then it is let through, and has to have written all it should.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection

from approvals import services
from approvals.domain import notices, sla
from approvals.domain.workflow import TIMER
from approvals.models import Delivery, Incident, Item, Notification, Outbox, Timer
from approvals.services import acts, delivering, people, upkeep, wire
from approvals.services.follow import _step
from decisiongraph.core import bus, clock
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import ACTION, House

pytestmark = pytest.mark.django_db

Do = Callable[[], Any]
QUICK = sla.Policy(
    deadline=sla.Deadline(seconds=100),
    reminder=sla.Moment(of="start", seconds=50),
    risk=sla.Moment(of="deadline", seconds=-20),
    escalations=(sla.Level(of="deadline", seconds=0),),
    expiry=sla.Moment(of="start", seconds=400),
)
OTHER = [{"path": "refund.amount", "old_value": "0.00", "new_value": "9999.00"}]


class Broken(BaseException):
    """The process stops here."""


@pytest.fixture(scope="module")
def house(django_db_setup: None, django_db_blocker: Any) -> Iterator[House]:
    """One tenant for all of this file, with somebody who listens."""
    with django_db_blocker.unblock():
        made = House()
        services.create_endpoint(made.tenant, principal=made.alice, url="https://example.org/hook")
        services.create_policy(
            made.tenant, principal=made.alice, name="quick", definition=QUICK, applies=sla.Match(subject_type="action")
        )
        yield made


# --- what each write is -------------------------------------------------------------------------------


def on_item(name: str, *, by: str = "rita", versioned: bool = True, **asked: Any) -> Callable[[House], Do]:
    """An action of people on a fresh item."""

    def prepare(house: House, item: Item | None = None) -> Do:
        item = item or house.ask()
        more = {key: value(house, item) if callable(value) else value for key, value in asked.items()}
        more |= {"version": item.version} if versioned else {}
        return lambda: getattr(services, name)(
            house.tenant, principal=getattr(house, by), item_id=str(item.pk), key=f"k-{item.pk}-{name}", **more
        )

    return prepare


def after(first: Callable[[House], Do], then: Any) -> Callable[[House], Do]:
    """The second action on the item of the first."""
    return lambda house: then(house, item=first(house)())


def clockwork(call: Callable[..., Any], **asked: Any) -> Callable[[House], Do]:
    """What the platform's own clock does to an item."""

    def prepare(house: House) -> Do:
        item, platform = house.ask(), people.platform(house.tenant)
        assert TIMER in people.person(platform).permissions
        return lambda: call(house.tenant, principal=platform, item_id=str(item.pk), **asked)

    return prepare


def ringing(kind: str) -> Callable[[House], Do]:
    """A timer that is due."""

    def prepare(house: House) -> Do:
        item = house.ask()
        with tenant_tx(house.tenant):
            timer = Timer.objects.get(item_id=item.pk, kind=kind)
            timer.due_at = clock.now() - timedelta(seconds=1)
            timer.save()
        return lambda: services.fire(house.tenant, timer.pk)

    return prepare


def on_incident(action: str, **asked: Any) -> Callable[[House], Do]:
    """What people do with an incident."""

    def prepare(house: House) -> Do:
        incident = opened(house)
        if action == "reopen":
            incident = services.act_on_incident(
                house.tenant, principal=house.alice, incident_id=str(incident.pk), action="resolve", version=1, text="x"
            )
        return lambda: services.act_on_incident(
            house.tenant, principal=house.alice, incident_id=str(incident.pk), action=action, version=incident.version,
            key=f"k-{incident.pk}", **asked,
        )  # fmt: skip

    return prepare


def opened(house: House) -> Incident:
    return services.open_incident(house.tenant, principal=house.alice, title="Odd", severity="low")


def following(*events: str) -> Callable[[House], Do]:
    """A batch of the log that asks for something."""

    def prepare(house: House) -> Do:
        trace = house.trace()
        house.append(house.proposal(trace))
        house.follow()
        (item,) = house.items(trace_id=trace)
        made = {
            "another": lambda: house.proposal(house.trace()),
            "same": lambda: house.proposal(trace),
            "other": lambda: house.proposal(trace, changes=OTHER),
            "wrong": lambda: house.commit(trace, approval_id=str(item.pk), executed={**ACTION, "changes": OTHER}),
            "right": lambda: house.commit(trace, approval_id=str(item.pk), executed=ACTION),
        }
        if {"right", "wrong"} & set(events):
            house.decide(item)
        house.follow()
        house.append(*(made[name]() for name in events))
        return lambda: _step(house.tenant, 100)

    return prepare


def told(house: House) -> Do:
    house.decide(house.ask())
    return lambda: services.fan_out(house.tenant)


def delivered(status: int, attempts: int) -> Callable[[House], Do]:
    """An attempt that came back, to be written down."""

    def prepare(house: House) -> Do:
        hook, _secret = services.create_endpoint(house.tenant, principal=house.alice, url="https://example.org/other")
        row = services.test_endpoint(house.tenant, principal=house.alice, endpoint_id=str(hook.pk))
        with tenant_tx(house.tenant):
            Delivery.objects.filter(pk=row.pk).update(attempts=attempts)
        outcome = wire.Outcome(status, "", "93.184.216.34", 12)
        return lambda: delivering._write_down(house.tenant, row, outcome, clock.now())

    return prepare


def endpoint(name: str, **asked: Any) -> Callable[[House], Do]:
    def prepare(house: House) -> Do:
        hook, _secret = services.create_endpoint(house.tenant, principal=house.alice, url="https://example.org/third")
        call = getattr(services, name)
        return lambda: call(house.tenant, principal=house.alice, endpoint_id=str(hook.pk), **asked)

    return prepare


def redelivered(house: House) -> Do:
    hook, _secret = services.create_endpoint(house.tenant, principal=house.alice, url="https://example.org/fourth")
    row = services.test_endpoint(house.tenant, principal=house.alice, endpoint_id=str(hook.pk))
    with tenant_tx(house.tenant):
        Delivery.objects.filter(pk=row.pk).update(state=Delivery.DEAD)
    return lambda: services.redeliver(house.tenant, principal=house.alice, delivery_id=str(row.pk))


def policy(service: str, **asked: Any) -> Callable[[House], Do]:
    def prepare(house: House) -> Do:
        row = services.create_policy(
            house.tenant, principal=house.alice, name=uuid.uuid4().hex, definition=QUICK,
            applies=sla.Match(workflow="none"),
        )  # fmt: skip
        return lambda: getattr(services, service)(house.tenant, principal=house.alice, policy_id=str(row.pk), **asked)

    return prepare


def unread(house: House) -> Do:
    told(house)()
    with tenant_tx(house.tenant):
        assert Notification.objects.filter(user_id=house.cast.rita.pk, read_at=None).exists()
    return lambda: services.mark_read(house.tenant, principal=house.rita)


def forgotten(house: House) -> Do:
    told(house)()
    with tenant_tx(house.tenant):
        Outbox.objects.filter(handled_at__isnull=False).update(at=clock.now() - timedelta(days=900))
    return lambda: upkeep.forget_of(house.tenant, upkeep.horizon(clock.now()))


def asked_for(house: House) -> Do:
    trace = house.trace()
    return lambda: services.open_item(
        house.tenant, principal=house.bob, trace_id=trace, subject_type="refund", subject_id="r-1", reason="Please.",
        key=f"k-{trace}",
    )  # fmt: skip


CHANGES = {"reason": "Say which fare."}
ACT = {"item", "step", "auditentry", "outbox", "event", "once"}
END = {*ACT, "timer"}
WORK = {"incident", "incidententry", "auditentry", "outbox", "once"}

WRITES: dict[str, tuple[Callable[[House], Do], set[str]]] = {
    "claim": (on_item("claim"), ACT),
    "release": (after(on_item("claim"), on_item("release")), ACT),
    "approve": (on_item("decide", decision="approved", reason="Fits."), {*END, "vote"}),
    "reject": (on_item("decide", decision="rejected", reason="Does not."), {*END, "vote"}),
    "request changes": (on_item("request_changes", **CHANGES), ACT),
    "resubmit": (
        after(on_item("request_changes", **CHANGES), on_item("resubmit", by="agent", reason="Fare Y.", evidence=[])),
        ACT,
    ),
    "escalate": (on_item("escalate", reason="Too much for me."), ACT),
    "override": (
        on_item("override", by="alice", reason="Now.", confirmation=lambda _house, item: item.subject_id),
        END,
    ),
    "withdraw": (on_item("withdraw", by="alice", reason="Not needed."), END),
    "comment": (on_item("comment", versioned=False, text="Who pays?"), {"comment", "auditentry", "outbox", "once"}),
    "reassign": (on_item("reassign", to="role:admin"), ACT),
    "delegate": (
        on_item(
            "delegate",
            by="alice",
            reason="On leave.",
            to=lambda house, _item: house.rita.ident,
            ends_at=lambda _house, _item: clock.now() + timedelta(days=1),
        ),
        {*ACT, "delegation"},
    ),
    "expire": (clockwork(acts.expire), END - {"once"}),
    "escalate by timer": (clockwork(acts.escalate_by_timer, to="role:admin", level=1), ACT - {"once"}),
    "open an item": (asked_for, {*ACT, "timer"}),
    "open an incident": (lambda house: lambda: opened(house), {*WORK, "event"} - {"once"}),
    "acknowledge": (on_incident("acknowledge"), WORK),
    "assign": (on_incident("assign", assignee="user:x@example.org"), WORK),
    "resolve": (on_incident("resolve", text="Done."), {*WORK, "event"}),
    "reopen": (on_incident("reopen", text="Again."), {*WORK, "event"}),
    "link": (on_incident("link", link=("trace", "t-1")), {"incidentlink", "incidententry", "auditentry", "outbox"}),
    "follow: opens": (following("another"), {"item", "step", "timer", "outbox", "event", "follower"}),
    "follow: attaches": (following("same"), {"item", "step", "follower"}),
    "follow: supersedes": (following("other"), {"item", "step", "timer", "outbox", "event", "follower"}),
    "follow: uses the ticket": (following("right"), {"item", "step", "follower"}),
    "follow: opens an incident": (
        following("wrong"),
        {"step", "incident", "incidententry", "incidentlink", "outbox", "event", "follower"},
    ),
    "timer: reminder": (ringing("reminder"), {"timer", "step", "outbox", "event"}),
    "timer: deadline": (ringing("deadline"), {"timer", "step", "outbox", "event", "incident", "incidententry"}),
    "timer: escalation": (ringing("escalation"), {"timer", "item", "step", "outbox", "event", "auditentry"}),
    "timer: expiry": (ringing("expiry"), {"timer", "item", "step", "outbox", "event", "auditentry"}),
    "fan out": (told, {"outbox", "notification", "delivery"}),
    "a delivery arrived": (delivered(200, 1), {"delivery", "attempt"}),
    "a delivery is dead": (delivered(410, 1), {"delivery", "attempt", "endpoint", "auditentry"}),
    "redeliver": (redelivered, {"delivery", "auditentry"}),
    "rotate a secret": (endpoint("rotate_secret"), {"endpoint", "auditentry"}),
    "change an endpoint": (endpoint("change_endpoint", enabled=False), {"endpoint", "auditentry"}),
    "remove an endpoint": (endpoint("delete_endpoint"), {"endpoint", "auditentry"}),
    "change a policy": (policy("change_policy", version=1, name="other"), {"slapolicy", "auditentry"}),
    "remove a policy": (policy("delete_policy"), {"slapolicy", "auditentry"}),
    "watch a producer": (
        lambda house: (
            lambda: services.watch_producer(house.tenant, principal=house.alice, producer_id="desk", seconds=3600)
        ),
        {"producerwatch", "auditentry"},
    ),
    "read notifications": (unread, {"notification"}),
    "choose ways": (
        lambda house: (
            lambda: services.choose_ways(
                house.tenant, principal=house.rita, ways={next(iter(notices.KINDS)): notices.Way(False, False)}
            )
        ),
        {"preference"},
    ),
    "forget": (forgotten, {"outbox"}),
}


# --- breaking them ------------------------------------------------------------------------------------

TABLES = {model._meta.model_name: model._meta.db_table for model in apps.get_app_config("approvals").get_models()}
COUNTED = {"auditentry": "tenants_auditentry", "event": "traces_event"}
"""Tables that are only ever appended to."""


def everything(house: House) -> dict[str, str]:
    """A print of all rows of the tenant, table by table."""
    parts = [
        f"SELECT '{name}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t WHERE tenant_id = %(tenant)s"
        for name, table in TABLES.items()
    ]
    parts += [
        f"SELECT '{name}', count(*)::text FROM {table} WHERE tenant_id = %(tenant)s" for name, table in COUNTED.items()
    ]
    with tenant_tx(house.tenant), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), {"tenant": house.tenant.pk})
        return dict(cursor.fetchall())


@contextmanager
def broken_after(number: int) -> Iterator[list[str]]:
    """This thread stops right after its statement of that number; yields the statements it got to."""
    original, me, seen = psycopg.Cursor.execute, threading.get_ident(), []

    def execute(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, query, *args, **kwargs)
        text = str(query)
        if threading.get_ident() == me and not text.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")):
            seen.append(text)
            if len(seen) == number:
                raise Broken
        return found

    psycopg.Cursor.execute = execute  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        psycopg.Cursor.execute = original  # type: ignore[method-assign]


@pytest.mark.trust("W3")
@pytest.mark.parametrize("name", WRITES)
def test_w3_whole_or_not_at_all(house: House, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, expected = WRITES[name]
    do = prepare(house)
    rang: list[str] = []
    monkeypatch.setattr(bus, "_announce", lambda *args: rang.append(str(args)))
    before = everything(house)
    for number in range(1, 200):
        with broken_after(number) as seen:
            try:
                do()
            except Broken:
                pass
            else:
                break
        assert everything(house) == before, f"{name}: something stays after {seen[-1][:300]}"
        assert rang == [], f"{name}: somebody was told after {seen[-1][:300]}"
    else:
        pytest.fail("it never ends")
    changed = {table for table, found in everything(house).items() if found != before[table]}
    assert expected <= changed, f"{name} wrote {changed}"
    if "outbox" in expected and name not in ("forget", "fan out"):
        assert rang, "nobody was told"
    assert number > 1, "the control: there was something to break"


@pytest.mark.trust("W3", control=True)
def test_w3_control_a_write_in_two_transactions_is_seen(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same check finds a service that commits its rows before its event."""
    item = house.ask()

    def halves() -> None:
        with tenant_tx(house.tenant):
            Item.objects.filter(pk=item.pk).update(title="changed")
        services.claim(house.tenant, principal=house.rita, item_id=str(item.pk), version=1)

    before = everything(house)
    with broken_after(4), pytest.raises(Broken):
        halves()
    assert everything(house) != before
