"""Every action on an item: what it writes, who is refused, and that one wins (W1). All or nothing is in test_w3."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from approvals import services
from approvals.models import Comment, Delegation, Item, Outbox, Timer, Vote
from approvals.services import review
from approvals.services.acts import deed
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.stack.endpoints import endpoints
from tenants.models import AuditEntry
from tests.approvals.house import House
from tests.approvals.scenarios import decide_at_once
from traces import selectors as traces

pytestmark = pytest.mark.django_db


def refused(call: Callable[[], Any]) -> Problem:
    with pytest.raises(Problem) as problem:
        call()
    return problem.value


def test_an_approval_from_start_to_end(house: House) -> None:
    item = house.ask()
    after = house.decide(item, key="k-1")
    assert (after.status, after.version, after.decided_by) == ("approved", 2, house.rita.ident)
    assert after.ticket_expires_at is not None
    events = traces.read_trace(house.tenant, item.review_trace)
    assert [e.event_type for e in events] == ["TraceStarted", "ApprovalRequested", "ApprovalRecorded", "TraceFinished"]
    recorded = events[2]
    assert recorded.payload is not None
    assert recorded.principal == house.rita.ident
    assert recorded.payload["approver"] == {"actor_type": "person", "actor_id": house.cast.rita.email}
    assert recorded.payload["decision"] == "approved"
    assert recorded.payload["subject"]["trace_id"] == item.trace_id
    assert recorded.payload["action_digest"] == item.action_digest
    with tenant_tx(house.tenant):
        audit = AuditEntry.objects.get(target=f"approval:{item.pk}")
        assert (audit.action, audit.actor, audit.reason) == (
            "approval.approved", house.rita.ident, "Fare class allows it.",
        )  # fmt: skip
        told = Outbox.objects.order_by("-id")[0]
        assert (told.message, told.data["decision"], told.actor) == ("approval.decided", "approved", house.rita.ident)
        assert not Timer.objects.filter(state="waiting").exists()
    again = house.decide(item, key="k-1")
    assert (again.pk, again.version) == (item.pk, 2)
    assert len(traces.read_trace(house.tenant, item.review_trace)) == 4
    other = refused(lambda: house.decide(item, "rejected", key="k-1"))
    assert (other.status, other.code) == (409, "request.idempotency_conflict")


@pytest.mark.trust("W1")
def test_w1_two_hundred_decide_and_one_wins(house: House, figures: Callable[..., None]) -> None:
    item = house.ask()
    won, lost = decide_at_once(house, item, [house.rita, house.alice], 200)
    assert sum(won.values()) == 1
    assert len(lost) == 199
    after = house.item(item)
    for problem in lost:
        assert (problem.status, problem.code) == (412, "approval.version_conflict")
        assert problem.extra["version"] == 2
        assert problem.extra["state"] == after.status
        assert problem.extra["changed_by"] == after.decided_by
        assert after.decided_label in problem.detail
    assert house.said(item).count("ApprovalRecorded") == 1
    with tenant_tx(house.tenant):
        assert Vote.objects.count() == 1
    figures(decisions=200, won=1, told=len(lost))


@pytest.mark.trust("W1", control=True)
def test_w1_control_without_the_lock_several_think_they_won(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same race without row lock and version: somebody else's decision is overwritten or doubled."""
    item = house.ask()

    def loose(item_id: str) -> Item:
        found = Item.objects.get(pk=item_id)
        found.status, found.version = "requested", 1
        return found

    monkeypatch.setattr(deed, "held", loose)
    monkeypatch.setattr(review.Book, "write", lambda book: None)
    won, _lost = decide_at_once(house, item, [house.rita, house.alice], 8)
    assert won["approved"] + won["rejected"] > 1


def test_self_approval_is_refused_in_all_its_forms(house: House) -> None:
    """The principal of the event, the person who issued its token, the person it names."""
    token, _text = house.token("ingest", "read", "review")
    trace = house.trace()
    house.append(house.proposal(trace), principal=token)
    named = house.trace()
    house.append(house.exception(named, requested_by={"actor_type": "person", "actor_id": house.cast.rita.email}))
    issued = house.trace()
    row, text = __import__("tenants.services", fromlist=["create_token"]).create_token(
        house.tenant, principal=house.alice, name="alice's", scopes=["ingest"], producers=None
    )
    from tenants.access.tokens import verify

    house.append(house.proposal(issued), principal=verify(text)[1])
    house.follow()
    for trace_id, who in ((trace, token), (named, house.rita), (issued, house.alice)):
        (item,) = house.items(trace_id=trace_id)
        for call in (
            lambda item=item, who=who: house.decide(item, by=who),
            lambda item=item, who=who: services.claim(
                house.tenant, principal=who, item_id=str(item.pk), version=item.version
            ),
        ):
            problem = refused(call)
            assert (problem.status, problem.code) == (403, "approval.four_eyes")
    (item,) = house.items(trace_id=issued)
    assert house.decide(item, by=house.rita).status == "approved"
    forced = refused(
        lambda: services.override(
            house.tenant, principal=house.alice, item_id=str(house.items(trace_id=trace)[0].pk), version=9,
            reason="x", confirmation="act-1",
        )
    )  # fmt: skip
    assert forced.status == 412
    assert row is not None


