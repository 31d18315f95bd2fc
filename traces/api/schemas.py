"""Shapes of the log's requests and answers in the published schema."""

from __future__ import annotations

from typing import Any

from decisiongraph.core.api.openapi import (
    ANY_OBJECT,
    BOOL,
    INT,
    STR,
    WHEN,
    JsonSchema,
    array,
    nullable,
    obj,
    page,
)
from traces.domain.catalog import CATALOG
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES

_IDENTIFIER: JsonSchema = {"type": "string", "minLength": 1, "maxLength": 200}
_SOURCE = obj(
    {"producer_id": _IDENTIFIER, "system": _IDENTIFIER, "subsystem": nullable("string", maxLength=200)},
    optional=("subsystem",),
)
_ACTOR = obj(
    {
        "actor_type": {"type": "string", "enum": ["agent", "person", "role", "system"]},
        "actor_id": _IDENTIFIER,
    }
)

_ENVELOPE = {
    "event_id": nullable("string", maxLength=200, description="Made by the server (UUIDv7) when absent."),
    "trace_seq": nullable("integer", minimum=0, description="Absent: the next one. Given: must be the exact next one."),
    "event_type": {"type": "string", "enum": list(INGEST_TYPES)},
    "schema_version": nullable("integer", minimum=1, default=1),
    "occurred_at": nullable("string", format="date-time", description="RFC 3339 with offset; default: now."),
    "source": _SOURCE,
    "actor": _ACTOR,
    "idempotency_key": {"type": "string", "minLength": 1, "maxLength": 200},
    "correlation_id": nullable("string", maxLength=200),
    "causation_event_id": nullable("string", maxLength=200),
    "tags": {"type": ["array", "null"], "maxItems": 32, "items": {"type": "string", "maxLength": 64}},
    "payload": ANY_OBJECT,
}
_OPTIONAL = (
    "event_id",
    "trace_seq",
    "schema_version",
    "occurred_at",
    "correlation_id",
    "causation_event_id",
    "tags",
)

APPEND_REQUEST = obj(
    {"trace_id": nullable("string", description="The path wins; if given, it must be equal."), **_ENVELOPE},
    optional=("trace_id", "idempotency_key", *_OPTIONAL),
    description="One decision event. `GET /event-types` has the schema of each payload.",
)
_BATCH_EVENT = obj({"trace_id": _IDENTIFIER, **_ENVELOPE}, optional=_OPTIONAL)
BATCH_REQUEST = obj(
    {
        "events": {"type": "array", "maxItems": 500, "items": _BATCH_EVENT},
        "atomic": {"type": "boolean", "default": True},
    },
    optional=("atomic",),
)

RECEIPT = obj(
    {
        "status": {"type": "string", "enum": ["created", "replayed", "valid"]},
        "event_id": nullable("string"),
        "trace_id": STR,
        "trace_seq": nullable("integer"),
        "log_seq": nullable("integer"),
        "payload_hash": nullable("string"),
        "leaf_hash": nullable("string"),
    },
    description="Proof of what was stored. Positions are null for `valid` (a dry run).",
)
_ITEM = obj(
    {
        "status": {"type": "string", "enum": ["created", "replayed", "valid", "refused"]},
        "event_id": nullable("string"),
        "trace_id": nullable("string"),
        "trace_seq": nullable("integer"),
        "log_seq": nullable("integer"),
        "payload_hash": nullable("string"),
        "leaf_hash": nullable("string"),
        "code": STR,
        "detail": STR,
        "errors": array(obj({"path": STR, "code": STR, "detail": STR})),
    },
    optional=(
        "event_id",
        "trace_id",
        "trace_seq",
        "log_seq",
        "payload_hash",
        "leaf_hash",
        "code",
        "detail",
        "errors",
    ),
)
BATCH_RESULT = obj({"results": array(_ITEM)})

EVENT = obj(
    {
        "log_seq": INT,
        "event_id": STR,
        "trace_id": STR,
        "trace_seq": INT,
        "event_type": {"type": "string", "enum": list(INGEST_TYPES + PLATFORM_TYPES)},
        "schema_version": INT,
        "occurred_at": WHEN,
        "recorded_at": WHEN,
        "source": _SOURCE,
        "actor": obj({"actor_type": STR, "actor_id": STR}),
        "idempotency_key": STR,
        "correlation_id": nullable("string"),
        "causation_event_id": nullable("string"),
        "tags": array(STR),
        "origin": {"type": "string", "enum": ["ingest", "import", "platform"]},
        "principal": STR,
        "payload_hash": nullable("string"),
        "leaf_hash": STR,
        "payload": {"type": ["object", "null"], "additionalProperties": True},
    },
    description="A stored event. `payload` is null once it was erased.",
)

EVENT_TYPES = obj(
    {
        "items": array(
            obj(
                {
                    "name": STR,
                    "origin": {"type": "string", "enum": ["ingest", "platform"]},
                    "schema_version": INT,
                    "description": STR,
                    "schema": ANY_OBJECT,
                    "example": ANY_OBJECT,
                }
            )
        ),
        "next": {"type": "null"},
    }
)

