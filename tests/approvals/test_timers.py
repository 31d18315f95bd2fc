"""Timers ring once, in time, whatever the clock and however many beats (W2)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from approvals import services
from approvals.domain.sla import Deadline, Level, Match, Moment, Policy
from approvals.models import Timer
from approvals.selectors import items as selectors
from approvals.services import acts
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tests.approvals.house import Hands, House
from tests.approvals.plans import blocks
from tests.approvals.scenarios import ring_over_kills
from tests.trust.sizes import size

pytestmark = pytest.mark.django_db

QUICK = Policy(
    deadline=Deadline(seconds=100),
    reminder=Moment(of="start", seconds=50),
    risk=Moment(of="deadline", seconds=-20),
    escalations=(Level(of="deadline", seconds=0), Level(of="deadline", seconds=100, to="role:reviewer")),
    expiry=Moment(of="start", seconds=400),
)


def sweep_until_quiet() -> int:
    fired = 0
    while (swept := services.sweep()).due and swept.fired:
        fired += swept.fired
    return fired


def use(house: House, policy: Policy, **match: Any) -> None:
    services.create_policy(house.tenant, principal=house.alice, name="quick", definition=policy, applies=Match(**match))


def test_everything_rings_in_its_order(house: House, hands: Hands) -> None:
    use(house, QUICK)
    item = house.ask()
    heard = []
    for seconds in (49, 1, 30, 20, 100, 200, 1000):
        hands.forward(seconds=seconds)
        services.sweep()
        services.sweep()
        heard.append((house.steps(item)[-1], house.item(item).status, house.item(item).level))
    assert heard == [
        ("request", "requested", 0),
        ("remind", "requested", 0),
        ("risk", "requested", 0),
        ("escalate", "escalated", 1),
        ("escalate", "escalated", 2),
        ("expire", "expired", 2),
        ("expire", "expired", 2),
    ]
    assert house.item(item).assignee == "role:reviewer"
    assert house.steps(item) == ["request", "remind", "risk", "breach", "escalate", "escalate", "expire"]
    (incident,) = house.incidents()
    assert (incident.cause, incident.item_id) == ("sla.breached", item.pk)
    assert house.said(item)[-1] == "TraceFinished"
    assert {timer.state for timer in house.timers(item)} == {"fired"}


def test_a_decision_silences_what_has_not_rung(house: House, hands: Hands) -> None:
    use(house, QUICK)
    item = house.ask()
    hands.forward(seconds=60)
    services.sweep()
    house.decide(house.item(item))
    hands.forward(days=9)
    services.sweep()
    assert house.steps(item) == ["request", "remind", "approve"]
    assert Counter(timer.state for timer in house.timers(item)) == {"fired": 1, "cancelled": 5}
    assert house.incidents() == []


def test_the_policy_is_the_one_of_the_opening(house: House, hands: Hands) -> None:
    use(house, QUICK)
    item = house.ask()
    before = item.due_at
    row = services.create_policy(
        house.tenant, principal=house.alice, name="slower", definition=Policy(deadline=Deadline(seconds=9999)),
        applies=Match(subject_type="action"),
    )  # fmt: skip
    assert house.item(item).due_at == before
    later = house.ask()
    assert (later.sla_name, later.due_at) == ("slower", hands.at + timedelta(seconds=9999))
    services.delete_policy(house.tenant, principal=house.alice, policy_id=str(row.pk))
    assert house.ask().sla_name == "quick"


@pytest.mark.trust("W2")
def test_clock_steps(house: House, hands: Hands) -> None:
    use(house, QUICK)
    item = house.ask()
    hands.forward(seconds=-3600)
    assert sweep_until_quiet() == 0
    hands.forward(seconds=3600 + 51)
    services.sweep()
    hands.forward(seconds=-600)
    services.sweep()
    hands.forward(seconds=600)
    services.sweep()
    assert house.steps(item).count("remind") == 1


@pytest.mark.trust("W2")
def test_w2_many_timers_two_beats_crashes_and_clock_steps(
    house: House, monkeypatch: pytest.MonkeyPatch, figures: Callable[..., None]
) -> None:
    items = size(60, 250)
    rang = ring_over_kills(house, monkeypatch, items=items, over=size(0.0, 30.0))
    assert (rang.timers, rang.fired) == (2 * items, 2 * items)
    assert len(rang.steps) == 2 * items
    assert set(rang.steps.values()) == {1}
    assert rang.crashes > 10, "nothing ever died"
    assert rang.late <= size(60.0, 5.0)
    figures(timers=rang.timers, beats_killed=rang.crashes, twice=0, latest_seconds=round(rang.late, 2))


@pytest.mark.trust("W2", control=True)
def test_w2_control_a_timer_that_is_not_marked_rings_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row that says it has been fired is what keeps it from ringing again."""
    use(house, QUICK)
    item = house.ask()
    with tenant_tx(house.tenant):
        Timer.objects.filter(kind="reminder").update(due_at=clock.now() - timedelta(seconds=1))
    save = Timer.save
    monkeypatch.setattr(Timer, "save", lambda row, **more: None if row.state == "fired" else save(row, **more))
    (timer,) = [timer for timer in house.timers(item) if timer.kind == "reminder"]
    assert services.fire(house.tenant, timer.pk)
    with pytest.raises(Problem):  # the log knows the key of this ring, and says no
        services.fire(house.tenant, timer.pk)


