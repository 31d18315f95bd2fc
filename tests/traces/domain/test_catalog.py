"""The catalog: every event type, its schema, its example, its violations."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, field_validator

from traces.domain import catalog
from traces.domain.catalog import CATALOG, json_schema, upcast, validate_payload
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES
from traces.domain.violations import Violation, item, member, spell, status_of

FIXTURE = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "reference_bundle.json"

REQUIRED = {
    "TraceStarted": ["workflow", "title", "primary_entity", "primary_entity.entity_type", "primary_entity.entity_id"],
    "InputObserved": ["input_id", "source", "source.system", "source.object_type", "source.object_id", "facts"],
    "EntityObserved": ["entity", "entity.entity_type", "entity.entity_id", "role", "facts"],
    "PolicyEvaluated": ["policy", "policy.policy_id", "policy.policy_version", "inputs", "decision"],
    "ExceptionRequested": ["exception_id", "policy", "policy.policy_id", "policy.policy_version", "reason"],
    "ApprovalRecorded": [
        "approval_id",
        "subject",
        "subject.subject_type",
        "subject.subject_id",
        "approver",
        "approver.actor_type",
        "approver.actor_id",
        "decision",
    ],
    "PrecedentCited": ["cited_trace_id", "reason"],
    "ActionProposed": [
        "action_id",
        "action_type",
        "target_entity",
        "target_entity.entity_id",
        "target_system",
        "changes",
    ],
    "ActionCommitted": ["action_id", "status"],
    "TraceFinished": ["outcome"],
}
OPTIONAL = {
    "TraceStarted": ["primary_entity.system", "context"],
    "InputObserved": ["source.locator"],
    "EntityObserved": ["entity.system"],
    "PolicyEvaluated": ["violations", "explanation"],
    "ExceptionRequested": ["evidence", "priority", "requested_by"],
    "ApprovalRecorded": ["reason", "evidence"],
    "PrecedentCited": ["similarity_score"],
    "ActionProposed": ["requires_approval", "policy"],
    "ActionCommitted": ["external_reference", "error", "approval_id", "executed", "executed.policy"],
    "TraceFinished": ["summary"],
}


def parent(payload: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *steps, last = path.split(".")
    for step in steps:
        payload = payload[step]
    return payload, last


def found(event_type: str, payload: Any) -> list[tuple[str, str]]:
    return [(v.path, v.code) for v in validate_payload(event_type, payload)]


def test_the_catalog_is_the_published_vocabulary_and_the_platforms_own() -> None:
    assert tuple(CATALOG) == (*INGEST_TYPES, *PLATFORM_TYPES)
    assert [name for name, entry in CATALOG.items() if entry.origin == "platform"] == list(PLATFORM_TYPES)
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert entry.doc.endswith(".")
        assert entry.schema_version == 1


@pytest.mark.parametrize("name", CATALOG)
def test_the_example_is_valid_and_the_schema_says_the_same(name: str) -> None:
    example = CATALOG[name].example
    assert validate_payload(name, example) == []
    schema = json_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(example)
    assert not validator.is_valid({})
    if name in PLATFORM_TYPES:
        assert "trace_id" in example["subject"]


@pytest.mark.parametrize(("name", "path"), [(n, p) for n, paths in REQUIRED.items() for p in paths])
def test_a_required_key_must_be_there_with_its_type(name: str, path: str) -> None:
    payload = copy.deepcopy(CATALOG[name].example)
    holder, key = parent(payload, path)
    del holder[key]
    assert found(name, payload) == [(f"payload.{path}", "payload.missing_key")]
    for wrong in (None, 3, ["x"]) if path not in ("facts", "inputs", "changes") else (None, 3, {}):
        holder[key] = wrong
        if wrong != ["x"] or path != "inputs":
            assert [p for p, _ in found(name, payload)] == [f"payload.{path}"]


@pytest.mark.parametrize(("name", "path"), [(n, p) for n, paths in OPTIONAL.items() for p in paths])
def test_an_optional_key_may_be_null_or_absent(name: str, path: str) -> None:
    payload = copy.deepcopy(CATALOG[name].example)
    holder, key = parent(payload, path)
    holder[key] = None
    assert found(name, payload) == []
    del holder[key]
    assert found(name, payload) == []


@pytest.mark.parametrize("name", CATALOG)
def test_unknown_keys_are_kept_everywhere(name: str) -> None:
    payload = copy.deepcopy(CATALOG[name].example)
    payload["x-own"] = {"a": [1.5]}
    for value in list(payload.values()):
        if isinstance(value, dict):
            value["x-own"] = 1
    before = copy.deepcopy(payload)
    assert found(name, payload) == []
    assert payload == before


def test_every_violation_is_told_at_once() -> None:
    payload = {
        "input_id": 3,
        "source": {"system": "s", "object_id": None},
        "facts": [
            {"key": "a", "value": {"type": 1, "value": None}},
            4,
            {"key": "b", "value": {"type": "t"}, "as_of": 1},
        ],
    }
    assert found("InputObserved", payload) == [
        ("payload.input_id", "payload.wrong_type"),
        ("payload.source.object_type", "payload.missing_key"),
        ("payload.source.object_id", "payload.wrong_type"),
        ("payload.facts[0].value.type", "payload.wrong_type"),
        ("payload.facts[1]", "payload.wrong_type"),
        ("payload.facts[2].value.value", "payload.missing_key"),
        ("payload.facts[2].as_of", "payload.wrong_type"),
    ]
    assert {v.status for v in validate_payload("InputObserved", payload)} == {422}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("EntityObserved", "role"),
        ("PolicyEvaluated", "decision"),
        ("ExceptionRequested", "priority"),
        ("ApprovalRecorded", "decision"),
        ("ApprovalRecorded", "approver.actor_type"),
        ("ActionCommitted", "status"),
        ("TraceFinished", "outcome"),
    ],
)
def test_a_closed_list_is_closed(name: str, path: str) -> None:
    payload = copy.deepcopy(CATALOG[name].example)
    holder, key = parent(payload, path)
    holder[key] = "no such word"
    (violation,) = validate_payload(name, payload)
    assert (violation.path, violation.code) == (f"payload.{path}", "payload.not_allowed")
    assert "no such word" not in violation.detail


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", [], {}, [[{"a": None}]]])
def test_a_fact_may_hold_any_value(value: Any) -> None:
    facts = [{"key": "k", "value": {"type": "json", "value": value}}]
    assert found("InputObserved", {**CATALOG["InputObserved"].example, "facts": facts}) == []


def test_nothing_is_converted() -> None:
    assert found("ApprovalEscalated", {**CATALOG["ApprovalEscalated"].example, "level": "1"}) == [
        ("payload.level", "payload.wrong_type")
    ]
    assert found("ApprovalEscalated", {**CATALOG["ApprovalEscalated"].example, "level": 0}) == [
        ("payload.level", "payload.out_of_range")
    ]
    assert found("ActionProposed", {**CATALOG["ActionProposed"].example, "requires_approval": 1}) == [
        ("payload.requires_approval", "payload.wrong_type")
    ]
    assert found("TraceFinished", []) == [("payload", "payload.wrong_type")]


def test_upcasters_lift_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CATALOG["TraceFinished"]._replace(
        schema_version=3, upcasters={1: lambda p: {**p, "one": True}, 2: lambda p: {**p, "two": "one" in p}}
    )
    monkeypatch.setattr(catalog, "CATALOG", {"TraceFinished": entry})
    sent = {"outcome": "success"}
    assert upcast("TraceFinished", 1, sent) == {"outcome": "success", "one": True, "two": True}
    assert upcast("TraceFinished", 2, sent) == {"outcome": "success", "two": False}
    assert upcast("TraceFinished", 3, sent) is upcast("TraceFinished", 9, sent) is upcast("Unknown", 1, sent) is sent
    assert sent == {"outcome": "success"}


def test_the_answer_keys_events_are_valid() -> None:
    if not FIXTURE.exists():
        pytest.skip("the reference bundle is not beside this checkout")
    events: list[dict[str, Any]] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict) and "event_type" in value:
            events.append(value)
        elif isinstance(value, (dict, list)):
            for inner in value.values() if isinstance(value, dict) else value:
                collect(inner)

    collect(json.loads(FIXTURE.read_text()))
    assert len(events) == 40
    for event in events:
        assert validate_payload(event["event_type"], event["payload"]) == []


def test_paths_are_spelled_readably() -> None:
    assert spell(("facts", 0, "value"), "payload") == "payload.facts[0].value"
    assert member("", "a-b") == "a-b"
    assert member("a", "b c") == 'a["b c"]'
    assert member("a", 'x"\n\u202e') == 'a["x\\u0022\\u000a\\u202e"]'
    assert len(member("", "k" * 1000)) < 80
    assert item("events", 3) == "events[3]"


def test_one_status_answers_many_violations() -> None:
    def violations(*statuses: int) -> list[Violation]:
        return [Violation("", "x", "", status) for status in statuses]

    assert status_of(violations(422, 400)) == 400
    assert status_of(violations(422, 400, 403)) == 403
    assert status_of(violations(400, 413)) == 413
    assert status_of(violations(422)) == 422
    assert Violation("p", "c", "d", 400).as_error() == {"path": "p", "code": "c", "detail": "d"}


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), st.just([]), st.just({})
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all members and items inside a value."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [found for key, child in inner for found in [(*path, key), *places(child, (*path, key))]]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(CATALOG)), st.data())
def test_the_quick_check_accepts_what_the_full_one_accepts(name: str, data: st.DataObject) -> None:
    payload = copy.deepcopy(CATALOG[name].example)
    for _ in range(data.draw(st.integers(0, 3))):
        paths = places(payload)
        if not paths:
            break
        *before, last = data.draw(st.sampled_from(paths))
        holder: Any = payload
        for step in before:
            holder = holder[step]
        match data.draw(st.sampled_from(["change", "drop", "add"])):
            case "change":
                holder[last] = data.draw(ODD)
            case "drop":
                del holder[last]
            case _ if isinstance(holder, dict):
                holder[data.draw(st.text(max_size=8))] = data.draw(ODD)
    try:
        catalog._VALIDATORS[name].validate_python(payload)
        valid = True
    except ValidationError:
        valid = False
    assert catalog._CHECKS[name].isinstance_python(payload) is valid
    assert (validate_payload(name, payload) == []) is valid


def test_a_payload_that_does_more_than_hold_fields_stops_the_start() -> None:
    class Computed(BaseModel):
        amount: int

        @field_validator("amount")
        @classmethod
        def even(cls, value: int) -> int:
            return value - value % 2

    with pytest.raises(TypeError, match="function"):
        catalog._checking(Computed.__pydantic_core_schema__)
