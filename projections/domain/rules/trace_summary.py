"""One row per trace: what it is, how far it got, what is still open.

The row of a trace is moved by the trace's own events, in their order, and by platform events of
review traces that are *about* it (``subject.trace_id``): those touch only what is pending and who
took part. Own and foreign events may meet in any order (a retried dead letter comes late), so
everything both can touch is a union or a maximum over ``log_seq``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from projections.domain.graph import escape
from projections.domain.payload import subject_trace, text
from projections.domain.rule import Merge, Put, Row, RowId, Table
from traces.domain.envelope import REVIEW_PREFIX, Said

TABLE = "trace_summary"

_BLANK: dict[str, Any] = {
    "kind": "decision",
    "workflow": None,
    "title": None,
    "primary_entity_type": None,
    "primary_entity_system": None,
    "primary_entity_id": None,
    "status": "open",
    "outcome": None,
    "started_at": None,
    "finished_at": None,
    "last_event_at": None,
    "event_count": 0,
    "event_counts": {},
    "last_policy_id": None,
    "last_policy_version": None,
    "last_policy_decision": None,
    "policies": [],
    "actors": [],
    "open_exceptions": 0,
    "open_exception_ids": [],
    "open_approvals": 0,
    "exceptions": {},
    "approvals": {},
    "actions_committed": 0,
    "actions_failed": 0,
    "first_log_seq": 0,
    "last_log_seq": 0,
    "summary": None,
    "context": {},
}
"""A trace none of whose own events was folded yet (``event_count`` 0): lists leave it out.

kind: ``decision`` or ``review``. status: ``open`` or ``finished``. Times: verbatim ``occurred_at``.
policies: sorted ``id@version`` of evaluated policies and of those an exception was asked from.
actors: sorted ``type/id`` of everybody who sent an event or gave an approval.
exceptions: exception id -> [last request, last decision] as ``log_seq``, 0 = never; open while the
request is the later one. approvals: the same by ``<subject type>:<subject id>``, asked for by
``ApprovalRequested`` or by an ``ActionProposed`` that requires approval.
actions_committed: commits that did something (success, partial); actions_failed: failures.
first_log_seq, last_log_seq: of the trace's own events.
"""


def _decide(row: dict[str, Any], column: str, ident: str, asked: int, decided: int) -> None:
    """Merge a request and a decision (0 = none) into ``exceptions`` or ``approvals``."""
    before: dict[str, list[int]] = row[column]
    old = before.get(ident, (0, 0))
    pair = [max(old[0], asked), max(old[1], decided)]
    pairs = {**before, ident: pair}
    row[column] = pairs
    pending = [key for key, (request, decision) in pairs.items() if request > decision]
    if column == "exceptions":
        pending.sort()
        row["open_exception_ids"] = pending
        row["open_exceptions"] = len(pending)
    else:
        row["open_approvals"] = len(pending)


def _insert(row: dict[str, Any], column: str, value: str) -> None:
    """Add to a sorted list of unique strings."""
    if value not in row[column]:
        row[column] = sorted([*row[column], value])


def _subject(payload: dict[str, Any]) -> tuple[str, str] | None:
    subject_type = text(payload, "subject", "subject_type")
    subject_id = text(payload, "subject", "subject_id")
    return None if subject_type is None or subject_id is None else (subject_type, subject_id)


def _pending(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> bool:
    """What is waiting for a decision, by the trace's own and by foreign events; True if moved."""
    kind = event.event_type
    if kind == "ExceptionRequested":
        exception = text(payload, "exception_id")
        if exception is None:
            return False
        _decide(row, "exceptions", exception, event.log_seq, 0)
        return True
    subject = _subject(payload)
    if subject is None:
        return False
    ident = f"{escape(subject[0])}:{subject[1]}"
    if kind == "ApprovalRequested":
        _decide(row, "approvals", ident, event.log_seq, 0)
        return True
    # an item that was withdrawn or expired has no ApprovalRecorded: its review trace just ends
    if kind in ("ApprovalRecorded", "TraceFinished"):
        _decide(row, "approvals", ident, 0, event.log_seq)
    if kind == "ApprovalRecorded":
        if subject[0] == "exception":
            _decide(row, "exceptions", subject[1], 0, event.log_seq)
        approver_type = text(payload, "approver", "actor_type")
        approver_id = text(payload, "approver", "actor_id")
        if approver_type is not None and approver_id is not None:
            _insert(row, "actors", f"{approver_type}/{approver_id}")
    return kind in ("ApprovalRecorded", "TraceFinished")