def test_a_timer_and_a_decision_meet(house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item somebody is deciding right now is left alone until the next tick."""
    use(house, QUICK)
    item = house.ask()
    hands.forward(seconds=60)
    with tenant_tx(house.tenant):
        acts.held(str(item.pk))

        def elsewhere() -> None:
            try:
                services.sweep()
            finally:
                connection.close()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), "it waits for the item"
    assert house.steps(item) == ["request"]
    services.sweep()
    assert house.steps(item) == ["request", "remind"]


def test_health_says_whether_due_timers_fire(house: House, hands: Hands) -> None:
    use(house, QUICK)
    house.ask()
    assert selectors.summary(house.tenant).timers_ok
    hands.forward(seconds=60)
    late = selectors.summary(house.tenant)
    assert (late.timers_ok, late.timers_due, late.timers_late_seconds) == (False, 1, 10.0)
    services.sweep()
    assert selectors.summary(house.tenant).timers_ok
    hands.forward(seconds=60)
    assert selectors.summary(house.tenant).overdue == 1


def test_the_invariant_is_a_health_line_and_a_series(house: House, hands: Hands) -> None:
    """Asked at the moment of the question: with beat dead nobody else would say it."""
    use(house, QUICK)
    house.ask()
    client = house.client("read")

    def seen() -> tuple[Any, Any, dict[str, float]]:
        lines = client.get("/metrics").content.decode().splitlines()
        series = dict(line.rsplit(" ", 1) for line in lines if line.startswith("dg_timers_"))
        return (
            client.get("/api/v1/projections/health").json()["checks"]["timers"],
            client.get("/readyz").json()["checks"]["timers"],
            {name.removeprefix("dg_timers_"): float(value) for name, value in series.items()},
        )

    good = {"ok": True, "due_unfired": 0, "latest_seconds": 0.0}
    mine, everywhere, series = seen()
    assert mine == good
    assert everywhere == series == selectors.timers_everywhere()
    hands.forward(seconds=60)
    mine, everywhere, series = seen()
    assert mine == {"ok": False, "due_unfired": 1, "latest_seconds": 10.0}
    # Other tests' tenants share the database, so there may be more of them.
    assert everywhere == series == selectors.timers_everywhere()
    assert (everywhere["ok"], everywhere["due_unfired"] >= 1, everywhere["latest_seconds"] >= 10) == (False, True, True)
    assert client.get("/readyz").status_code == 200, "late timers are reported; the process serves"
    services.sweep()
    assert seen()[0] == good
    assert 'dg_timer_lateness_seconds_bucket{kind="reminder",le="10.0"}' in client.get("/metrics").content.decode()


def test_the_sweep_reads_what_is_due_and_not_what_is_open(house: House) -> None:
    """By the blocks it touches: thirty times as many timers that are not due cost it next to nothing."""
    model = house.ask()
    longest_ago = clock.now() - timedelta(days=300)  # before whatever other tests left due

    def ring(first: int, last: int, due: str) -> None:
        with tenant_tx(house.tenant), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO approvals_timer (tenant_id, item_id, kind, level, due_at, state) "
                f"SELECT %s, %s, 'reminder', n, {due}, 'waiting' FROM generate_series(%s, %s) AS n",
                [house.tenant.pk, model.pk, first, last],
            )

    def read(index: str = "on") -> int:
        given = [longest_ago + timedelta(days=1), 500]
        with tenant_tx(house.tenant):
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")  # not one of another test's call
                cursor.execute(f"SET LOCAL enable_indexscan = {index}")
                cursor.execute(f"SET LOCAL enable_indexonlyscan = {index}")
                cursor.execute(f"SET LOCAL enable_bitmapscan = {index}")
                cursor.execute("SELECT count(*) FROM dg_due_timers(%s, %s)", given)
                assert cursor.fetchone() == (20,)
            return blocks("SELECT * FROM dg_due_timers(%s, %s)", given)

    try:
        ring(1, 20, f"'{longest_ago.isoformat()}'::timestamptz + make_interval(secs => n)")
        ring(21, 520, "now() + make_interval(hours => 1, secs => n)")
        few = read()
        ring(521, 15_520, "now() + make_interval(hours => 1, secs => n)")
        assert read() < few + 30
        assert read("off") > few + 100, "the control: without its index it reads what is open"
    finally:
        with tenant_tx(house.tenant):  # nothing of this may ring in another test's sweep
            Timer.objects.filter(item_id=model.pk).update(state=Timer.CANCELLED)
