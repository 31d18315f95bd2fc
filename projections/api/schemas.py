"""Shapes of the projections' answers in the published schema."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from decisiongraph.core.api.openapi import (
    ANY_OBJECT,
    BOOL,
    INT,
    NUM,
    STR,
    WHEN,
    JsonSchema,
    array,
    nullable,
    obj,
    page,
)
from projections.domain.digest import BUCKETS
from projections.domain.graph import EDGE_TYPES, NODE_PARTS
from projections.domain.health import STATES
from projections.domain.rules import RULES

PROJECTION: JsonSchema = {"type": "string", "enum": list(RULES)}
STATE: JsonSchema = {"type": "string", "enum": list(STATES)}
OUTCOME: JsonSchema = {"type": ["string", "null"], "enum": ["success", "failure", "abandoned", None]}
OCCURRED: JsonSchema = nullable("string", description="RFC 3339, exactly as the client sent it.")

ENTITY: JsonSchema = {
    **obj({"entity_type": STR, "system": nullable("string"), "entity_id": nullable("string")}),
    "type": ["object", "null"],
}
DEGRADED: JsonSchema = {
    "type": "boolean",
    "description": "True when this read covers a trace that a dead letter set aside.",
}

_TRACE = {
    "trace_id": STR,
    "kind": {"type": "string", "enum": ["decision", "review"]},
    "workflow": nullable("string"),
    "title": nullable("string"),
    "status": {"type": "string", "enum": ["open", "finished"]},
    "outcome": OUTCOME,
    "primary_entity": ENTITY,
    "started_at": OCCURRED,
    "finished_at": OCCURRED,
    "last_event_at": OCCURRED,
    "event_count": INT,
    "event_counts": {"type": "object", "additionalProperties": INT},
    "last_policy": {
        **obj({"policy_id": STR, "policy_version": nullable("string"), "decision": nullable("string")}),
        "type": ["object", "null"],
    },
    "policies": array(STR),
    "actors": array(STR),
    "open_exceptions": INT,
    "open_approvals": INT,
    "actions_committed": INT,
    "actions_failed": INT,
    "first_log_seq": INT,
    "last_log_seq": INT,
    "summary": nullable("string"),
    "context": ANY_OBJECT,
}
TRACE = obj(_TRACE, description="One decision from start to finish, as far as the log knows it.")
TRACE_DETAIL = obj({**_TRACE, "degraded": DEGRADED})


def degradable_page(item: JsonSchema) -> JsonSchema:
    """One page of a projection."""
    whole = page(item)
    return obj({**whole["properties"], "degraded": DEGRADED})


NODE = {
    "key": {"type": "string", "description": "`<type>:<part>:...`, `%` and `:` in a part escaped."},
    "node_type": {"type": "string", "enum": list(NODE_PARTS)},
    "trace_id": STR,
    "log_seq": INT,
    "created_at": STR,
}
EDGE = obj(
    {
        "key": STR,
        "edge_type": {"type": "string", "enum": list(EDGE_TYPES)},
        "from_key": STR,
        "to_key": STR,
        "log_seq": INT,
        "trace_id": STR,
        "event_id": STR,
        "created_at": STR,
    }
)
SUBGRAPH = obj(
    {
        "centre": STR,
        "nodes": array(obj({**NODE, "depth": INT})),
        "edges": array(EDGE),
        "truncated": BOOL,
        "omitted_nodes": INT,
        "omitted_edges": INT,
        "unread": BOOL,
        "hubs": array(obj({"key": STR, "edges": INT})),
        "degraded": DEGRADED,
    }
)
PRECEDENT = obj(
    {
        "trace_id": STR,
        "source_event_id": STR,
        "source_event_type": {"type": "string", "enum": ["PolicyEvaluated", "ExceptionRequested"]},
        "source_log_seq": INT,
        "policy_id": nullable("string"),
        "policy_version": nullable("string"),
        "decision": nullable("string"),
        "exception_id": nullable("string"),
        "primary_entity": ENTITY,
        "workflow": nullable("string"),
        "outcome": OUTCOME,
        "started_at": OCCURRED,
        "finished_at": OCCURRED,
    }
)
PROJECTION_HEALTH = obj(
    {
        "name": PROJECTION,
        "state": STATE,
        "cursor": INT,
        "lag_events": INT,
        "lag_seconds": NUM,
        "rate": {"type": "number", "description": "Events per second."},
        "generation": INT,
        "rule_version": INT,
        "dead_letters": INT,
        "last_error": nullable("string"),
        "digest": {"type": "string", "description": f"Live digest over {BUCKETS} buckets."},
        "updated_at": WHEN,
    }
)
DIGESTS = obj({"position": INT, "digests": {"type": "object", "additionalProperties": STR}})
DEAD_LETTER = obj(
    {
        "id": INT,
        "projection": PROJECTION,
        "trace_id": STR,
        "log_seq": INT,
        "event_type": STR,
        "error": STR,
        "rule_version": INT,
        "waiting": INT,
        "attempts": INT,
        "state": {"type": "string", "enum": ["open", "retried", "skipped"]},
        "created_at": WHEN,
        "closed_at": {"type": ["string", "null"], "format": "date-time"},
    }
)
SKIP_REQUEST = obj({"reason": {"type": "string", "minLength": 1, "maxLength": 2000}})

FRESHNESS = [
    OpenApiParameter(name, OpenApiTypes.INT64, OpenApiParameter.HEADER, response=[200], description=words)
    for name, words in (
        ("X-Log-Head", "Last position of the log, from the snapshot of this answer."),
        ("X-Projection-Cursor", "Position up to which this answer is complete."),
        ("X-Projection-Lag", "Head minus cursor."),
        ("X-Projection-Parked", "Traces set aside by dead letters that this read covers; absent without any."),
    )
]
"""Response headers of every projection read."""