REFUSALS = obj(
    {
        "counts": array(
            obj({"producer_id": STR, "principal": STR, "code": STR, "count": INT, "first_at": WHEN, "last_at": WHEN})
        ),
        "items": array(
            obj(
                {
                    "at": WHEN,
                    "producer_id": STR,
                    "principal": STR,
                    "code": STR,
                    "path": STR,
                    "detail": STR,
                    "trace_id": nullable("string"),
                    "request_id": STR,
                }
            )
        ),
        "next": {"type": "null"},
    }
)

# --- differences ----------------------------------------------------------------------------------

_ANY: JsonSchema = {"description": "Any JSON value."}
_TYPE: JsonSchema = {"type": "string", "enum": ["null", "boolean", "integer", "number", "string", "array", "object"]}
_CHANGE = obj(
    {
        "kind": {
            "type": "string",
            "enum": ["added", "removed", "changed", "type_changed", "moved"],
            "description": "`moved`: an item with an identity stands elsewhere in its list.",
        },
        "path": {"type": "string", "description": "`facts[2].value`; on the left, of what was added on the right."},
        "left_path": STR,
        "right_path": STR,
        "left": _ANY,
        "left_type": _TYPE,
        "right": _ANY,
        "right_type": _TYPE,
    },
    optional=("left_path", "right_path", "left", "left_type", "right", "right_type"),
)
_BRIEF = obj(
    {
        "trace_id": STR,
        "trace_seq": INT,
        "log_seq": INT,
        "event_id": STR,
        "event_type": STR,
        "occurred_at": WHEN,
        "title": STR,
    }
)
_BRIEF_OR_NULL: JsonSchema = {**_BRIEF, "type": ["object", "null"]}
DIFFERENCE = obj(
    {
        "basis": {"type": "string", "enum": ["payload", "action"]},
        "left": _BRIEF_OR_NULL,
        "right": _BRIEF_OR_NULL,
        "comparable": {
            "type": "boolean",
            "description": "False when a payload was erased, or an action was not proposed, not reported, or its "
            "commit has no `executed`.",
        },
        "same": BOOL,
        "changes": array(_CHANGE),
        "truncated": BOOL,
    }
)
_SIDE = obj(
    {
        "trace_id": STR,
        "workflow": nullable("string"),
        "title": nullable("string"),
        "status": {"type": "string", "enum": ["open", "finished"]},
        "outcome": nullable("string"),
        "summary": nullable("string"),
        "started_at": WHEN,
        "last_event_at": WHEN,
        "event_count": INT,
        "compared_events": {"type": "integer", "description": "At most 2,000: the first ones."},
    }
)
_DECIDED = array(obj({"version": STR, "decision": STR}))
COMPARISON = obj(
    {
        "left": _SIDE,
        "right": _SIDE,
        "facts": array(
            obj({"name": STR, "left": array(_ANY), "right": array(_ANY), "shared": INT}),
        ),
        "same_facts": INT,
        "policies": array(obj({"policy_id": STR, "same": BOOL, "left": _DECIDED, "right": _DECIDED})),
        "counts": obj({"same": INT, "changed": INT, "left": INT, "right": INT}),
        "exact": {
            "type": "boolean",
            "description": "False when the traces were too long to weigh every pair of steps.",
        },
        "steps": page(
            obj(
                {
                    "kind": {"type": "string", "enum": ["same", "changed", "left", "right"]},
                    "left": _BRIEF_OR_NULL,
                    "right": _BRIEF_OR_NULL,
                    "changes": array(_CHANGE),
                    "truncated": BOOL,
                }
            )
        ),
    }
)

# --- event types in the published schema ----------------------------------------------------------

_PREFIX = "Event."
_TEMPLATE = "#/components/schemas/Event.{model}"


def embed_event_types(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Hook of the schema: a component per payload, and the two request bodies say which belongs to which type."""
    components = result["components"]["schemas"]
    for name, kind in CATALOG.items():
        made = kind.model.model_json_schema(ref_template=_TEMPLATE)
        for inner, schema in made.pop("$defs", {}).items():
            components[_PREFIX + inner] = schema
        components[_PREFIX + name] = {**made, "title": name, "description": kind.doc, "examples": [kind.example]}
    components["AppendEvent"] = _by_type(APPEND_REQUEST)
    components["BatchEvent"] = _by_type(_BATCH_EVENT)
    components["StoredEvent"] = EVENT
    paths = result["paths"]
    single = paths["/api/v1/traces/{trace_id}/events"]["post"]["requestBody"]["content"]["application/json"]
    single["schema"] = {"$ref": "#/components/schemas/AppendEvent"}
    batch = paths["/api/v1/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    batch["properties"]["events"]["items"] = {"$ref": "#/components/schemas/BatchEvent"}
    return result


def _by_type(envelope: JsonSchema) -> JsonSchema:
    """The envelope in which the type decides the payload."""
    kinds = [
        {
            "type": "object",
            "title": name,
            "properties": {"event_type": {"const": name}, "payload": {"$ref": _TEMPLATE.format(model=name)}},
        }
        for name in INGEST_TYPES
    ]
    return {**envelope, "additionalProperties": False, "oneOf": kinds}


__all__ = [
    "APPEND_REQUEST",
    "BATCH_REQUEST",
    "BATCH_RESULT",
    "COMPARISON",
    "DIFFERENCE",
    "EVENT",
    "EVENT_TYPES",
    "RECEIPT",
    "REFUSALS",
]
