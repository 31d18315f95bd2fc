"""Items open by themselves, once, in their own trace; imports open nothing unless asked."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from approvals import selectors, services
from approvals.models import Follower, Item, Outbox
from approvals.services import review
from approvals.services.people import platform
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from projections import engine
from projections.models import TraceSummary
from tests.approvals.house import House
from traces import selectors as traces
from traces import services as log

pytestmark = pytest.mark.django_db


def test_an_exception_and_an_action_open_items_in_review_traces(house: House) -> None:
    trace = house.trace()
    house.append(house.exception(trace), house.proposal(trace), house.proposal(trace, "act-2", requires_approval=False))
    house.follow()
    exception, action = house.items(trace_id=trace)
    assert (exception.subject_type, exception.subject_id, exception.priority) == ("exception", "EX-1", "high")
    assert (action.subject_type, action.subject_id, action.status) == ("action", "act-1", "requested")
    assert action.action_digest is not None
    assert action.action_digest.startswith("sha256:")
    assert exception.action_digest is None
    assert (action.workflow, action.entity_id, action.policy_id) == ("refund", "K7", "refund.cap")
    assert action.due_at is not None
    events = traces.read_trace(house.tenant, action.review_trace)
    assert [event.event_type for event in events] == ["TraceStarted", "ApprovalRequested"]
    first, asked = events
    assert first.payload is not None
    assert asked.payload is not None
    assert first.payload["workflow"] == "decisiongraph.review"
    assert first.payload["primary_entity"] == {"entity_type": "booking", "entity_id": "K7", "system": "res"}
    assert (first.correlation_id, first.causation_event_id) == (trace, action.event_id)
    assert asked.payload["subject"] == {
        "trace_id": trace, "event_id": action.event_id, "subject_type": "action", "subject_id": "act-1",
    }  # fmt: skip
    assert asked.payload["action_digest"] == action.action_digest
    assert {event.origin for event in events} == {"platform"}
    with tenant_tx(house.tenant):
        assert list(Outbox.objects.order_by("id").values_list("message", flat=True)) == [
            "exception.requested",
            "approval.requested",
        ]


def test_the_subjects_own_page_shows_that_it_waits(house: House) -> None:
    item = house.ask()
    engine.catch_up(house.tenant)
    with tenant_tx(house.tenant):
        assert TraceSummary.objects.get(key=item.trace_id).open_approvals == 1
        assert TraceSummary.objects.get(key=item.review_trace).kind == "review"
    house.decide(item)
    engine.catch_up(house.tenant)
    with tenant_tx(house.tenant):
        assert TraceSummary.objects.get(key=item.trace_id).open_approvals == 0


def test_finished_traces_count_and_nothing_is_written_into_them(house: House) -> None:
    trace = house.trace()
    house.append(house.exception(trace), house.event(trace, "TraceFinished", {"outcome": "success"}))
    before = len(traces.read_trace(house.tenant, trace))
    house.follow()
    assert len(house.items(trace_id=trace)) == 1
    assert len(traces.read_trace(house.tenant, trace)) == before


def test_following_again_changes_nothing(house: House) -> None:
    house.ask()
    head = traces.head(house.tenant)
    for _ in range(3):
        house.follow()
    assert traces.head(house.tenant) == head
    with tenant_tx(house.tenant):  # the control: only the cursor keeps it so, and the id if the cursor fails
        Follower.objects.update(cursor=0)
    house.follow()
    assert traces.head(house.tenant) == head
    assert len(house.items()) == 1


def test_many_followers_open_each_item_once(house: House) -> None:
    trace = house.trace()
    for number in range(0, 60, 20):
        house.append(*(house.exception(trace, f"EX-{n}") for n in range(number, number + 20)))

    def work() -> None:
        try:
            for _ in range(4):
                services.follow(house.tenant, batch=7)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    house.follow()
    items = house.items()
    assert len(items) == len({item.subject_id for item in items}) == 60
    assert all(house.said(item) == ["TraceStarted", "ApprovalRequested"] for item in items)


def test_a_crash_before_the_commit_is_invisible(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = house.trace()
    house.append(house.exception(trace))
    head = traces.head(house.tenant)

    class Crash(BaseException):
        pass

    def dies(_book: review.Book) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(review.Book, "write", dies)
        with pytest.raises(Crash):
            services.follow(house.tenant)
    assert house.items() == []
    assert traces.head(house.tenant) == head
    house.follow()
    assert len(house.items()) == 1


def test_an_event_that_cannot_be_followed_stops_nobody_else(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = house.trace()
    house.append(house.exception(trace, "EX-good"), house.exception(trace, "EX-bad"), house.exception(trace, "EX-late"))
    opened = review.open_trace

    def refuses(book: review.Book, item: Item) -> None:
        if item.subject_id == "EX-bad":
            raise Problem("event.secret_found", 422, "It cannot be said.")
        opened(book, item)

    monkeypatch.setattr(review, "open_trace", refuses)
    house.follow()
    assert {item.subject_id for item in house.items()} == {"EX-good", "EX-late"}
    (incident,) = house.incidents()
    assert incident.cause == "workflow.event_refused"


def test_a_repeated_request_is_attached(house: House) -> None:
    item = house.ask(subject="exception")
    house.append(house.exception(item.trace_id, reason="Asked again."))
    house.follow()
    (only,) = house.items(trace_id=item.trace_id)
    assert (only.pk, only.repeats, only.version) == (item.pk, 1, 1)
    assert house.steps(item) == ["request", "repeat"]


def test_another_action_supersedes_and_incidental_text_does_not(house: House) -> None:
    item = house.ask(call_id="call-1", description="first words")
    house.append(house.proposal(item.trace_id, call_id="call-2", description="better words"))
    house.follow()
    assert [(i.pk, i.repeats) for i in house.items(trace_id=item.trace_id)] == [(item.pk, 1)]
    changed = [{"path": "refund.amount", "old_value": "0.00", "new_value": "6124.00"}]
    house.append(house.proposal(item.trace_id, changes=changed))
    house.follow()
    old, new = house.items(trace_id=item.trace_id)
    assert (old.status, old.superseded_by, new.status) == ("withdrawn", new.pk, "requested")
    assert old.action_digest != new.action_digest
    assert house.said(old) == ["TraceStarted", "ApprovalRequested", "TraceFinished"]
    assert all(timer.state == "cancelled" for timer in house.timers(old))
    with pytest.raises(Problem) as refused:
        house.decide(old, version=old.version)
    assert (refused.value.status, refused.value.code) == (409, "approval.transition_illegal")


def test_imports_open_nothing_unless_asked(house: House) -> None:
    quiet, asked = "quiet-1", "asked-1"
    system = platform(house.tenant)
    house.append(house.started(quiet), house.exception(quiet), origin="import", principal=system)
    opt_in = log.import_principal(house.tenant, open_workflow=True)
    house.append(house.started(asked), house.exception(asked), origin="import", principal=opt_in)
    house.follow()
    assert [item.trace_id for item in house.items()] == [asked]
    house.append(house.commit(quiet, approval_id="nobody"), origin="import", principal=system)
    house.follow()
    assert house.incidents() == []


def test_an_outside_approval_is_evidence_and_changes_nothing(house: House) -> None:
    item = house.ask()
    subject = {"subject_type": "action", "subject_id": "act-1"}
    approver = {"actor_type": "person", "actor_id": "ana"}
    payload: dict[str, Any] = {"approval_id": "AP-1", "subject": subject, "approver": approver, "decision": "approved"}
    house.append(house.event(item.trace_id, "ApprovalRecorded", payload))
    house.follow()
    assert house.item(item).status == "requested"
    shown = selectors.items.details(house.tenant, str(item.pk)).outside
    assert [event.payload["approval_id"] for event in shown if event.payload] == ["AP-1"]


def test_texts_of_any_length_open_items(house: House) -> None:
    trace = house.trace()
    house.append(house.exception(trace, "X" * 50_000, reason="long " * 9_000))
    house.follow()
    (item,) = house.items(trace_id=trace)
    assert len(item.subject_id.encode()) <= 400


def test_beat_finds_who_is_behind(house: House) -> None:
    house.trace()
    assert house.tenant.pk in services.wake()
    house.follow()
    assert house.tenant.pk not in services.wake()


def test_platform_producer_is_refused_from_clients(house: House) -> None:
    event = house.started("forged-1")
    event["source"]["producer_id"] = "decisiongraph"
    with pytest.raises(Problem) as refused:
        house.append(event)
    assert (refused.value.status, refused.value.code) == (403, "envelope.reserved_producer")


def test_the_import_command_asks_for_workflow_or_not(house: House, tmp_path: Path) -> None:
    for name, options in (("quiet", {}), ("asked", {"open_workflow": True})):
        events = [house.started(name), house.exception(name)]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        call_command("import_traces", str(path), tenant=house.tenant.slug, format_name="jsonl", **options)
    house.follow()
    assert [item.trace_id for item in house.items()] == ["asked"]


def test_a_batch_means_what_its_events_mean_one_by_one(house: House) -> None:
    """Items of a batch are opened together; attached, superseded and committed ones among them as if alone."""
    other = [{"path": "refund.amount", "old_value": "0.00", "new_value": "1.00"}]
    chance, twin = random.Random(11), House()

    def script(mine: House, trace: str) -> dict[str, Any]:
        return {
            "ask": mine.proposal(trace),
            "ask another": mine.proposal(trace, "act-2"),
            "change": mine.proposal(trace, changes=other),
            "except": mine.exception(trace),
            "commit": mine.commit(trace),
            "commit another": mine.commit(trace, "act-2"),
            "commit unknown": mine.commit(trace, approval_id="nobody"),
            "not asked": mine.proposal(trace, "act-3", requires_approval=False),
        }

    names = list(script(house, "t"))
    told = [(f"t-{chance.randrange(6)}", chance.choice(names)) for _ in range(60)]
    for mine, batch in ((house, 100), (twin, 1)):
        mine.append(*(mine.started(f"t-{number}") for number in range(6)))
        mine.append(*(script(mine, trace)[name] for trace, name in told))
        while services.follow(mine.tenant, batch=batch).more:
            pass

    def seen(mine: House) -> tuple[Any, Any]:
        items = [
            (item.trace_id, item.subject_id, item.number, item.status, item.repeats, item.version, mine.steps(item))
            for item in sorted(mine.items(), key=lambda item: item.number)
        ]
        return items, sorted((each.cause, each.trace_id, each.title) for each in mine.incidents())

    together, alone = seen(house), seen(twin)
    assert together == alone
    assert {"repeat", "supersede", "fault"} <= {step for item in together[0] for step in item[-1]}
