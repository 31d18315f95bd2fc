"""Commits beside their tickets: what was approved runs once, everything else is an incident."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import services
from approvals.selectors import items as selectors
from tests.approvals.house import ACTION, Hands, House

pytestmark = pytest.mark.django_db

WRONG = {**ACTION, "changes": [{"path": "refund.amount", "old_value": "0.00", "new_value": "6124.00"}]}


def causes(house: House) -> list[str]:
    return [incident.cause for incident in house.incidents()]


def test_the_approved_action_uses_its_ticket_once(house: House) -> None:
    item = house.ask()
    house.decide(item)
    assert selectors.ticket_json(house.item(item))["valid"] is True
    house.append(house.commit(item.trace_id, status="failure", approval_id=str(item.pk), executed=ACTION))
    house.follow()
    assert selectors.ticket_json(house.item(item))["valid"] is True
    house.append(house.commit(item.trace_id, approval_id=str(item.pk), executed=ACTION))
    house.follow()
    assert selectors.ticket_json(house.item(item))["state"] == "used"
    assert causes(house) == []
    house.append(house.commit(item.trace_id, approval_id=str(item.pk), executed=ACTION))
    house.follow()
    assert causes(house) == ["action.ticket_used"]


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"executed": WRONG}, "action.digest_mismatch"),
        ({}, "action.not_stated"),
    ],
)
def test_another_action_than_the_approved_one(house: House, more: dict[str, Any], cause: str) -> None:
    item = house.ask()
    house.decide(item)
    house.append(house.commit(item.trace_id, approval_id=str(item.pk), **more))
    house.follow()
    (incident,) = house.incidents()
    assert (incident.cause, incident.item_id, incident.trace_id) == (cause, item.pk, item.trace_id)
    house.follow()
    assert len(house.incidents()) == 1


def test_without_and_against_a_decision(house: House) -> None:
    waiting, no = house.ask(), house.ask()
    house.decide(no, "rejected")
    house.append(house.commit(waiting.trace_id, executed=ACTION))
    house.append(house.commit(no.trace_id, approval_id=str(no.pk), executed=ACTION))
    house.append(house.commit(no.trace_id, approval_id="AP-nobody", action_id="other"))
    house.append(house.commit(no.trace_id, status="failure"))
    house.follow()
    assert sorted(causes(house)) == ["action.approval_unknown", "action.not_approved", "action.rejected"]


def test_evidence_of_an_outside_approval_is_enough_for_what_needs_none_here(house: House) -> None:
    trace = house.trace()
    subject = {"subject_type": "action", "subject_id": "act-9"}
    given = {"approval_id": "AP-1", "subject": subject, "approver": {"actor_type": "person", "actor_id": "ana"}}
    house.append(
        house.event(trace, "ApprovalRecorded", {**given, "decision": "approved"}),
        house.commit(trace, "act-9", approval_id="AP-1"),
    )
    house.follow()
    assert causes(house) == []


def test_after_expiry(house: House, hands: Hands) -> None:
    item = house.ask()
    house.decide(item)
    hands.forward(hours=25)
    assert selectors.ticket_json(house.item(item))["state"] == "expired"
    house.append(house.commit(item.trace_id, approval_id=str(item.pk), executed=ACTION))
    house.follow()
    assert causes(house) == ["action.ticket_expired"]


def test_a_commit_in_the_batch_of_its_proposal(house: House) -> None:
    trace = house.trace()
    house.append(house.proposal(trace), house.commit(trace, executed=ACTION))
    house.follow()
    assert causes(house) == ["action.not_approved"]


def test_incidents_are_worked_on_and_never_rewritten(house: House) -> None:
    from decisiongraph.core.errors import Problem

    trace = house.trace()
    row = services.open_incident(
        house.tenant, principal=house.bob, title="Refund doubled", severity="high", trace_id=trace, key="i-1"
    )
    assert services.open_incident(
        house.tenant, principal=house.bob, title="Refund doubled", severity="high", trace_id=trace, key="i-1"
    ).pk == row.pk  # fmt: skip

    def act(action: str, version: int | None = None, **more: Any) -> Any:
        return services.act_on_incident(
            house.tenant, principal=house.bob, incident_id=str(row.pk), action=action, version=version, **more
        )

    assert act("acknowledge", 1).status == "acknowledged"
    assert act("assign", 2, assignee=house.alice.ident).assignee == house.alice.ident
    assert act("rate", 3, severity="critical").severity == "critical"
    assert act("link", link=("trace", trace)).version == 4
    assert act("comment", text="Asked payments.").version == 4
    assert act("mitigate", 4, text="Agent stopped.").status == "mitigated"
    with pytest.raises(Problem) as stale:
        act("resolve", 4, text="x")
    assert (stale.value.status, stale.value.code, stale.value.extra["version"]) == (412, "incident.version_conflict", 5)
    assert act("resolve", 5, text="Refunded once.").status == "resolved"
    with pytest.raises(Problem) as illegal:
        act("mitigate", 6, text="x")
    assert (illegal.value.status, illegal.value.code) == (409, "incident.transition_illegal")
    assert "reopen" in illegal.value.extra["allowed"]
    reopened = act("reopen", 6, text="Happened again.")
    assert (reopened.status, reopened.reopened) == ("open", 1)
    for action, more, code in (
        ("mitigate", {"version": 7}, "incident.text_missing"),
        ("acknowledge", {}, "incident.version_missing"),
        ("rate", {"version": 7}, "incident.unknown_severity"),
        ("link", {"link": ("planet", "x")}, "incident.link_invalid"),
    ):
        with pytest.raises(Problem) as problem:
            act(action, **more)
        assert (problem.value.status, problem.value.code) == (422, code)
    from traces import selectors as traces

    first = [e.event_type for e in traces.read_trace(house.tenant, f"review:{row.pk}")]
    second = [e.event_type for e in traces.read_trace(house.tenant, reopened.review_trace)]
    assert first == ["TraceStarted", "IncidentOpened", "IncidentResolved", "TraceFinished"]
    assert second == ["TraceStarted", "IncidentOpened"]
    with pytest.raises(Problem) as viewer:
        services.open_incident(house.tenant, principal=house.vera, title="x", severity="low")
    assert viewer.value.status == 403
    for asked, code in (
        ({"title": " "}, "incident.title_missing"),
        ({"severity": "awful"}, "incident.unknown_severity"),
    ):
        with pytest.raises(Problem) as problem:
            services.open_incident(house.tenant, principal=house.bob, **({"title": "x", "severity": "low"} | asked))
        assert problem.value.code == code


def test_findings_and_silence_open_incidents_once(house: House, hands: Hands) -> None:
    from decisiongraph.core.db import tenant_tx
    from projections.models import Finding
    from traces.models import Producer

    house.trace()
    with tenant_tx(house.tenant):
        Finding.objects.create(
            tenant_id=house.tenant.pk, kind="mismatch", projection="trace_summary", generation=1, log_seq=1, detail={}
        )
        Producer.objects.create(
            tenant_id=house.tenant.pk, producer_id="desk", system="refunds", events=1, first_at=hands.at,
            last_at=hands.at, last_log_seq=1,
        )  # fmt: skip
    services.watch_producer(house.tenant, principal=house.alice, producer_id="desk", seconds=60)
    house.follow()
    assert causes(house) == ["projection.mismatch"]
    hands.forward(seconds=61)
    assert house.tenant.pk in services.wake()
    house.follow()
    house.follow()
    assert causes(house) == ["projection.mismatch", "producer.silent"]
    assert house.tenant.pk not in services.wake()