def _started(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> None:
    row["started_at"] = event.occurred_at
    row["workflow"] = text(payload, "workflow")
    row["title"] = text(payload, "title")
    entity = payload.get("primary_entity")
    row["primary_entity_type"] = text(entity, "entity_type")
    row["primary_entity_system"] = text(entity, "system")
    row["primary_entity_id"] = text(entity, "entity_id")
    context = payload.get("context")
    row["context"] = context if isinstance(context, dict) else {}


def _finished(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> None:
    row["status"] = "finished"
    row["finished_at"] = event.occurred_at
    row["outcome"] = text(payload, "outcome")
    row["summary"] = text(payload, "summary")


def _policy(row: dict[str, Any], payload: dict[str, Any]) -> tuple[str | None, str | None]:
    policy_id = text(payload, "policy", "policy_id")
    version = text(payload, "policy", "policy_version")
    if policy_id is not None and version is not None:
        _insert(row, "policies", f"{policy_id}@{version}")
    return policy_id, version


def _evaluated(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> None:
    row["last_policy_id"], row["last_policy_version"] = _policy(row, payload)
    row["last_policy_decision"] = text(payload, "decision")


def _excepted(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> None:
    _policy(row, payload)
    _pending(row, event, payload)


def _approved(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> None:
    _pending(row, event, payload)


def _proposed(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> None:
    action = text(payload, "action_id")
    if action is not None and payload.get("requires_approval") is True:
        _decide(row, "approvals", f"action:{action}", event.log_seq, 0)


def _committed(row: dict[str, Any], event: Said, payload: dict[str, Any]) -> None:
    status = text(payload, "status")
    if status == "failure":
        row["actions_failed"] += 1
    elif status in ("success", "partial"):
        row["actions_committed"] += 1


_Handler = Callable[[dict[str, Any], Said, dict[str, Any]], None]

_HANDLERS: dict[str, _Handler] = {
    "TraceStarted": _started,
    "PolicyEvaluated": _evaluated,
    "ExceptionRequested": _excepted,
    "ApprovalRequested": _approved,
    "ApprovalRecorded": _approved,
    "ActionProposed": _proposed,
    "ActionCommitted": _committed,
    "TraceFinished": _finished,
}
_ABOUT_SUBJECT = frozenset(("ExceptionRequested", "ApprovalRequested", "ApprovalRecorded", "TraceFinished"))


def _last_change(row: dict[str, Any]) -> int:
    """``log_seq`` of the last event that moved the row, whenever it arrived."""
    last: int = row["last_log_seq"]
    for column in ("exceptions", "approvals"):
        for request, decision in row[column].values():
            last = max(last, request, decision)
    return last


def _current(state: Mapping[RowId, Row], trace_id: str) -> dict[str, Any]:
    """A copy of the row to change; the values inside are shared and are only ever replaced."""
    found = state.get((TABLE, trace_id))
    if found is not None:
        return dict(found)
    row = dict(_BLANK)
    if trace_id.startswith(REVIEW_PREFIX):
        row["kind"] = "review"
    return row


class _TraceSummary:
    name = "trace_summary"
    version = 1
    tables: tuple[Table, ...] = (Table(TABLE, tuple(_BLANK), Merge.REPLACE),)
    history_types: frozenset[str] = frozenset()

    def reads(self, event: Said) -> Iterable[RowId]:
        subject = subject_trace(event)
        if subject is None or event.event_type not in _ABOUT_SUBJECT:
            return ((TABLE, event.trace_id),)
        return ((TABLE, event.trace_id), (TABLE, subject))

    def history_trace(self, event: Said) -> str | None:
        return None

    def fold(self, event: Said, state: Mapping[RowId, Row], history: Sequence[Said]) -> Iterable[Put]:
        kind, log_seq, trace_id = event.event_type, event.log_seq, event.trace_id
        payload = event.payload if event.payload is not None else {}
        row = _current(state, trace_id)
        counts: dict[str, int] = row["event_counts"]
        row["event_counts"] = {**counts, kind: counts.get(kind, 0) + 1}
        row["event_count"] += 1
        row["last_event_at"] = event.occurred_at
        row["last_log_seq"] = log_seq
        if not row["first_log_seq"]:
            row["first_log_seq"] = log_seq
        actor = f"{event.actor_type}/{event.actor_id}"
        if actor not in row["actors"]:
            _insert(row, "actors", actor)
        subject = subject_trace(event) if kind in _ABOUT_SUBJECT else None
        handler = _HANDLERS.get(kind)
        # a decision about another trace is pending there, not in the review trace that records it
        if handler is not None and (subject is None or kind == "TraceFinished"):
            handler(row, event, payload)
        changed = _last_change(row) if row["exceptions"] or row["approvals"] else log_seq
        puts = [Put(TABLE, trace_id, changed, row)]
        if subject is not None:
            other = _current(state, subject)
            if _pending(other, event, payload):
                puts.append(Put(TABLE, subject, _last_change(other), other))
        return puts


RULE = _TraceSummary()