def test_refusals(house: House) -> None:
    item = house.ask()
    viewer = refused(lambda: house.decide(item, by=house.vera))
    assert (viewer.status, viewer.code, viewer.extra["permission"]) == (403, "permission.missing", "review")
    silent = refused(lambda: house.decide(item, reason="   "))
    assert (silent.status, silent.code) == (422, "approval.reason_missing")
    odd = refused(lambda: house.decide(item, "maybe"))
    assert (odd.status, odd.code) == (422, "approval.unknown_decision")
    stale = refused(lambda: house.decide(item, version=7))
    assert (stale.status, stale.extra["version"]) == (412, 1)
    for ident in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        gone = refused(lambda ident=ident: services.claim(house.tenant, principal=house.rita, item_id=ident, version=1))
        assert (gone.status, gone.code) == (404, "approval.not_found")
    foreign = House()
    gone = refused(lambda: services.claim(foreign.tenant, principal=foreign.rita, item_id=str(item.pk), version=1))
    assert gone.status == 404
    key = refused(lambda: house.decide(item, key="x" * 201))
    assert (key.status, key.code) == (400, "request.invalid_key")
    done = house.decide(item)
    late = refused(lambda: house.decide(done))
    assert (late.status, late.code, late.extra["allowed"]) == (409, "approval.transition_illegal", ["comment"])
    secret = house.ask()
    leaked = refused(lambda: house.decide(secret, reason="use AKIAIOSFODNN7EXAMPLE to check"))
    assert (leaked.status, leaked.code) == (422, "event.secret_found")
    assert house.item(secret).status == "requested"


def test_claim_release_changes_resubmit(house: House) -> None:
    item = house.ask()
    tenant, ident = house.tenant, str(item.pk)
    claimed = services.claim(tenant, principal=house.rita, item_id=ident, version=1)
    assert (claimed.status, claimed.holder, claimed.holder_label) == ("in_review", house.rita.ident, house.rita.label)
    third = refused(lambda: services.release(tenant, principal=house.vera, item_id=ident, version=2))
    assert third.status == 403
    released = services.release(tenant, principal=house.alice, item_id=ident, version=2)
    assert (released.status, released.holder) == ("requested", "")
    back = services.request_changes(tenant, principal=house.rita, item_id=ident, version=3, reason="Which fare?")
    assert back.status == "changes_requested"
    wrong = refused(
        lambda: services.resubmit(tenant, principal=house.rita, item_id=ident, version=4, reason="Mine now.")
    )
    assert (wrong.status, wrong.code) == (403, "approval.not_yours")
    again = services.resubmit(
        tenant, principal=house.agent, item_id=ident, version=4, reason="Fare Y.", evidence=[{"fare": "Y"}]
    )
    assert (again.status, again.round, again.reason, again.evidence) == ("requested", 2, "Fare Y.", [{"fare": "Y"}])
    assert house.steps(item) == ["request", "claim", "release", "request_changes", "resubmit"]
    assert house.said(item) == ["TraceStarted", "ApprovalRequested", *["InputObserved"] * 3, "ApprovalRequested"]


def test_comment_reassign_delegate_withdraw(house: House) -> None:
    item = house.ask()
    tenant, ident = house.tenant, str(item.pk)
    said = services.comment(tenant, principal=house.vera, item_id=ident, text="I know this booking.")
    assert said.version == 1
    with tenant_tx(tenant):
        assert Comment.objects.get().by == house.vera.ident
    moved = services.reassign(tenant, principal=house.rita, item_id=ident, version=1, to=house.alice.ident)
    assert moved.assignee == house.alice.ident
    nobody = refused(lambda: services.reassign(tenant, principal=house.rita, item_id=ident, version=2, to="user:x@y.z"))
    assert (nobody.status, nobody.code) == (422, "approval.assignee_unknown")
    ends = clock.now().replace(microsecond=0)

    def delegate(**more: Any) -> Item:
        asked = {
            "to": house.rita.ident,
            "version": 2,
            "reason": "On leave.",
            "ends_at": ends.replace(year=ends.year + 1),
        }
        asked["ends_at"] = clock.now() + timedelta(days=2)
        return services.delegate(tenant, principal=house.alice, item_id=ident, **(asked | more))

    for wrong in ({"to": house.vera.ident}, {"to": house.alice.ident}, {"ends_at": ends}, {"to": "role:reviewer"}):
        problem = refused(lambda wrong=wrong: delegate(**wrong))
        assert (problem.status, problem.code) == (422, "approval.delegation_invalid")
    stood = delegate()
    assert stood.assignee == house.rita.ident
    with tenant_tx(tenant):
        assert Delegation.objects.get().delegator == house.alice.ident
    foreign = refused(
        lambda: services.withdraw(tenant, principal=house.rita, item_id=ident, version=3, reason="Not mine.")
    )
    assert foreign.status == 403
    gone = services.withdraw(tenant, principal=house.agent, item_id=ident, version=3, reason="Customer called off.")
    assert gone.status == "withdrawn"
    assert house.said(item)[-1] == "TraceFinished"


