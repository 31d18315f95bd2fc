"""Runs of agents: chat trajectories, framework traces, OpenTelemetry, and our own lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.traces.importers.shared import require_sound
from traces.importers import Case, ImportProblem, read_cases
from traces.importers.case import MAX_ITEM_BYTES, clean_value, split_text


def read(tmp_path: Path, name: str, value: Any, mapping: dict[str, Any] | None = None) -> list[Case]:
    path = tmp_path / "runs.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return list(read_cases(name, path, mapping))


def call(name: str, arguments: str = "{}", ident: str = "c1") -> dict[str, Any]:
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


def run(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "please"}, *messages], **more}


def test_a_chat_run(tmp_path: Path) -> None:
    """Calls pair with their results by id and name, errors and hand-overs are told apart."""
    value = run(
        {"role": "assistant", "content": "one moment", "tool_calls": [call("get_x"), call("book_y", '{"n": 1.5}')]},
        {"role": "tool", "tool_call_id": "c1", "name": "book_y", "content": "Error: full"},
        {"role": "tool", "tool_call_id": "c1", "name": "get_x", "content": "{}"},
        {"role": "assistant", "tool_calls": [call("transfer_to_human_agents", '{"summary": "beyond me"}')]},
        {"role": "tool", "tool_call_id": "c1", "content": "Transfer successful"},
        {"role": "tool", "tool_call_id": "c9", "content": "who asked?"},
        reward=0.5,
    )
    (case,) = require_sound(read(tmp_path, "chat", [value]))
    kinds = [event["event_type"] for event in case.envelopes]
    assert kinds == [
        "TraceStarted", "InputObserved", "ActionProposed", "ActionProposed", "ActionCommitted", "ActionCommitted",
        "ExceptionRequested", "InputObserved", "InputObserved", "TraceFinished",
    ]  # fmt: skip
    events = [event["payload"] for event in case.envelopes]
    assert events[3]["changes"] == [{"path": "n", "new_value": {"type": "json", "value": 1.5}}]
    assert (events[4]["action_id"], events[4]["status"], events[4]["error"]) == ("call-2", "failure", "Error: full")
    assert (events[5]["action_id"], events[5]["status"]) == ("call-1", "success")
    assert events[6]["reason"] == "beyond me"
    counts = events[0]["context"]["source_counts"]
    assert (counts["messages"], counts["tool_calls"], counts["tool_errors"]) == (7, 3, 1)
    assert (counts["handovers"], counts["state_changing_actions"], counts["unmatched_results"]) == (1, 1, 1)
    assert case.outcome == "failure"


def test_chat_outcomes_and_times(tmp_path: Path) -> None:
    """No reward leaves a run open; recorded times are kept; equal runs stay apart."""
    said = {"role": "assistant", "content": "done", "timestamp": "2024-02-01T00:00:00+01:00"}
    lines = "\n".join(json.dumps(run(said, task_id=1, trial=0, **more)) for more in ({}, {"reward": 1}))
    cases = require_sound(read(tmp_path, "chat", lines, {"name": "desk", "reward_success": 1}))
    assert [(case.trace_id, case.outcome) for case in cases] == [
        ("desk-task1-trial0", None),
        ("desk-task1-trial0-again-2", "success"),
    ]
    assert cases[0].envelopes[2]["occurred_at"] == "2024-02-01T00:00:00+01:00"
    assert cases[1].envelopes[1]["occurred_at"] == "2000-01-01T01:00:00Z"


def test_large_and_strange_content_is_kept(tmp_path: Path) -> None:
    """Beyond the limits of an event content is split, counted, and whole when joined again."""
    text = 'é"\\\n' * 60_000
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    wide = {str(number): number for number in range(6000)}
    value = run(
        {"role": "assistant", "content": text},
        {
            "role": "assistant",
            "tool_calls": [call("set_all", json.dumps(wide)), call("get_deep", json.dumps(deep), "c2")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "nul \x00 and \ud800"},
        {"role": "martian", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    )
    (case,) = require_sound(read(tmp_path, "chat", value))
    pieces = [event["payload"]["text_json"] for event in case.envelopes if "text_json" in event["payload"]]
    assert json.loads("".join(pieces)) == text
    (kept,) = [e["payload"] for e in case.envelopes if e["payload"].get("action_type") == "get_deep"]
    assert json.loads(kept["arguments_json"]) == deep
    pieces = [e["payload"]["arguments_json"] for e in case.envelopes if "arguments_json" in e["payload"]]
    assert json.loads("".join(piece for piece in pieces if piece != kept["arguments_json"])) == wide
    assert case.envelopes[0]["payload"]["context"]["source_counts"]["split"] >= 1


def test_split_text_gives_the_text_back() -> None:
    text = "a\U0001f600\n" * 1000
    parts = split_text(text, 100)
    assert "".join(parts) == text
    assert all(len(json.dumps(part, ensure_ascii=False).encode()) <= 102 for part in parts)


def test_numbers_json_cannot_keep_become_text() -> None:
    assert clean_value([2**53, 2**53 - 1, 1e300, float("nan"), True, None, 0.1]) == [
        str(2**53), 2**53 - 1, "1e+300", "nan", True, None, 0.1,
    ]  # fmt: skip


@pytest.mark.parametrize("value", [[{"traj": []}], [{"traj": ["x"]}], [1], [{}]])
def test_a_run_without_messages_is_refused(tmp_path: Path, value: Any) -> None:
    (case,) = read(tmp_path, "chat", value)
    assert [refusal.code for refusal in case.refusals] == ["import.no_messages"]
    assert case.envelopes == []


@pytest.mark.parametrize("text", ["[{", '[{"messages": []}', "{,}", "[1" * 5000, "[" + "9" * 5000 + "]"])
def test_broken_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImportProblem) as raised:
        read(tmp_path, "chat", text)
    assert raised.value.code == "import.broken_json"
    assert len(text) < MAX_ITEM_BYTES


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"nmae": "x"}, "nmae: expected one of the keys"),
        ({"tools": {"reading": [1]}}, "tools.reading: expected a list of texts"),
        ({"time": {"base": "noon"}}, "time.base"),
        ({"time": "noon"}, "time: expected a dict"),
    ],
)
def test_mistakes_in_a_chat_mapping(tmp_path: Path, mapping: dict[str, Any], said: str) -> None:
    with pytest.raises(ImportProblem, match=said) as raised:
        read(tmp_path, "chat", [run()], mapping)
    assert raised.value.code == "import.bad_mapping"


def observation(ident: str, kind: str, start: str | None, end: str | None, **more: Any) -> dict[str, Any]:
    return {"id": ident, "type": kind, "name": f"do {ident}", "startTime": start, "endTime": end, **more}


def test_a_framework_trace(tmp_path: Path) -> None:
    """By time, parents first; a failed tool, an unknown type, a missing time, a running step."""
    second = "2024-01-01T00:00:0{}.000Z".format
    value = {
        "trace": {"id": "t", "name": "agent x", "timestamp": second(0), "observations": [1], "latency": 1.5},
        "observations": [
            observation("tool", "TOOL", second(2), second(5), level="ERROR", statusMessage="no", input={"q": 0.25}),
            observation("child", "GENERATION", second(1), second(2), parentObservationId="root"),
            observation("root", "AGENT", second(1), None),
            observation("odd", "HOLOGRAM", None, second(3)),
        ],
    }
    (case,) = require_sound(read(tmp_path, "agent-trace", value))
    marks = [event["event_id"].removeprefix("agent-trace-t.") for event in case.envelopes]
    assert marks == ["start", "odd", "root", "child", "tool", "tool.done"]
    assert case.outcome is None
    assert case.envelopes[5]["payload"]["status"] == "failure"
    assert case.envelopes[4]["payload"]["arguments"] == {"q": 0.25}
    context = case.envelopes[0]["payload"]["context"]
    assert context["source_counts"] == {
        "observations": 4, "generations": 1, "tool_calls": 1, "tool_errors": 1, "unmapped": 1, "undated": 1, "split": 0,
    }  # fmt: skip
    assert "observations" not in context["trace"]


@pytest.mark.parametrize("value", [{}, [1], {"trace": {}, "observations": []}, {"trace": {}, "observations": [{}]}])
def test_framework_traces_that_hold_nothing(tmp_path: Path, value: Any) -> None:
    (case,) = read(tmp_path, "agent-trace", value)
    assert case.envelopes == []
    assert case.refusals


def span(ident: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    return {
        "traceId": "t",
        "spanId": ident,
        "startTimeUnixNano": str(start * 10**9),
        "endTimeUnixNano": str(end * 10**9),
        **more,
    }


def test_telemetry(tmp_path: Path) -> None:
    """A tool span is an action, the root span ends the trace, a record without time is refused."""
    tool = [{"key": "gen_ai.tool.name", "value": {"stringValue": "search"}}]
    spans = [
        span("root", 1, 9, name="run", status={"code": 2}),
        span("tool", 2, 4, parentSpanId="root", attributes=tool),
        span("step", 3, 5, parentSpanId="root"),
        {"traceId": "t", "spanId": "lost"},
    ]
    value = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]}
    (case,) = require_sound(read(tmp_path, "otel", value))
    assert [event["event_type"] for event in case.envelopes] == [
        "TraceStarted", "InputObserved", "ActionProposed", "InputObserved", "ActionCommitted", "TraceFinished",
    ]  # fmt: skip
    assert case.outcome == "failure"
    assert case.envelopes[-1]["occurred_at"] == "1970-01-01T00:00:09.000000Z"
    assert [refusal.code for refusal in case.refusals] == ["import.bad_time"]
    with pytest.raises(ImportProblem, match="not_otlp"):
        read(tmp_path, "otel", {"resourceMetrics": []})


def test_our_own_lines(tmp_path: Path) -> None:
    """Events are handed on untouched, by runs of one trace; a bad line is refused, the next is read."""
    lines = [
        '{"trace_id": "a", "n": 1.0}', "", '{"trace_id": "a"}', '{"trace_id": "b", "trace_id": "c"}', "[]", "{",
        '{"trace_id": "b", "n": 9007199254740993}', '"' + "x" * 300_000 + '"', '{"trace_id": "b"}', '{"trace_id": "a"}',
    ]  # fmt: skip
    cases = read(tmp_path, "jsonl", "\n".join(lines))
    assert [(case.trace_id, len(case.envelopes)) for case in cases] == [("a", 2), ("b", 1), ("a", 1)]
    refused = [refusal for case in cases for refusal in case.refusals]
    assert [refusal.where for refusal in refused] == [f"line {number}" for number in (4, 5, 6, 7, 8)]
    assert not any(case.whole for case in cases)
    assert cases[0].envelopes[0] == {"trace_id": "a", "n": 1.0}
    with pytest.raises(ImportProblem, match="leave --mapping out"):
        read(tmp_path, "jsonl", "", {"name": "x"})
