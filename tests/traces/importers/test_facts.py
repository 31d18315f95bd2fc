"""The facts of real data nobody here wrote come out of the importers, and nothing else does."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from itertools import islice
from pathlib import Path

import pytest

from tests.traces.importers.shared import MAPPINGS, SHARED, needs_data, problems, require_sound
from traces.importers import load_mapping, read_cases

pytestmark = needs_data


def test_loan_applications() -> None:
    """BPI 2012: cases, events, outcomes, amounts, durations, people."""
    outcomes: Counter[str | None] = Counter()
    people: set[str] = set()
    durations: list[float] = []
    sources = amount = tagged = 0
    checked: set[tuple[str, str]] = set()
    cases = read_cases("xes", SHARED / "bpi" / "bpic2012.xes.gz", load_mapping(MAPPINGS / "bpic2012.toml"))
    for case in cases:
        assert case.refusals == []
        outcomes[case.outcome] += 1
        sources += case.source_events
        start, last = case.envelopes[0], case.envelopes[-1]
        amount += start["payload"]["context"]["amount"]
        span = datetime.fromisoformat(last["occurred_at"]) - datetime.fromisoformat(start["occurred_at"])
        durations.append(span.total_seconds() / 86400)
        for envelope in case.envelopes:
            if envelope["tags"]:
                tagged += 1
                if envelope["actor"]["actor_type"] == "person":
                    people.add(envelope["actor"]["actor_id"])
            # One of each kind is enough: the payloads of a kind have one shape.
            kind = (envelope["event_type"], envelope["payload"].get("activity", ""))
            if kind not in checked:
                checked.add(kind)
                assert problems(envelope) == []
    assert outcomes == {"success": 2246, "failure": 7635, "abandoned": 2807, None: 399}
    assert (sources, tagged, amount, len(people)) == (262200, 262200, 177634511, 68)
    assert len({activity for _, activity in checked if activity}) == 24
    durations.sort()
    assert round(durations[len(durations) // 2], 2) == 0.81
    assert round(durations[-1], 1) == 137.2


def test_building_permits() -> None:
    """Receipts: lateness follows from the context, open ones stay open, four eyes from the actors."""
    cases = require_sound(read_cases("csv", SHARED / "bpi" / "receipt.csv", load_mapping(MAPPINGS / "receipt.toml")))
    assert len(cases) == 1434
    assert sum(case.source_events for case in cases) == 8577
    late = in_time = still_open = both = same = 0
    for case in cases:
        context = case.envelopes[0]["payload"]["context"]
        if "end_date" not in context:
            still_open += 1
            assert case.outcome is None
        elif datetime.fromisoformat(context["end_date"]) > datetime.fromisoformat(context["deadline"]):
            late += 1
        else:
            in_time += 1
        actors: dict[str, set[str]] = {"T02": set(), "T04": set()}
        for envelope in case.envelopes:
            step = envelope["payload"].get("activity", "")[:3]
            if step in actors:
                actors[step].add(envelope["actor"]["actor_id"])
        if actors["T02"] and actors["T04"]:
            both += 1
            same += len(actors["T02"] | actors["T04"]) == 1
    assert (late, in_time, still_open) == (377, 952, 105)
    assert both == 1303
    assert same == 1028
    facts = {"activities": set(), "people": set()}
    for case in cases:
        for envelope in case.envelopes:
            if envelope["tags"]:
                facts["activities"].add(envelope["payload"]["activity"])
                facts["people"].add(envelope["actor"]["actor_id"])
    assert (len(facts["activities"]), len(facts["people"])) == (27, 48)


@pytest.mark.parametrize("mapping", [None, "taubench-airline.toml"])
def test_airline_desk(mapping: str | None) -> None:
    """tau-bench: the counts in the contexts and the counts of the events agree with the source."""
    path = SHARED / "taubench" / "gpt-4o-airline.json"
    cases = require_sound(read_cases("chat", path, load_mapping(MAPPINGS / mapping) if mapping else None))
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    changing: Counter[str] = Counter()
    tasks: dict[int, list[bool]] = {}
    for case in cases:
        context = case.envelopes[0]["payload"]["context"]
        counts.update(context["source_counts"])
        assert context["times"] == "synthetic"
        tasks.setdefault(context["task_id"], []).append(case.outcome == "success")
        for envelope in case.envelopes:
            payload = envelope["payload"]
            kinds[envelope["event_type"]] += 1
            kinds["failed"] += payload.get("status") == "failure"
            if payload.get("state_changing"):
                changing[payload["action_type"]] += 1
    assert Counter(case.outcome for case in cases) == {"success": 84, "failure": 116}
    for name, expected in (
        ("messages", 5308), ("tool_calls", 1164), ("tool_errors", 73),
        ("state_changing_actions", 250), ("handovers", 48), ("unmatched_results", 0), ("split", 0),
    ):  # fmt: skip
        assert counts[name] == expected, name
    assert (kinds["ActionProposed"], kinds["ActionCommitted"]) == (1116, 1116)
    assert (kinds["ExceptionRequested"], kinds["failed"]) == (48, 73)
    assert changing == {
        "book_reservation": 53, "update_reservation_flights": 104, "cancel_reservation": 69,
        "update_reservation_baggages": 14, "send_certificate": 8, "update_reservation_passengers": 2,
    }  # fmt: skip
    right = [sum(results) for results in tasks.values()]
    assert (right.count(4), right.count(0), len(right)) == (10, 14, 50)


@pytest.mark.parametrize("path", sorted((SHARED / "agent-traces").glob("*.json")), ids=lambda p: p.name)
def test_agent_frameworks(path: Path) -> None:
    """Every exported trace imports whole: each observation one event, its raw content kept."""
    (case,) = require_sound(read_cases("agent-trace", path, None))
    counts = case.envelopes[0]["payload"]["context"]["source_counts"]
    assert case.source_events == counts["observations"] > 0
    tagged = [e["payload"] for e in case.envelopes if "source-event" in e["tags"]]
    assert all("raw" in payload for payload in tagged)
    unmapped = {"SPAN", "CHAIN"}
    assert counts["unmapped"] == sum(payload["raw"]["type"] in unmapped for payload in tagged)


@pytest.mark.parametrize("name", ["events.json", "logs.json", "trace.json"])
def test_open_telemetry(name: str) -> None:
    """The official examples parse and import."""
    (case,) = require_sound(read_cases("otel", SHARED / "otel" / name, None))
    assert case.source_events == 1


def test_the_same_file_makes_the_same_events() -> None:
    """Two readings are equal, event by event."""
    mapping = load_mapping(MAPPINGS / "bpic2012.toml")
    path = SHARED / "bpi" / "bpic2012.xes.gz"
    first, second = (list(islice(read_cases("xes", path, mapping), 200)) for _ in range(2))
    assert first == second
    assert all(re.fullmatch(r"bpic2012-\d+", case.trace_id) for case in first)
