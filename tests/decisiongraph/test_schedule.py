"""When a topic is read: never too late, never more often than it may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from decisiongraph.consumers.schedule import Bucket, Turn, next_wait

STEPS = st.floats(0.0, 3.0, allow_nan=False)


class TurnMachine(RuleBasedStateMachine):
    """Bells, looks and readings in any order; a bell is never forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.turn = Turn(interval=0.5)
        self.unanswered: float | None = None
        self.said: set[str] = set()
        self.read_at = -1.0

    @rule(step=STEPS)
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule(message=st.sampled_from(["a.b", "c.d"]))
    def bell(self, message: str) -> None:
        self.turn.ring(self.now, [message])
        self.unanswered = self.now
        self.said.add(message)

    @rule()
    def look(self) -> None:
        self.turn.look(self.now, 0.5)

    @rule(seconds=STEPS)
    def database_is_away(self, seconds: float) -> None:
        if self.turn.ready(self.now):
            told, since, messages = self.turn.begin(self.now)
            self.turn.messages |= messages
            self.turn.since, self.turn.told = since, told
            self.turn.postpone(self.now, seconds)

    @rule()
    def read(self) -> None:
        if not self.turn.ready(self.now):
            return
        assert self.now - self.read_at >= 0.5 - 1e-9
        told, since, messages = self.turn.begin(self.now)
        self.read_at = self.now
        assert messages == self.said
        if self.unanswered is not None:
            assert told
            assert since >= self.unanswered
        self.unanswered, self.said = None, set()

    @invariant()
    def a_bell_is_due(self) -> None:
        wait = self.turn.wait(self.now)
        assert self.unanswered is None or wait is not None
        assert (wait == 0.0) == self.turn.ready(self.now)


TestTurn = TurnMachine.TestCase


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10))), st.floats(0, 5))
def test_the_pump_sleeps_until_the_first_turn(specs: list[tuple[bool, float]], at_most: float) -> None:
    turns = [Turn(due=due, not_before=5.0 + wait) for due, wait in specs]
    wait = next_wait(turns, 5.0, at_most)
    assert 0.0 <= wait <= at_most
    assert all(not turn.due or turn.not_before - 5.0 >= wait - 1e-9 for turn in turns)


@given(st.lists(st.floats(0, 0.2), max_size=200))
def test_a_bucket_lets_through_its_burst_and_its_rate(steps: list[float]) -> None:
    bucket, now, taken = Bucket(rate=10, burst=5), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now)
        assert taken <= 5 + now * 10 + 1e-6


def test_a_steady_client_is_never_limited() -> None:
    bucket = Bucket(rate=20, burst=1)
    assert all(bucket.take(index / 19) for index in range(1000))
