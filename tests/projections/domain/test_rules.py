"""What all rules owe: totality, and rows that do not depend on when a trace's events arrive."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.domain.rules import RULES
from tests.projections.domain.strategies import event_types, logs_and_arrivals, nonsense
from tests.projections.fold import Fold, make
from traces.domain.canonical import jcs
from traces.domain.envelope import StoredEvent

ALL = pytest.mark.parametrize("name", list(RULES))


def test_the_four_projections_in_their_order() -> None:
    assert list(RULES) == [
        "trace_summary",
        "context_graph",
        "policy_evaluations",
        "precedent_index",
    ]
    assert all(name == rule.name and rule.version >= 1 for name, rule in RULES.items())


@ALL
@given(pair=logs_and_arrivals())
def test_rows_do_not_depend_on_the_order_in_which_traces_arrive(
    name: str, pair: tuple[list[StoredEvent], list[StoredEvent]]
) -> None:
    in_order, as_arrived = pair
    expected = Fold(RULES[name]).feed(*in_order)
    found = Fold(RULES[name]).feed(*as_arrived)
    assert found.content() == expected.content()
    assert found.buckets == expected.buckets
    assert found.canonical() == expected.canonical()


@ALL
@given(
    payloads=st.lists(st.tuples(event_types, nonsense), max_size=6),
    origin=st.sampled_from(["ingest", "import", "platform"]),
    trace_id=st.sampled_from(["t:1%", "review:1"]),
)
def test_no_payload_makes_a_rule_raise(
    name: str, payloads: list[tuple[str, dict[str, Any] | None]], origin: str, trace_id: str
) -> None:
    fold = Fold(RULES[name])
    kinds = [kind for kind, _ in payloads]
    if "TraceFinished" in kinds:
        # the log closes a trace at its finish; nothing follows
        payloads = payloads[: kinds.index("TraceFinished") + 1]
    for log_seq, (kind, payload) in enumerate(payloads, start=1):
        before = None if payload is None else jcs(payload)
        fold.feed(make(log_seq, kind, payload, origin=origin, trace_id=trace_id))
        assert payload is None or jcs(payload) == before, "the rule changed the payload"
    fold.canonical()


@ALL
def test_an_unknown_event_type_makes_no_row_of_its_own(name: str) -> None:
    puts = list(RULES[name].fold(make(1, "SomethingNewer", {"entity": {}}), {}, []))
    assert [put.table for put in puts] == (["trace_summary"] if name == "trace_summary" else [])


@given(pair=logs_and_arrivals())
def test_every_edge_joins_two_nodes(pair: tuple[list[StoredEvent], list[StoredEvent]]) -> None:
    # without the start events, as if they had been skipped
    fold = Fold(RULES["context_graph"])
    fold.feed(*(event for event in pair[0] if event.event_type != "TraceStarted"))
    nodes = fold.table("node")
    for edge in fold.table("edge").values():
        assert edge["from_key"] in nodes
        assert edge["to_key"] in nodes
