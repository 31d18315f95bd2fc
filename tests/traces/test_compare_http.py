"""Differences over HTTP: of two events, of proposed and done, of two traces."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from decisiongraph.core.api import encode_cursor
from tests.factories import Cast, make_cast, make_token
from tests.traces.events import Json, envelope, finish, new_id, start
from traces import services
from traces.domain.catalog import CATALOG

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def action(kind: str, amount: str, **more: Any) -> Json:
    """A proposal or a commit of the same action, with an amount."""
    change = [{"path": "refund.amount", "new_value": {"type": "decimal", "value": amount}}]
    example: Json = CATALOG[kind].example
    if kind == "ActionProposed":
        return example | {"changes": change} | more
    return example | {"executed": example["executed"] | {"changes": change}} | more


def run(cast: Cast, amount: str, done: str, version: str = "3", outcome: str = "success") -> str:
    """A trace of five events; its id."""
    trace = new_id()
    policy = {"policy_id": "refund.cap", "policy_version": version}
    events = [
        start(trace),
        envelope(trace, "PolicyEvaluated", {"policy": policy, "inputs": [], "decision": "allow"}),
        envelope(trace, "ActionProposed", action("ActionProposed", amount)),
        envelope(trace, "ActionCommitted", action("ActionCommitted", done)),
        finish(trace, payload={"outcome": outcome}),
    ]
    services.append(cast.acme, principal=cast.principal(cast.alice), events=events)
    return trace


def get(cast: Cast, path: str, tenant: Any = None, **params: Any) -> Any:
    _, secret = make_token(tenant or cast.acme, "read")
    return Client(headers={"Authorization": f"Bearer {secret}"}).get(f"/api/v1/{path}", params)


def test_two_events_of_one_trace(cast: Cast) -> None:
    trace = run(cast, "612.40", "612.40")
    found = get(cast, f"traces/{trace}/diff", left=0, right=4).json()
    assert (found["left"]["event_type"], found["right"]["event_type"]) == ("TraceStarted", "TraceFinished")
    assert {(change["kind"], change["path"]) for change in found["changes"]} == {
        ("removed", "context"),
        ("removed", "primary_entity"),
        ("removed", "title"),
        ("removed", "workflow"),
        ("added", "outcome"),
    }
    assert get(cast, f"traces/{trace}/diff", left=2, right=2).json()["same"] is True
    short = get(cast, f"traces/{trace}/diff", left=0, right=4, limit=2).json()
    assert (len(short["changes"]), short["truncated"]) == (2, True)


def test_events_of_two_traces(cast: Cast) -> None:
    one, other = run(cast, "612.40", "612.40"), run(cast, "400.00", "400.00")
    (change,) = get(cast, f"traces/{one}/diff", left=2, right=2, right_trace=other).json()["changes"]
    assert change == {
        "kind": "changed",
        "path": "changes[0].new_value.value",
        "left_path": "changes[0].new_value.value",
        "right_path": "changes[0].new_value.value",
        "left": "612.40",
        "left_type": "string",
        "right": "400.00",
        "right_type": "string",
    }


def test_proposed_against_committed(cast: Cast) -> None:
    trace = run(cast, "400.00", "612.40")
    found = get(cast, f"traces/{trace}/diff", action="act-1").json()
    assert (found["basis"], found["comparable"], found["same"]) == ("action", True, False)
    assert [(each["path"], each["left"], each["right"]) for each in found["changes"]] == [
        ("changes[0].new_value.value", "400.00", "612.40")
    ]
    assert (found["left"]["trace_seq"], found["right"]["trace_seq"]) == (2, 3)
    assert get(cast, f"traces/{run(cast, '1', '1')}/diff", action="act-1").json()["same"] is True


def test_a_commit_that_does_not_say_what_it_did(cast: Cast) -> None:
    trace = new_id()
    silent = {name: value for name, value in CATALOG["ActionCommitted"].example.items() if name != "executed"}
    events = [start(trace), envelope(trace, "ActionProposed"), envelope(trace, "ActionCommitted", silent)]
    services.append(cast.acme, principal=cast.principal(cast.alice), events=events)
    found = get(cast, f"traces/{trace}/diff", action="act-1").json()
    assert (found["comparable"], found["same"], found["changes"]) == (False, False, [])


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 400, "query.invalid_parameter"),
        ({"left": 1}, 400, "query.invalid_parameter"),
        ({"left": 1, "right": "x"}, 400, "query.invalid_parameter"),
        ({"left": -1, "right": 1}, 400, "query.invalid_parameter"),
        ({"left": 1, "right": 1, "limit": 0}, 400, "query.invalid_parameter"),
        ({"left": 1, "right": 1, "colour": "blue"}, 400, "query.invalid_parameter"),
        ({"action": "act-1", "left": 1}, 400, "query.invalid_parameter"),
        ({"left": 1, "right": 99}, 404, "event.not_found"),
        ({"left": 1, "right": 1, "right_trace": "nowhere"}, 404, "event.not_found"),
        ({"action": "act-9"}, 404, "action.not_found"),
    ],
)
def test_refusals_of_a_difference(cast: Cast, params: Json, status: int, code: str) -> None:
    answer = get(cast, f"traces/{run(cast, '1', '1')}/diff", **params)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_two_traces(cast: Cast) -> None:
    one, other = run(cast, "612.40", "612.40"), run(cast, "400.00", "400.00", version="4", outcome="failure")
    found = get(cast, "precedents/compare", left=one, right=other).json()
    assert [found[side]["outcome"] for side in ("left", "right")] == ["success", "failure"]
    assert found["policies"] == [
        {
            "policy_id": "refund.cap",
            "same": False,
            "left": [{"version": "3", "decision": "allow"}],
            "right": [{"version": "4", "decision": "allow"}],
        }
    ]
    assert found["counts"] == {"same": 1, "changed": 4, "left": 0, "right": 0}
    assert [step["kind"] for step in found["steps"]["items"]] == ["same", "changed", "changed", "changed", "changed"]
    assert found["steps"]["items"][1]["changes"][0]["path"] == "policy.policy_version"
    assert found["exact"] is True


def test_the_steps_are_paged(cast: Cast) -> None:
    one, other = run(cast, "1", "1"), run(cast, "2", "2")
    seen: list[Any] = []
    cursor: str | None = None
    while True:
        params = {"left": one, "right": other, "limit": 2} | ({"cursor": cursor} if cursor else {})
        steps = get(cast, "precedents/compare", **params).json()["steps"]
        seen += steps["items"]
        cursor = steps["next"]
        if cursor is None:
            break
    assert seen == get(cast, "precedents/compare", left=one, right=other).json()["steps"]["items"]


def test_refusals_of_a_comparison(cast: Cast) -> None:
    trace = run(cast, "1", "1")
    for params, status, code in (
        ({"left": trace}, 400, "query.invalid_parameter"),
        ({"left": trace, "right": ""}, 400, "query.invalid_parameter"),
        ({"left": trace, "right": trace, "limit": 501}, 400, "query.invalid_parameter"),
        ({"left": trace, "right": trace, "cursor": "nonsense"}, 400, "cursor.malformed"),
        ({"left": trace, "right": "nowhere"}, 404, "trace.not_found"),
        ({"left": "nowhere", "right": trace}, 404, "trace.not_found"),
    ):
        answer = get(cast, "precedents/compare", **params)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert get(cast, "precedents/compare", left=trace, right=trace, cursor=encode_cursor(999)).json()["steps"] == {
        "items": [],
        "next": None,
    }


def test_a_stranger_sees_nothing(cast: Cast) -> None:
    trace = run(cast, "1", "1")
    for path, params in (
        (f"traces/{trace}/diff", {"left": 0, "right": 1}),
        (f"traces/{trace}/diff", {"action": "act-1"}),
        ("precedents/compare", {"left": trace, "right": trace}),
    ):
        assert get(cast, path, tenant=cast.globex, **params).status_code == 404
