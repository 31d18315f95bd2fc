"""The decision graph: traces, entities, inputs, policies, exceptions, actions, actors.

Nodes are shared between traces, so the lowest ``log_seq`` that names one makes it. An edge belongs
to the event that says it. Both ends of an edge are always put as nodes: when the real one comes
from an earlier event it wins, otherwise this is the placeholder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from projections.domain.graph import escape
from projections.domain.payload import subject_trace, text
from projections.domain.rule import Merge, Put, Row, RowId, Table
from traces.domain.envelope import Said

NODE = "node"
EDGE = "edge"


class _Writer:
    """Collects the rows of one event; ``trace`` is the trace the rows belong to."""

    __slots__ = ("event", "puts", "trace", "trace_key", "trace_part")

    def __init__(self, event: Said, trace: str) -> None:
        self.event = event
        self.trace = trace
        self.trace_part = escape(trace)
        self.trace_key = "trace:" + self.trace_part
        self.puts: list[Put] = []

    def node(self, node_type: str, key: str, trace: str | None = None) -> str:
        event = self.event
        row = {
            "node_type": node_type,
            "trace_id": self.trace if trace is None else trace,
            "created_at": event.occurred_at,
        }
        self.puts.append(Put(NODE, key, event.log_seq, row))
        return key

    def edge(self, edge_type: str, source: str, target: str) -> None:
        event = self.event
        row = {
            "edge_type": edge_type,
            "from_key": source,
            "to_key": target,
            "trace_id": self.trace,
            "event_id": event.event_id,
            "created_at": event.occurred_at,
        }
        key = f"{edge_type}:{source}:{target}:{escape(event.event_id)}"
        self.puts.append(Put(EDGE, key, event.log_seq, row))

    def trace_node(self) -> str:
        return self.node("trace", self.trace_key)

    def entity(self, value: Any) -> str | None:
        entity_type, entity_id = text(value, "entity_type"), text(value, "entity_id")
        if entity_type is None or entity_id is None:
            return None
        system = text(value, "system") or "local"
        key = f"entity:{escape(entity_type)}:{escape(system)}:{escape(entity_id)}"
        return self.node("entity", key)

    def actor(self, actor_type: str, actor_id: str) -> str:
        return self.node("actor", f"actor:{escape(actor_type)}:{escape(actor_id)}")

    def inner(self, node_type: str, ident: str | None) -> str | None:
        """A node whose id is unique only inside its trace: input, exception, action."""
        if ident is None:
            return None
        return self.node(node_type, f"{node_type}:{self.trace_part}:{escape(ident)}")

    def from_trace(self, edge_type: str, target: str | None) -> None:
        if target is not None:
            self.edge(edge_type, self.trace_node(), target)


def _started(out: _Writer, payload: dict[str, Any]) -> None:
    event = out.event
    trace = out.trace_node()
    out.edge("trace_started_by", trace, out.actor(event.actor_type, event.actor_id))
    entity = out.entity(payload.get("primary_entity"))
    if entity is not None:
        out.edge("trace_involves_entity", trace, entity)


def _entity_observed(out: _Writer, payload: dict[str, Any]) -> None:
    out.from_trace("trace_involves_entity", out.entity(payload.get("entity")))


def _input_observed(out: _Writer, payload: dict[str, Any]) -> None:
    out.from_trace("trace_observed_input", out.inner("input", text(payload, "input_id")))


def _policy_evaluated(out: _Writer, payload: dict[str, Any]) -> None:
    policy = payload.get("policy")
    policy_id, version = text(policy, "policy_id"), text(policy, "policy_version")
    if policy_id is not None and version is not None:
        key = out.node("policy", f"policy:{escape(policy_id)}:{escape(version)}")
        out.from_trace("trace_evaluated_policy", key)


def _exception_requested(out: _Writer, payload: dict[str, Any]) -> None:
    exception = out.inner("exception", text(payload, "exception_id"))
    out.from_trace("trace_requested_exception", exception)


def _approval_recorded(out: _Writer, payload: dict[str, Any]) -> None:
    approver = payload.get("approver")
    actor_type, actor_id = text(approver, "actor_type"), text(approver, "actor_id")
    if actor_type is None or actor_id is None:
        return
    actor = out.actor(actor_type, actor_id)
    subject = payload.get("subject")
    if payload.get("decision") == "approved" and text(subject, "subject_type") == "exception":
        exception = out.inner("exception", text(subject, "subject_id"))
        if exception is not None:
            out.edge("exception_approved_by", exception, actor)


def _precedent_cited(out: _Writer, payload: dict[str, Any]) -> None:
    cited = text(payload, "cited_trace_id")
    if cited is not None:
        # the placeholder of a trace belongs to that trace, as its real node would
        key = out.node("trace", "trace:" + escape(cited), cited)
        out.from_trace("trace_cited_precedent", key)


def _action_proposed(out: _Writer, payload: dict[str, Any]) -> None:
    action = out.inner("action", text(payload, "action_id"))
    if action is None:
        return
    out.from_trace("trace_proposed_action", action)
    entity = out.entity(payload.get("target_entity"))
    if entity is not None:
        out.edge("action_targets_entity", action, entity)


def _action_committed(out: _Writer, payload: dict[str, Any]) -> None:
    out.from_trace("trace_committed_action", out.inner("action", text(payload, "action_id")))


_HANDLERS: dict[str, Callable[[_Writer, dict[str, Any]], None]] = {
    "TraceStarted": _started,
    "EntityObserved": _entity_observed,
    "InputObserved": _input_observed,
    "PolicyEvaluated": _policy_evaluated,
    "ExceptionRequested": _exception_requested,
    "ApprovalRecorded": _approval_recorded,
    "PrecedentCited": _precedent_cited,
    "ActionProposed": _action_proposed,
    "ActionCommitted": _action_committed,
}
_ABOUT_SUBJECT = frozenset(("ExceptionRequested", "ApprovalRecorded"))


class _ContextGraph:
    name = "context_graph"
    version = 1
    tables: tuple[Table, ...] = (
        Table(NODE, ("node_type", "trace_id", "created_at"), Merge.FIRST, plain=True),
        Table(
            EDGE,
            ("edge_type", "from_key", "to_key", "trace_id", "event_id", "created_at"),
            Merge.APPEND,
            plain=True,
        ),
    )
    history_types: frozenset[str] = frozenset()

    def reads(self, event: Said) -> Iterable[RowId]:
        return ()

    def history_trace(self, event: Said) -> str | None:
        return None

    def fold(self, event: Said, state: Mapping[RowId, Row], history: Sequence[Said]) -> Iterable[Put]:
        handler = _HANDLERS.get(event.event_type)
        if handler is None:
            return ()
        trace = event.trace_id
        if event.event_type in _ABOUT_SUBJECT:
            trace = subject_trace(event) or trace
        out = _Writer(event, trace)
        handler(out, event.payload if event.payload is not None else {})
        return out.puts


RULE = _ContextGraph()
