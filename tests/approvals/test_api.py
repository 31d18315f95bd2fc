"""The human workflow over HTTP: shapes, refusals, pages, waiting."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from approvals import services
from approvals.domain.sla import Deadline, Match, Policy
from approvals.selectors import waiting
from approvals.services import once
from decisiongraph.core.errors import Problem
from tests.approvals.house import ACTION, Hands, House

pytestmark = pytest.mark.django_db

V1 = "/api/v1"
JSON = "application/json"
LONG = "2099-01-01T00:00:00Z"


def post(client: Client, path: str, body: Any, **headers: str) -> Any:
    return client.post(f"{V1}{path}", body, content_type=JSON, headers=headers or None)


def test_propose_see_decide_act(house: House) -> None:
    item = house.ask()
    rita, agent = house.person(house.cast.rita), Client(headers={"Authorization": f"Bearer {house.agent_text}"})
    inbox = rita.get(f"{V1}/approvals").json()
    assert [row["id"] for row in inbox["items"]] == [str(item.pk)]
    assert inbox["next"] is None
    shown = rita.get(f"{V1}/approvals/{item.pk}").json()
    assert shown["action"] == ACTION
    assert {"claim", "approve", "reject", "request_changes", "escalate", "comment"} <= set(shown["allowed"])
    assert agent.get(f"{V1}/approvals/{item.pk}").json()["allowed"] == ["withdraw", "comment"]
    ticket = agent.get(f"{V1}/approvals/{item.pk}/ticket").json()
    assert (ticket["state"], ticket["valid"]) == ("pending", False)
    body = {"decision": "approved", "reason": "Fine.", "version": 1}
    decided = post(rita, f"/approvals/{item.pk}/decide", body, **{"Idempotency-Key": "d-1"})
    assert decided.status_code == 200, decided.content
    assert (decided.json()["status"], decided.json()["allowed"]) == ("approved", ["comment"])
    again = post(rita, f"/approvals/{item.pk}/decide", body, **{"Idempotency-Key": "d-1"})
    assert (again.status_code, again.json()["version"]) == (200, 2)
    late = post(house.person(house.cast.alice), f"/approvals/{item.pk}/decide", body)
    told = late.json()  # what a problem document says of itself stays what RFC 9457 makes of it
    assert (told["status"], told["state"], told["version"]) == (412, "approved", 2)
    ahead = post(house.person(house.cast.alice), f"/approvals/{item.pk}/decide", body | {"version": 7}).json()
    assert (ahead["status"], ahead["detail"][:34]) == (412, "There is no version 7 of it yet. I")
    assert (late.status_code, late.json()["code"], late.json()["version"]) == (412, "approval.version_conflict", 2)
    assert house.cast.rita.email in late.json()["changed_by"]
    ticket = agent.get(f"{V1}/approvals/{item.pk}/ticket").json()
    assert (ticket["state"], ticket["valid"], ticket["action_digest"]) == ("valid", True, item.action_digest)
    assert rita.get(f"{V1}/approvals").json()["items"] == []
    assert len(rita.get(f"{V1}/approvals", {"status": "all", "trace_id": item.trace_id}).json()["items"]) == 1


def test_bad_input(house: House) -> None:
    item = house.ask()
    path = f"/approvals/{item.pk}/decide"
    rita = house.person(house.cast.rita)
    good = {"decision": "approved", "reason": "Fine.", "version": 1}
    for wrong, status in (
        ({"reason": ""}, 422), ({"decision": "maybe"}, 422), ({"version": 0}, 422), ({"extra": 1}, 422),
        ({"version": 5}, 412), ({"reason": " "}, 422),
    ):  # fmt: skip
        assert post(rita, path, good | wrong).status_code == status, wrong
    for missing in ("reason", "version", "decision"):
        body = {key: value for key, value in good.items() if key != missing}
        answer = post(rita, path, body)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, missing)
    viewer = post(house.person(house.cast.vera), path, good)
    assert (viewer.status_code, viewer.json()["permission"]) == (403, "review")
    assert post(house.client("ingest", "read"), path, good).status_code == 403
    mallory = house.cast.browser(house.cast.mallory)
    mallory.defaults["HTTP_X_TENANT"] = house.cast.globex.slug
    for ident in (str(item.pk), str(uuid.uuid4()), "nonsense"):
        for address in ("", "/ticket"):
            assert mallory.get(f"{V1}/approvals/{ident}{address}").status_code == 404
        assert post(mallory, f"/approvals/{ident}/decide", good).status_code == 404
    own = Client(headers={"Authorization": f"Bearer {house.token('review', 'ingest')[1]}"})
    asked = {"trace_id": item.trace_id, "policy": {"policy_id": "cap", "policy_version": "1"}, "reason": "Please."}
    mine = post(own, "/exceptions", asked)
    assert mine.status_code == 201, mine.content
    self_approval = post(own, f"/approvals/{mine.json()['id']}/decide", good)
    assert (self_approval.status_code, self_approval.json()["code"]) == (403, "approval.four_eyes")
    assert rita.get(f"{V1}/approvals", {"cursor": "nonsense"}).status_code == 400
    assert rita.get(f"{V1}/approvals", {"nonsense": 1}).status_code == 400
    assert house.item(item).version == 1


def test_one_path_per_action(house: House) -> None:
    item = house.ask()
    rita, alice = house.person(house.cast.rita), house.person(house.cast.alice)
    agent = Client(headers={"Authorization": f"Bearer {house.agent_text}"})
    at = f"/approvals/{item.pk}"
    for client, action, body, status in (
        (rita, "claim", {"version": 1}, "in_review"),
        (rita, "release", {"version": 2}, "requested"),
        (rita, "request-changes", {"version": 3, "reason": "Which fare?"}, "changes_requested"),
        (agent, "resubmit", {"version": 4, "reason": "Fare Y."}, "requested"),
        (rita, "reassign", {"version": 5, "to": house.alice.ident}, "requested"),
        (alice, "delegate", {"version": 6, "to": house.rita.ident, "reason": "Leave.", "ends_at": LONG}, None),
        (alice, "delegate", {"version": 6, "to": house.rita.ident, "reason": "Leave.", "ends_at": soon()}, "requested"),
        (rita, "escalate", {"version": 7, "reason": "Too large."}, "escalated"),
        (rita, "comment", {"text": "See trace."}, "escalated"),
        (alice, "override", {"version": 8, "reason": "Now.", "confirmation": "act-1"}, "overridden"),
        (agent, "withdraw", {"version": 9, "reason": "No."}, None),
    ):  # fmt: skip
        answer = post(client, f"{at}/{action}", body)
        if status is None:
            assert answer.status_code in (409, 422), answer.content
        else:
            assert (answer.status_code, answer.json()["status"]) == (200, status), answer.content
    shown = rita.get(f"{V1}{at}").json()
    assert [step["action"] for step in shown["history"]][-2:] == ["escalate", "override"]
    assert shown["comments"][0]["text"] == "See trace."
    assert shown["delegations"][0]["delegate"] == house.rita.ident


def soon() -> str:
    from datetime import timedelta

    from decisiongraph.core import clock

    return clock.rfc3339(clock.now() + timedelta(days=1))


def test_the_inbox_page_by_page_most_urgent_first(house: House, hands: Hands) -> None:
    trace = house.trace()
    for number, priority in enumerate(("urgent", "low", "high", "normal")):
        services.create_policy(
            house.tenant, principal=house.alice, name=priority, applies=Match(priority=priority),
            definition=Policy(deadline=Deadline(seconds=100 * (number + 1))),
        )  # fmt: skip
    house.append(*(house.exception(trace, f"EX-{p}", priority=p) for p in ("normal", "high", "low", "urgent")))
    house.follow()
    rita = house.person(house.cast.rita)
    first = rita.get(f"{V1}/approvals", {"limit": 3}).json()
    rest = rita.get(f"{V1}/approvals", {"limit": 3, "cursor": first["next"]}).json()
    assert [row["priority"] for row in first["items"] + rest["items"]] == ["urgent", "low", "high", "normal"]
    assert rest["next"] is None
    hands.forward(seconds=150)
    late = rita.get(f"{V1}/approvals", {"overdue": "true"}).json()["items"]
    assert [(row["priority"], row["overdue"]) for row in late] == [("urgent", True)]
    assert len(rita.get(f"{V1}/approvals", {"overdue": "false"}).json()["items"]) == 3
    urgent = late[0]
    post(rita, f"/approvals/{urgent['id']}/claim", {"version": urgent["version"]})
    assert [row["id"] for row in rita.get(f"{V1}/approvals", {"assignee": "me"}).json()["items"]] == [urgent["id"]]
    summary = rita.get(f"{V1}/approvals/summary").json()
    assert (summary["open"], summary["overdue"], summary["by_status"]["in_review"]) == (4, 1, 1)


def test_an_agent_waits_for_its_ticket(house: House) -> None:
    item = house.ask()
    agent = Client(headers={"Authorization": f"Bearer {house.agent_text}"})
    waited: list[Any] = []

    def wait() -> None:
        try:
            started = time.monotonic()
            answer = agent.get(f"{V1}/approvals/{item.pk}/ticket", {"wait_ms": 20_000})
            waited.append((answer.json()["state"], time.monotonic() - started))
        finally:
            connection.close()

    thread = threading.Thread(target=wait)
    thread.start()
    while waiting._waiters._value == waiting._waiters._initial_value:  # type: ignore[attr-defined]
        time.sleep(0.01)
    house.decide(item)
    thread.join(20)
    assert waited[0][0] == "valid"
    assert waited[0][1] < 15
    assert agent.get(f"{V1}/approvals/{item.pk}/ticket", {"wait_ms": 30_001}).status_code == 400
    other = house.ask()
    started = time.monotonic()
    assert agent.get(f"{V1}/approvals/{other.pk}/ticket", {"wait_ms": 200}).json()["state"] == "pending"
    assert time.monotonic() - started >= 0.2
    taken = [waiting._waiters.acquire(blocking=False) for _ in range(64)]
    try:
        full = agent.get(f"{V1}/approvals/{other.pk}/ticket", {"wait_ms": 5000})
        assert (full.status_code, full.json()["code"]) == (503, "approval.too_many_waiting")
        assert full.headers["Retry-After"] == "1"
        assert agent.get(f"{V1}/approvals/{other.pk}/ticket").status_code == 200
    finally:
        for got in taken:
            if got:
                waiting._waiters.release()


def test_opening_by_hand(house: House) -> None:
    trace = house.trace()
    bob = house.person(house.cast.bob)
    asked = {"trace_id": trace, "subject_type": "action", "subject_id": "a-1", "reason": "By hand.", "action": ACTION}
    made = post(bob, "/approvals", asked, **{"Idempotency-Key": "o-1"})
    assert made.status_code == 201, made.content
    assert made.headers["Location"] == f"{V1}/approvals/{made.json()['id']}"
    assert made.json()["action_digest"].startswith("sha256:")
    assert post(bob, "/approvals", asked, **{"Idempotency-Key": "o-1"}).json()["id"] == made.json()["id"]
    other = post(bob, "/approvals", asked | {"reason": "Else."}, **{"Idempotency-Key": "o-1"})
    assert (other.status_code, other.json()["code"]) == (409, "request.idempotency_conflict")
    assert post(bob, "/approvals", asked | {"trace_id": "none"}).status_code == 404
    bare = post(bob, "/approvals", {key: value for key, value in asked.items() if key != "action"})
    assert (bare.status_code, bare.json()["code"]) == (422, "approval.subject_invalid")
    assert post(house.person(house.cast.vera), "/approvals", asked).status_code == 403
    exception = {"trace_id": trace, "policy": {"policy_id": "cap", "policy_version": "3"}, "reason": "Loyal."}
    assert post(bob, "/exceptions", exception).status_code == 201
    rows = bob.get(f"{V1}/exceptions/by-policy").json()["items"]
    assert (rows[0]["policy_id"], rows[0]["open"], rows[0]["grant_rate"]) == ("cap", 1, None)
    assert len(bob.get(f"{V1}/exceptions").json()["items"]) == 1


def test_the_same_key_at_the_same_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    item, other = house.ask(), house.ask()
    house.decide(item, key="k")
    monkeypatch.setattr(once, "recall", lambda *_args: None)
    with pytest.raises(Problem) as problem:
        house.decide(other, key="k")
    assert (problem.value.status, problem.value.code) == (503, "request.same_key_running")
    assert house.item(other).status == "requested"


def test_incidents_over_http(house: House) -> None:
    bob, vera = house.person(house.cast.bob), house.person(house.cast.vera)
    made = post(
        bob, "/incidents", {"title": "Refund doubled", "severity": "high", "links": [{"kind": "trace", "id": "t"}]}
    )
    assert made.status_code == 201, made.content
    at = f"/incidents/{made.json()['id']}"
    assert made.json()["links"][0]["kind"] == "trace"
    assert post(vera, f"{at}/acknowledge", {"version": 1}).status_code == 403
    assert post(bob, f"{at}/acknowledge", {"version": 1}).json()["status"] == "acknowledged"
    assert post(bob, f"{at}/acknowledge", {"version": 2}).status_code == 409
    stale = post(bob, f"{at}/resolve", {"version": 1, "text": "x"}).json()
    assert (stale["status"], stale["state"], stale["version"]) == (412, "acknowledged", 2)
    assert f"{house.bob.ident.removeprefix('user:')} acknowledged it" in stale["detail"]
    ahead = post(bob, f"{at}/resolve", {"version": 9, "text": "x"}).json()
    assert (ahead["status"], ahead["version"]) == (412, 2)
    assert "There is no version 9 of it yet." in ahead["detail"]
    assert post(bob, f"{at}/resolve", {"version": 2}).status_code == 422
    assert post(bob, f"{at}/explode", {"version": 2}).status_code == 404
    assert post(bob, f"{at}/resolve", {"version": 2, "text": "Once."}).json()["status"] == "resolved"
    assert vera.get(f"{V1}{at}").json()["timeline"][-1]["kind"] == "resolve"
    assert vera.get(f"{V1}/incidents", {"status": "unresolved"}).json()["items"] == []
    assert len(vera.get(f"{V1}/incidents", {"severity": "high", "trace_id": "t"}).json()["items"]) == 1
    for ident in (str(uuid.uuid4()), "nonsense"):
        assert vera.get(f"{V1}/incidents/{ident}").json()["code"] == "incident.not_found"


def test_service_levels_over_http(house: House) -> None:
    alice, rita = house.person(house.cast.alice), house.person(house.cast.rita)
    body = {"name": "fast", "definition": {"deadline": {"seconds": 60}}, "applies": {"workflow": "refund"}}
    assert post(rita, "/sla-policies", body).status_code == 403
    made = post(alice, "/sla-policies", body)
    assert made.status_code == 201, made.content
    at = f"{V1}/sla-policies/{made.json()['id']}"
    assert post(alice, "/sla-policies", body).json()["code"] == "sla.name_taken"
    assert post(alice, "/sla-policies", body | {"name": "standard"}).json()["code"] == "sla.name_invalid"
    wrong = post(alice, "/sla-policies", body | {"name": "x", "definition": {"deadline": {}}})
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "definition.deadline")
    changed = alice.patch(at, {"version": 1, "active": False}, content_type=JSON)
    assert (changed.status_code, changed.json()["active"], changed.json()["version"]) == (200, False, 2)
    stale = alice.patch(at, {"version": 1, "active": True}, content_type=JSON)
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (412, "sla.version_conflict", 2)
    item = house.ask()
    tried = post(rita, "/sla-policies/try", {"over": "items", "policy_id": made.json()["id"]})
    assert (tried.status_code, tried.json()["cases"], tried.json()["open"]) == (200, 1, 1), tried.content
    house.decide(item)
    tried = post(rita, "/sla-policies/try", {"over": "items", "definition": body["definition"]})
    assert tried.json()["in_time"] == 1
    assert post(rita, "/sla-policies/try", {"over": "items"}).json()["code"] == "sla.definition_missing"
    assert post(rita, "/sla-policies/try", {"over": "items", "policy_id": "x"}).json()["code"] == "sla_policy.not_found"
    assert rita.get(f"{V1}/sla-policies").json()["items"][0]["name"] == "fast"
    assert alice.delete(at).status_code == 200
    assert alice.get(at).json()["code"] == "sla_policy.not_found"
    watch = alice.put(f"{V1}/producer-watches/desk", {"seconds": 60}, content_type=JSON)
    assert (watch.status_code, watch.json()["seconds"]) == (200, 60)
    assert alice.get(f"{V1}/producer-watches").json()["items"][0]["producer_id"] == "desk"
    assert alice.delete(f"{V1}/producer-watches/desk").status_code == 200
    with pytest.raises(Problem) as problem:
        services.watch_producer(house.tenant, principal=house.alice, producer_id="desk", seconds=1)
    assert problem.value.code == "producer.interval_invalid"


def test_limits_of_policies_and_trials(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from approvals.selectors import trial
    from approvals.services import policies

    monkeypatch.setattr(policies, "MAX_POLICIES", 0)
    with pytest.raises(Problem) as problem:
        services.create_policy(house.tenant, principal=house.alice, name="x", definition=Policy(), applies=Match())
    assert problem.value.code == "sla.too_many"
    house.ask()
    house.ask()
    monkeypatch.setattr(trial, "MOST_ITEMS", 1)
    answer = post(house.person(house.cast.rita), "/sla-policies/try", {"over": "items", "definition": {}})
    assert (answer.status_code, answer.json()["code"]) == (409, "sla.trial_too_large")
