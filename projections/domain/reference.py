"""Reference digests: what an existing implementation of this vocabulary computes.

They exist so that the log can be checked against an answer key nobody here wrote. Its ids and
merges differ from ours on purpose (SEMANTICS section 6): unescaped ids, inputs, exceptions and
actions shared between traces, first writer wins, no ``trace_started_by`` edge, an
``exception_approved_by`` edge whatever the decision, and a summary that only start and finish move.

The fold streams: feed events in ``log_seq`` order, then ask for `ReferenceFold.digests`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from projections.domain.payload import part, text
from traces.domain.envelope import Said

NAMES: tuple[str, ...] = ("context_graph", "trace_summary", "precedent_index", "full_projection")
"""The digests in the order they are published."""

_SUMMARY_COLUMNS = (
    "workflow",
    "title",
    "primary_entity_type",
    "primary_entity_id",
    "outcome",
    "started_at",
    "finished_at",
)


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def _sorted(rows: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [rows[key] for key in sorted(rows)]


class ReferenceFold:
    """State of the four reference digests after the events fed so far."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Any]] = {}
        self._edges: dict[str, dict[str, Any]] = {}
        self._summaries: dict[str, dict[str, Any]] = {}
        self._starts: dict[str, Any] = {}
        self._precedents: dict[str, dict[str, Any]] = {}

    def feed(self, event: Said) -> None:
        """Fold one event; anything but ``origin: ingest`` changes nothing."""
        if event.origin != "ingest":
            return
        payload = event.payload if event.payload is not None else {}
        self._fold_graph(event, payload)
        if event.event_type in ("TraceStarted", "TraceFinished"):
            self._fold_summary(event, payload)
        elif event.event_type in ("PolicyEvaluated", "ExceptionRequested"):
            self._fold_precedent(event, payload)

    def feed_all(self, events: Iterable[Said]) -> ReferenceFold:
        """Feed every event and return the fold itself."""
        for event in events:
            self.feed(event)
        return self

    def digests(self) -> dict[str, str]:
        """Name -> ``sha256:`` + hex, in the order of `NAMES`."""
        graph = _sha256({"nodes": _sorted(self._nodes), "edges": _sorted(self._edges)})
        summary = _sha256(_sorted(self._summaries))
        precedent = _sha256(_sorted(self._precedents))
        whole = hashlib.sha256(f"{graph}:{summary}:{precedent}".encode("ascii")).hexdigest()
        return dict(zip(NAMES, (graph, summary, precedent, "sha256:" + whole), strict=True))

    # -- graph ------------------------------------------------------------------------------

    def _node(self, event: Said, node_type: str, ident: str | None) -> str | None:
        """Make the node unless it is there already; its id, or None without an ``ident``."""
        if ident is None:
            return None
        node_id = f"{node_type}:{ident}"
        if node_id not in self._nodes:
            # a trace node always carries its own id, also when another trace cites it first
            trace_id = ident if node_type == "trace" else event.trace_id
            self._nodes[node_id] = {
                "node_id": node_id,
                "node_type": node_type,
                "trace_id": trace_id,
                "log_seq": event.log_seq,
                "created_at": event.occurred_at,
                "attrs": {},
            }
        return node_id

    def _entity(self, event: Said, entity: Any) -> str | None:
        return self._node(event, "entity", _pair(entity, "entity_type", "entity_id"))

    def _edge(self, event: Said, edge_type: str, source: str | None, target: str | None) -> None:
        if source is None or target is None:
            return
        edge_id = f"{edge_type}:{source}:{target}:{event.event_id}"
        self._edges.setdefault(
            edge_id,
            {
                "edge_id": edge_id,
                "edge_type": edge_type,
                "from_node_id": source,
                "to_node_id": target,
                "trace_id": event.trace_id,
                "log_seq": event.log_seq,
                "created_at": event.occurred_at,
                "attrs": {},
            },
        )

    def _fold_graph(self, event: Said, payload: dict[str, Any]) -> None:
        trace = self._node(event, "trace", event.trace_id)
        match event.event_type:
            case "TraceStarted":
                self._node(event, "actor", f"{event.actor_type}:{event.actor_id}")
                entity = self._entity(event, payload.get("primary_entity"))
                self._edge(event, "trace_involves_entity", trace, entity)
            case "EntityObserved":
                entity = self._entity(event, payload.get("entity"))
                self._edge(event, "trace_involves_entity", trace, entity)
            case "InputObserved":
                node = self._node(event, "input", text(payload, "input_id"))
                self._edge(event, "trace_observed_input", trace, node)
            case "PolicyEvaluated":
                policy = _pair(payload.get("policy"), "policy_id", "policy_version")
                node = self._node(event, "policy", policy)
                self._edge(event, "trace_evaluated_policy", trace, node)
            case "ExceptionRequested":
                node = self._node(event, "exception", text(payload, "exception_id"))
                self._edge(event, "trace_requested_exception", trace, node)
            case "ApprovalRecorded":
                approver = _pair(payload.get("approver"), "actor_type", "actor_id")
                actor = self._node(event, "actor", approver)
                if text(payload, "subject", "subject_type") == "exception":
                    subject = text(payload, "subject", "subject_id")
                    node = self._node(event, "exception", subject)
                    self._edge(event, "exception_approved_by", node, actor)
            case "PrecedentCited":
                cited = self._node(event, "trace", text(payload, "cited_trace_id"))
                self._edge(event, "trace_cited_precedent", trace, cited)
            case "ActionProposed":
                node = self._node(event, "action", text(payload, "action_id"))
                self._edge(event, "trace_proposed_action", trace, node)
                entity = self._entity(event, payload.get("target_entity"))
                self._edge(event, "action_targets_entity", node, entity)
            case "ActionCommitted":
                node = self._node(event, "action", text(payload, "action_id"))
                self._edge(event, "trace_committed_action", trace, node)

    # -- summary and precedents -------------------------------------------------------------

    def _fold_summary(self, event: Said, payload: dict[str, Any]) -> None:
        row = self._summaries.get(event.trace_id)
        if row is None:
            row = {"trace_id": event.trace_id, **dict.fromkeys(_SUMMARY_COLUMNS), "event_count": 0}
            self._summaries[event.trace_id] = row
        row["event_count"] += 1
        row["last_log_seq"] = event.log_seq
        if event.event_type == "TraceStarted":
            self._starts[event.trace_id] = payload.get("primary_entity")
            row["workflow"] = payload.get("workflow")
            row["title"] = payload.get("title")
            row["primary_entity_type"] = part(payload, "primary_entity", "entity_type")
            row["primary_entity_id"] = part(payload, "primary_entity", "entity_id")
            row["started_at"] = event.occurred_at
        else:
            row["outcome"] = payload.get("outcome")
            row["finished_at"] = event.occurred_at

    def _fold_precedent(self, event: Said, payload: dict[str, Any]) -> None:
        start = self._starts.get(event.trace_id, {})
        self._precedents.setdefault(
            event.event_id,
            {
                "source_event_id": event.event_id,
                "log_seq": event.log_seq,
                "trace_id": event.trace_id,
                "policy_id": part(payload, "policy", "policy_id"),
                "policy_version": part(payload, "policy", "policy_version"),
                "exception_id": payload.get("exception_id"),
                "primary_entity_type": part(start, "entity_type"),
                "primary_entity_system": part(start, "system"),
                "primary_entity_id": part(start, "entity_id"),
            },
        )


def _pair(value: Any, first: str, second: str) -> str | None:
    """``<first>:<second>`` of an object, or None when either is missing."""
    one, two = text(value, first), text(value, second)
    return None if one is None or two is None else f"{one}:{two}"
