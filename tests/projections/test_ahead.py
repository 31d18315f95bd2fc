"""Folding a batch ahead of the one that is written: the same rows, and never a batch for other circumstances."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from decisiongraph.core.db import tenant_tx
from projections import engine
from tests.projections.desk import Desk
from tests.projections.test_dead_letters import in_the_middle, open_letters, poison

# the thread has a connection of its own, so it sees only what is committed
pytestmark = pytest.mark.django_db(transaction=True)

GRAPH = engine.BOUND["context_graph"]


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For every batch asked of the thread: whether it had the right one."""
    answers: list[bool] = []
    real = engine.Ahead.take

    def take(self: engine.Ahead, *arguments: Any) -> Any:
        made = real(self, *arguments)
        answers.append(made is not None)
        return made

    monkeypatch.setattr(engine.Ahead, "take", take)
    return answers


def rebuild(desk: Desk, *, limit: int = 7) -> int:
    """A generation of the graph, made with the thread."""
    number = engine.begin(desk.tenant, GRAPH.name)
    window = engine.Window(desk.tenant)
    with engine.Ahead(desk.tenant, GRAPH) as ahead:
        while True:
            done = engine.step(window, GRAPH, limit=limit, generation=number, ahead=ahead)
            assert done is not None
            if not done.events:
                return number


def test_the_same_rows(desk: Desk, used: list[bool]) -> None:
    head = desk.fill(12)
    engine.prepare(desk.tenant)
    number = rebuild(desk)
    with tenant_tx(desk.tenant):
        assert engine.canonical(GRAPH.name, number) == desk.expected()[GRAPH.name]
    assert used.count(True) == (head - 1) // 7, "every batch but the first was made ahead"


def test_traces_that_are_set_aside_stay_aside(desk: Desk, used: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(12)
    engine.prepare(desk.tenant)
    bad = poison(monkeypatch, *in_the_middle(desk))
    number = rebuild(desk)
    desk.catch_up()
    assert any(used)
    live = {(letter.trace_id, letter.log_seq, letter.waiting) for letter in open_letters(desk, GRAPH.name)}
    with tenant_tx(desk.tenant):
        claim = engine.hold_generation(GRAPH.name, number)
        assert claim is not None
        assert claim.parked == {trace_id for trace_id, _, _ in live}
        assert len(live) == len(bad)
        assert engine.canonical(GRAPH.name, number) == desk.canonical()[GRAPH.name]


def test_a_batch_for_other_circumstances_is_thrown_away(desk: Desk) -> None:
    desk.fill(6)
    engine.prepare(desk.tenant)
    number = engine.begin(desk.tenant, GRAPH.name)
    with tenant_tx(desk.tenant):
        claim = engine.hold_generation(GRAPH.name, number)
    assert claim is not None
    others = (
        claim._replace(cursor=5),
        claim._replace(epoch=claim.epoch + 1),
        claim._replace(parked=frozenset({"t-1"})),
        claim._replace(skipped=frozenset({3})),
        claim._replace(generation=number + 1),
    )
    with engine.Ahead(desk.tenant, GRAPH) as ahead:
        for other in others:
            ahead.begin(claim, 10, None)
            assert ahead.take(other, None) is None
            assert ahead.take(claim, None) is None, "it is given once"
        ahead.begin(claim, 10, None)
        assert ahead.take(claim, 9) is None, "it reaches beyond where the replay stops"
        ahead.begin(claim, 10, None)
        made = ahead.take(claim, 10)
        assert made is not None
        assert [event.log_seq for event in made[0]] == list(range(1, 11))


def test_only_rules_that_fold_from_an_event_alone(desk: Desk) -> None:
    alone = {name for name, bound in engine.BOUND.items() if bound.folds_alone}
    assert alone == {"context_graph", "policy_evaluations"}
    with pytest.raises(ValueError, match="trace_summary"):
        engine.Ahead(desk.tenant, engine.BOUND["trace_summary"])


def test_a_failure_of_the_thread_is_a_failure_of_the_batch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(6)
    engine.prepare(desk.tenant)
    number = engine.begin(desk.tenant, GRAPH.name)
    window = engine.Window(desk.tenant)
    with engine.Ahead(desk.tenant, GRAPH) as ahead:
        first = engine.step(window, GRAPH, limit=7, generation=number, ahead=ahead)
        assert first is not None

        def broken(*_arguments: object) -> None:
            raise RuntimeError("the database is away")

        with monkeypatch.context() as patched:
            patched.setattr(ahead, "_make", broken)
            engine.step(window, GRAPH, limit=7, generation=number, ahead=ahead)
        with pytest.raises(RuntimeError, match="away"):
            engine.step(window, GRAPH, limit=7, generation=number, ahead=ahead)
        done = engine.step(window, GRAPH, limit=7, generation=number, ahead=ahead)
        assert done is not None
        assert done.cursor == 21, "the next one is folded as ever, from where the cursor stands"


def test_a_window_that_reads_ahead_reads_the_same(desk: Desk) -> None:
    head = desk.fill(12)
    with closing(engine.Window(desk.tenant, ahead=True)) as ahead:
        plain = engine.Window(desk.tenant)
        position = 0
        while found := ahead.read(position, 7):
            assert found == plain.read(position, 7)
            position = found[-1].log_seq
        assert position == head
        # somewhere else than it expects, and not beyond where a replay stops
        assert [event.log_seq for event in ahead.read(2, 7)] == list(range(3, 10))
        assert [event.log_seq for event in ahead.read(9, 7, until=12)] == [10, 11, 12]
