"""F1: append against its model, by a state machine; and every seeded mutant is caught by it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.traces.events import Desk
from tests.traces.model import Model, Sent
from tests.trust.sizes import LEVEL, SEED, size
from traces import selectors, store
from traces.domain import canonical
from traces.services import Refused, place, refusals
from traces.services.place import Placing

APPEND = sys.modules["traces.services.append"]
"""The module; the package has a function of the same name."""

pytestmark = pytest.mark.django_db

EXAMPLES = size(40, 100)
STEPS = 30

sent = st.builds(
    Sent,
    producer=st.sampled_from("pq"),
    key=st.sampled_from([f"k{n}" for n in range(8)]),
    trace=st.sampled_from("abc"),
    kind=st.sampled_from(["TraceStarted", "PrecedentCited", "PrecedentCited", "TraceFinished"]),
    content=st.sampled_from("xxxy"),
    seq=st.sampled_from([None, None, None, 0, 1, 2, 3]),
    event_id=st.sampled_from([None, None, None, "e1", "e2"]),
)


class Append(RuleBasedStateMachine):
    """Calls of append; after each the answers and the whole log must be the model's."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.model = Model()

    @rule(
        call=st.lists(sent, min_size=1, max_size=5),
        atomic=st.booleans(),
        dry_run=st.sampled_from([False] * 5 + [True]),
    )
    def append(self, call: list[Sent], atomic: bool, dry_run: bool) -> None:
        """One call."""
        expected = self.model.append(call, atomic=atomic, dry_run=dry_run)
        refused = [code for code, _ in expected if code not in ("created", "replayed", "skipped")]
        if atomic and refused:
            problem = self.desk.refused(*[s.as_json() for s in call], dry_run=dry_run)
            assert problem.code == refused[0]
            listed = {error["path"].split(".")[0] for error in problem.errors}
            bad = {n for n, (code, _) in enumerate(expected) if code not in ("created", "replayed", "skipped")}
            assert listed == {f"events[{n}]" for n in bad}
            return
        results = self.desk.append(*[s.as_json() for s in call], atomic=atomic, dry_run=dry_run)
        got = [(r.leading.code, None) if isinstance(r, Refused) else (r.status, r.log_seq) for r in results]
        if dry_run:
            stored = len(self.model.rows)
            expected = [
                ("valid", None) if code == "created" or (code == "replayed" and (seq or 0) > stored) else (code, seq)
                for code, seq in expected
            ]
            got = [("valid", None) if code == "replayed" and (seq or 0) > stored else (code, seq) for code, seq in got]
        assert got == expected

    @invariant()
    def same_log(self) -> None:
        """What is stored is what the model has."""
        log = selectors.read_log(self.desk.tenant, after=0, limit=1000)
        assert [(e.log_seq, e.trace_id, e.trace_seq, e.event_type, e.producer_id, e.idempotency_key) for e in log] == [
            (r.log_seq, r.sent.trace, r.trace_seq, r.sent.kind, r.sent.producer, r.sent.key) for r in self.model.rows
        ]


def check() -> None:
    """Run the machine; raises at the first difference (as found: shrinking takes minutes on a database)."""
    run_state_machine_as_test(
        seed(SEED)(Append),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not LEVEL,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeping refusals is tested elsewhere and would take most of the time."""
    monkeypatch.setattr(refusals, "record", lambda *_args: None)


@pytest.mark.trust("F1")
def test_append_is_what_the_model_says(figures: Callable[..., None]) -> None:
    check()
    figures(examples=EXAMPLES, steps=STEPS)


def forgets(what: str) -> Callable[..., Any]:
    """Sees none of the keys, or none of the traces."""
    return lambda real: lambda *asked: real(*asked)._replace(**{what: {}})


def unfinished(real: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*asked: Any) -> Any:
        seen = real(*asked)
        return seen._replace(traces={t: s._replace(finished=False) for t, s in seen.traces.items()})

    return mutant


def one_behind(real: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*asked: Any) -> Any:
        seen = real(*asked)
        return seen._replace(traces={t: s._replace(last_seq=max(0, s.last_seq - 1)) for t, s in seen.traces.items()})

    return mutant


def finish_first(real: Callable[..., Any]) -> Callable[..., Any]:
    """Checks the trace before the key."""

    def mutant(self: Placing, item: Any) -> Any:
        state = None if isinstance(item, Refused) else self._traces.get(item.draft.trace_id)
        if state is not None and state.finished:
            return place.refuse("trace.finished", 409, "", path="trace_id")
        return real(self, item)

    return mutant


def without_sequence(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, draft: real(self, draft._replace(trace_seq=None))


def without_event_id(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, draft: real(self, draft._replace(event_id=None))


def forgets_broken(real: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(self: Placing, item: Any) -> Any:
        self._broken.clear()
        return real(self, item)

    return mutant


def never_atomic(real: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*args: Any, atomic: bool, **kwargs: Any) -> Any:
        return real(*args, atomic=False, **kwargs)

    return mutant


def never_dry(real: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*args: Any, dry_run: bool, **kwargs: Any) -> Any:
        return real(*args, dry_run=False, **kwargs)

    return mutant


def restarts(real: Callable[..., Any]) -> Callable[..., Any]:
    """Takes a second TraceStarted for any event."""

    def mutant(self: Placing, draft: Any) -> Any:
        known = draft.trace_id in self._traces
        return real(self, draft._replace(event_type="PrecedentCited") if known else draft)

    return mutant


def always_the_same(_real: Any) -> Callable[..., Any]:
    return lambda self, _item, key: self._made[key][1]._replace(status="replayed")


def no_ids(_real: Any) -> property:
    return property(lambda self: set(), lambda self, value: None)


def forgetful_call(real: Callable[..., Any]) -> Callable[..., Any]:
    """Does not see a key that the same call has stored."""

    def mutant(self: Placing, item: Any) -> Any:
        self._made.clear()
        return real(self, item)

    return mutant


MUTANTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "no key is ever known": (store, "look", forgets("known")),
    "contents are not compared": (canonical, "content_hmac", lambda _real: lambda salt, content: bytes(32)),
    "contents in one call are not compared": (
        Placing,
        "_again_in_call",
        always_the_same,
    ),
    "keys of one call are forgotten": (Placing, "place", forgetful_call),
    "a finish does not close": (store, "look", unfinished),
    "the sequence is one behind": (store, "look", one_behind),
    "no trace is ever known": (store, "look", forgets("traces")),
    "finished comes before the key": (Placing, "place", finish_first),
    "trace_seq is not checked": (Placing, "_refusal", without_sequence),
    "event_id is not checked": (Placing, "_refusal", without_event_id),
    "event ids of one call are forgotten": (
        Placing,
        "_taken",
        no_ids,
    ),
    "a trace starts twice": (Placing, "_refusal", restarts),
    "a batch is never atomic": (APPEND, "_append", never_atomic),
    "a dry run stores": (APPEND, "_append", never_dry),
    "followers of a refused event are blamed": (Placing, "place", forgets_broken),
}


@pytest.mark.trust("F1", control=True)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_seeded_mutant_is_killed(
    monkeypatch: pytest.MonkeyPatch, mutant: str, figures: Callable[..., None]
) -> None:
    where, name, make = MUTANTS[mutant]
    monkeypatch.setattr(where, name, make(getattr(where, name, None)), raising=False)
    with pytest.raises(BaseException):  # noqa: B017 - an assertion, or the database's constraints
        check()
    figures(mutants=len(MUTANTS))