def test_escalate_and_override(house: House) -> None:
    item = house.ask()
    tenant, ident = house.tenant, str(item.pk)
    up = services.escalate(tenant, principal=house.rita, item_id=ident, version=1, reason="Too large for me.")
    assert (up.status, up.level, up.assignee) == ("escalated", 1, "role:admin")
    twice = refused(lambda: services.escalate(tenant, principal=house.rita, item_id=ident, version=2, reason="Again."))
    assert twice.code == "approval.transition_illegal"
    untyped = refused(
        lambda: services.override(
            tenant, principal=house.alice, item_id=ident, version=2, reason="Now.", confirmation="yes"
        )
    )
    assert (untyped.status, untyped.code) == (422, "approval.confirmation_missing")
    reviewer = refused(
        lambda: services.override(
            tenant, principal=house.rita, item_id=ident, version=2, reason="Now.", confirmation="act-1"
        )
    )
    assert reviewer.status == 403
    over = services.override(
        tenant, principal=house.alice, item_id=ident, version=2, reason="Now.", confirmation="act-1"
    )
    assert over.status == "overridden"
    assert house.said(item)[-3:] == ["ApprovalEscalated", "ApprovalRecorded", "TraceFinished"]


def test_a_quorum_of_two(house: House) -> None:
    from approvals.domain.sla import Match, Policy

    services.create_policy(
        house.tenant,
        principal=house.alice,
        name="two",
        definition=Policy(quorum=2),
        applies=Match(subject_type="action"),
    )
    item = house.ask()
    first = house.decide(item)
    assert (first.status, first.version) == ("requested", 2)
    twice = refused(lambda: house.decide(first))
    assert (twice.status, twice.code) == (409, "approval.already_voted")
    assert house.said(item) == ["TraceStarted", "ApprovalRequested", "InputObserved"]
    second = house.decide(first, by=house.alice)
    assert second.status == "approved"
    recorded = traces.read_trace(house.tenant, item.review_trace)[3]
    assert recorded.payload is not None
    assert len(recorded.payload["votes"]) == 2


def test_people_and_programs_open_items(house: House) -> None:
    trace = house.trace()
    asked: dict[str, Any] = {"trace_id": trace, "subject_type": "exception", "subject_id": "cap@3", "reason": "Loyal."}
    asked["policy"] = {"policy_id": "cap", "policy_version": "3"}
    item = services.open_item(house.tenant, principal=house.bob, key="o-1", **asked)
    assert house.said(item) == ["TraceStarted", "ExceptionRequested", "ApprovalRequested"]
    assert services.open_item(house.tenant, principal=house.bob, key="o-1", **asked).pk == item.pk
    attached = services.open_item(house.tenant, principal=house.alice, **asked)
    assert (attached.pk, house.item(item).repeats) == (item.pk, 1)
    house.follow()
    assert len(house.items(trace_id=trace)) == 1, "the platform's own events open nothing"
    eyes = refused(lambda: house.decide(item, by=house.alice))
    assert eyes.code == "approval.four_eyes"
    none = refused(lambda: services.open_item(house.tenant, principal=house.bob, **(asked | {"trace_id": "none"})))
    assert (none.status, none.code) == (404, "trace.not_found")
    bare = refused(
        lambda: services.open_item(house.tenant, principal=house.bob, **(asked | {"subject_type": "action"}))
    )
    assert (bare.status, bare.code) == (422, "approval.subject_invalid")
    viewer = refused(lambda: services.open_item(house.tenant, principal=house.vera, **asked))
    assert viewer.status == 403
    silent = refused(lambda: services.open_item(house.tenant, principal=house.bob, **(asked | {"reason": " "})))
    assert silent.code == "approval.reason_missing"


@pytest.mark.parametrize("table", ["approvals_step", "approvals_vote", "approvals_incidententry"])
def test_history_votes_and_timelines_cannot_be_rewritten(
    house: House, table: str, stack_environ: dict[str, str]
) -> None:
    """Neither by the application nor by a superuser."""
    house.decide(house.ask())
    services.open_incident(house.tenant, principal=house.bob, title="Doubled", severity="low")
    for statement in (f"UPDATE {table} SET at = now()", f"DELETE FROM {table}"):
        with pytest.raises(DatabaseError), tenant_tx(house.tenant), connection.cursor() as cursor:
            cursor.execute(statement)
        with (
            psycopg.connect(endpoints(stack_environ).database_url_admin) as admin,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
        ):
            admin.execute(statement + f" WHERE tenant_id = {house.tenant.pk}")
