"""A rule that fails sets one trace aside and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from projections import engine, selectors, services
from projections.domain.rules import RULES
from projections.models import Checkpoint, DeadLetter, SkippedEvent
from tenants.models import AuditEntry
from tests.projections.desk import Desk, trace
from tests.projections.fold import Fold
from tests.trust.sizes import size
from traces import selectors as traces

pytestmark = pytest.mark.django_db


class Poison:
    """A rule that fails on chosen positions of the log."""

    def __init__(self, rule: Any, positions: set[int]) -> None:
        self.rule = rule
        self.positions = positions

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def fold(self, event: Any, state: Any, history: Any) -> Any:
        if event.log_seq in self.positions:
            raise ValueError(f"cannot fold \x00 {event.event_type}")
        return self.rule.fold(event, state, history)


def poison(monkeypatch: pytest.MonkeyPatch, *positions: int) -> set[int]:
    """Let every rule fail there; empty the set to heal them."""
    bad = set(positions)
    for bound in engine.BOUND.values():
        monkeypatch.setattr(bound, "rule", Poison(bound.rule, bad))
    return bad


def open_letters(desk: Desk, projection: str = "trace_summary") -> list[DeadLetter]:
    return selectors.dead_letters(desk.tenant, projection=projection)


def in_the_middle(desk: Desk, number: int = 3) -> list[int]:
    """Positions of second events of that many traces that go on afterwards."""
    events = traces.read_log(desk.tenant, after=0, limit=10_000)
    chosen = [event.log_seq for event in events if event.trace_seq == 1]
    return chosen[:number]


@pytest.mark.trust("B4")
@pytest.mark.parametrize("batch", [4, 500])
def test_other_traces_go_on_and_a_retry_heals(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, batch: int, figures: Callable[..., None]
) -> None:
    head = desk.fill(20 if batch < 100 else size(20, 750))
    positions = in_the_middle(desk)
    bad = poison(monkeypatch, *positions)
    desk.catch_up(batch=batch)
    assert set(desk.cursors().values()) == {head}, "the cursor passes"
    parked = open_letters(desk)
    assert sorted(letter.log_seq for letter in parked) == positions
    by_trace = {letter.trace_id: letter for letter in parked}
    for trace_id, letter in by_trace.items():
        events = traces.read_trace(desk.tenant, trace_id)
        assert letter.waiting == len([e for e in events if e.log_seq >= letter.log_seq])
        assert letter.error.startswith("ValueError: cannot fold")
        assert letter.rule_version == 1
    health = selectors.health(desk.tenant)
    assert health.state == "degraded"
    assert [item.seen.dead_letters for item in health.projections] == [3, 3, 3, 3]
    bad.clear()
    for name in RULES:
        for letter in open_letters(desk, name):
            done = services.retry_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk)
            assert (done.state, done.waiting) == (DeadLetter.RETRIED, 0)
    assert desk.canonical() == desk.expected(), "late events end in the rows of a clean run"
    assert desk.rows_right()
    assert selectors.health(desk.tenant).state == "fresh"
    with tenant_tx(desk.tenant):
        assert AuditEntry.objects.filter(action="dead_letter.retried").count() == 12
        assert set(Checkpoint.objects.filter(active=True).values_list("epoch", flat=True)) == {3}
    figures(events=head, poisoned=len(positions), parked=len(parked), digest="that of a clean run")


def test_a_retry_that_fails_again_names_the_next_event(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(8)
    first = in_the_middle(desk, 1)[0]
    trace_id = traces.event_at(desk.tenant, first).trace_id
    later = traces.read_trace(desk.tenant, trace_id, after_seq=1)[1].log_seq
    bad = poison(monkeypatch, first, later)
    desk.catch_up()
    bad.discard(first)
    (letter,) = open_letters(desk)
    done = services.retry_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk)
    assert (done.state, done.log_seq, done.attempts) == (DeadLetter.OPEN, later, 2)
    bad.clear()
    for name in RULES:
        for letter in open_letters(desk, name):
            services.retry_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk)
    assert desk.canonical() == desk.expected()


def test_events_that_come_later_wait_in_order(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.append([{**event, "idempotency_key": f"x{n}"} for n, event in enumerate(trace("long", 5)) if n < 2])
    bad = poison(monkeypatch, 2)
    desk.catch_up()
    rest = trace("long", 5)[2:]
    desk.append(rest)
    desk.catch_up(batch=1)
    (letter,) = open_letters(desk)
    assert letter.waiting == 1 + len(rest)
    bad.clear()
    for name in RULES:
        for letter in open_letters(desk, name):
            services.retry_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk)
    assert desk.canonical() == desk.expected()


def test_a_skip_is_a_fact_that_a_rebuild_honours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(10)
    (position,) = in_the_middle(desk, 1)
    bad = poison(monkeypatch, position)
    desk.catch_up()
    for name in RULES:
        for letter in open_letters(desk, name):
            done = services.skip_dead_letter(
                desk.tenant, principal=desk.principal, ident=letter.pk, reason="a test said so"
            )
            assert done.state == DeadLetter.SKIPPED
    bad.clear()
    events = [e for e in traces.read_log(desk.tenant, after=0, limit=10_000) if e.log_seq != position]
    without = {name: Fold(rule).feed(*events).canonical() for name, rule in RULES.items()}
    assert desk.canonical() == without
    assert desk.rows_right()
    with tenant_tx(desk.tenant):
        assert SkippedEvent.objects.count() == 4
        entry = AuditEntry.objects.filter(action="dead_letter.skipped").first()
        assert entry is not None
        assert entry.reason == "a test said so"
    window = engine.Window(desk.tenant)
    for bound in engine.BOUND.values():
        number = engine.begin(desk.tenant, bound.name)
        engine.step(window, bound, limit=10_000, generation=number)
        with tenant_tx(desk.tenant):
            assert engine.canonical(bound.name, number) == without[bound.name]


def test_only_open_letters_only_by_operators(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.factories import make_cast

    desk.fill(3)
    bad = poison(monkeypatch, *in_the_middle(desk, 1))
    desk.catch_up()
    (letter,) = open_letters(desk)
    cast = make_cast()
    with pytest.raises(Problem) as refused:
        services.retry_dead_letter(desk.tenant, principal=cast.principal(cast.vera), ident=letter.pk)
    assert refused.value.status == 403
    with pytest.raises(Problem) as missing:
        services.retry_dead_letter(cast.acme, principal=cast.principal(cast.bob), ident=letter.pk)
    assert missing.value.status == 404
    with pytest.raises(Problem) as empty:
        services.skip_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk, reason=" ")
    assert empty.value.status == 422
    bad.clear()
    services.retry_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk)
    with pytest.raises(Problem) as closed:
        services.retry_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk)
    assert (closed.value.status, closed.value.code) == (409, "dead_letter.closed")


def test_reads_say_what_is_parked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    head = desk.fill(6)
    (position,) = in_the_middle(desk, 1)
    poison(monkeypatch, position)
    desk.catch_up()
    parked = traces.event_at(desk.tenant, position).trace_id
    other = next(e.trace_id for e in traces.read_log(desk.tenant, after=0, limit=100) if e.trace_id != parked)
    seen = selectors.trace_list(desk.tenant).reading
    assert seen.headers()["X-Projection-Parked"] == "1"
    assert "X-Projection-Parked" not in selectors.trace_summary(desk.tenant, other)[0].headers(other)
    with pytest.raises(Problem) as refused:
        selectors.trace_summary(desk.tenant, parked, min_log_seq=head)
    assert (refused.value.status, refused.value.code) == (409, "projection.parked")
    assert selectors.trace_summary(desk.tenant, other, min_log_seq=head)[1].key == other
    assert selectors.trace_summary(desk.tenant, parked, min_log_seq=position - 1)[1].key == parked
    with pytest.raises(Problem):
        selectors.trace_list(desk.tenant, min_log_seq=head)


@pytest.mark.trust("B4", control=True)
def test_the_control_a_rule_that_swallows_an_event_is_caught(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(4)
    (position,) = in_the_middle(desk, 1)
    bound = engine.BOUND["trace_summary"]

    class Swallows(Poison):
        def fold(self, event: Any, state: Any, history: Any) -> Any:
            return () if event.log_seq in self.positions else self.rule.fold(event, state, history)

    monkeypatch.setattr(bound, "rule", Swallows(bound.rule, {position}))
    desk.catch_up()
    assert desk.canonical()["trace_summary"] != desk.expected()["trace_summary"]
