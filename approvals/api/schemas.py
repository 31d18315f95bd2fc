"""Shapes of the human workflow in the published schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from approvals.domain import incident as incident_rules
from approvals.domain import ticket as tickets
from approvals.domain import workflow
from approvals.domain.sla import TIMER_KINDS, Match, Policy
from decisiongraph.core.api.openapi import ANY_OBJECT, BOOL, INT, NUM, STR, WHEN, JsonSchema, array, nullable, obj

LATER: JsonSchema = {"type": ["string", "null"], "format": "date-time"}
MAYBE = nullable("string")
STATUS: JsonSchema = {"type": "string", "enum": list(workflow.STATES)}
PRIORITY: JsonSchema = {"type": "string", "enum": ["low", "normal", "high", "urgent"]}
SEVERITY: JsonSchema = {"type": "string", "enum": list(incident_rules.SEVERITIES)}
ANY: JsonSchema = {}
VERSION: JsonSchema = {"type": "integer", "minimum": 1, "description": "The version you saw; another one is 412."}
REASON: JsonSchema = {"type": "string", "minLength": 1, "maxLength": 10_000}
KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Repeating the request with the same key answers the same and does nothing again.",
)
POLICY_REF: JsonSchema = {
    **obj({"policy_id": STR, "policy_version": STR}),
    "type": ["object", "null"],
}

_ITEM: dict[str, Any] = {
    "id": STR,
    "review_trace_id": STR,
    "trace_id": STR,
    "subject": obj({"subject_type": STR, "subject_id": STR, "event_id": MAYBE}),
    "title": STR,
    "reason": STR,
    "priority": PRIORITY,
    "policy": POLICY_REF,
    "workflow": STR,
    "entity": obj({"entity_type": STR, "entity_id": STR, "system": MAYBE}),
    "action_digest": MAYBE,
    "requested_by": STR,
    "opened_by": STR,
    "status": STATUS,
    "version": INT,
    "round": INT,
    "level": INT,
    "quorum": INT,
    "reviewers": array(STR),
    "holder": MAYBE,
    "holder_label": MAYBE,
    "assignee": MAYBE,
    "repeats": INT,
    "sla": STR,
    "opened_at": WHEN,
    "due_at": LATER,
    "expires_at": LATER,
    "overdue": BOOL,
    "changed_at": WHEN,
    "changed_by": MAYBE,
    "changed_how": STR,
    "decided_at": LATER,
    "decided_by": MAYBE,
    "decision_reason": MAYBE,
    "superseded_by": MAYBE,
}
ITEM = obj(_ITEM, description="A request for a decision of people.")
TICKET = obj(
    {
        "approval_id": STR,
        "state": {"type": "string", "enum": ["pending", "valid", "used", "expired", "refused"]},
        "valid": {"type": "boolean", "description": "Whether exactly this action may run now, once."},
        "status": STATUS,
        "version": INT,
        "trace_id": STR,
        "subject": obj({"subject_type": STR, "subject_id": STR}),
        "action": {"type": ["object", "null"], "additionalProperties": True},
        "action_digest": MAYBE,
        "decided_at": LATER,
        "decided_by": MAYBE,
        "reason": MAYBE,
        "expires_at": LATER,
        "used_at": LATER,
        "superseded_by": MAYBE,
    },
    description="What an agent asks before it acts.",
)
DECISION: JsonSchema = {"type": "string", "enum": ["approved", "rejected"]}
DETAILS = obj(
    {
        **_ITEM,
        "evidence": array(ANY),
        "action": {"type": ["object", "null"], "additionalProperties": True},
        "policy_text": ANY_OBJECT,
        "ticket": TICKET,
        "votes": array(
            obj(
                {
                    "round": INT,
                    "voter": STR,
                    "voter_label": STR,
                    "on_behalf_of": MAYBE,
                    "decision": DECISION,
                    "reason": STR,
                    "at": WHEN,
                }
            )
        ),
        "history": array(
            obj(
                {
                    "id": INT,
                    "version": INT,
                    "action": STR,
                    "by": STR,
                    "by_label": STR,
                    "before": MAYBE,
                    "after": STR,
                    "reason": STR,
                    "detail": ANY_OBJECT,
                    "at": WHEN,
                }
            )
        ),
        "comments": array(obj({"id": INT, "by": STR, "by_label": STR, "text": STR, "at": WHEN})),
        "delegations": array(
            obj({"delegator": STR, "delegate": STR, "starts_at": WHEN, "ends_at": WHEN, "reason": STR})
        ),
        "timers": array(
            obj(
                {
                    "kind": {"type": "string", "enum": list(TIMER_KINDS)},
                    "level": INT,
                    "due_at": WHEN,
                    "state": {"type": "string", "enum": ["waiting", "fired", "cancelled"]},
                    "fired_at": LATER,
                }
            )
        ),
        "incidents": array(STR),
        "outside_approvals": array(ANY_OBJECT),
        "allowed": array({"type": "string", "enum": list(workflow.ACTIONS)}),
    },
    description="One item with everything around it, and what you may do now.",
)
SUMMARY = obj(
    {
        "open": INT,
        "overdue": INT,
        "by_status": {"type": "object", "additionalProperties": INT},
        "oldest_overdue": LATER,
        "timers": obj({"ok": BOOL, "due_unfired": INT, "latest_seconds": NUM}),
    }
)
BOUND: JsonSchema = {
    **obj(
        {
            "action_type": STR,
            "target_system": STR,
            "target_entity": ANY_OBJECT,
            "changes": array(ANY),
            "policy": POLICY_REF,
        },
        optional=("policy",),
    ),
    "description": f"The keys an approval binds to: {', '.join(tickets.BOUND_KEYS)}.",
}
IDENT: JsonSchema = {"type": "string", "minLength": 1, "maxLength": 200}
OPEN_ITEM = obj(
    {
        "trace_id": IDENT,
        "subject_type": IDENT,
        "subject_id": IDENT,
        "reason": REASON,
        "title": {"type": "string", "maxLength": 500},
        "priority": PRIORITY,
        "policy": POLICY_REF,
        "action": BOUND,
        "evidence": array(ANY),
        "requested_by": ANY_OBJECT,
    },
    optional=("title", "priority", "policy", "action", "evidence", "requested_by"),
)
OPEN_EXCEPTION = obj(
    {
        "trace_id": IDENT,
        "policy": obj({"policy_id": IDENT, "policy_version": IDENT}),
        "reason": REASON,
        "exception_id": IDENT,
        "priority": PRIORITY,
        "evidence": array(ANY),
        "requested_by": ANY_OBJECT,
    },
    optional=("exception_id", "priority", "evidence", "requested_by"),
)
BY_POLICY = obj(
    {
        "policy_id": STR,
        "policy_version": STR,
        "open": INT,
        "granted": INT,
        "refused": INT,
        "expired": INT,
        "withdrawn": INT,
        "total": INT,
        "grant_rate": nullable("number", description="Granted of those decided."),
    }
)

_INCIDENT: dict[str, Any] = {
    "id": STR,
    "review_trace_id": STR,
    "cause": STR,
    "title": STR,
    "severity": SEVERITY,
    "status": {"type": "string", "enum": list(incident_rules.STATES)},
    "version": INT,
    "assignee": MAYBE,
    "assignee_label": MAYBE,
    "trace_id": MAYBE,
    "event_id": MAYBE,
    "approval_id": MAYBE,
    "opened_by": STR,
    "opened_at": WHEN,
    "acknowledged_at": LATER,
    "mitigated_at": LATER,
    "resolved_at": LATER,
    "resolution": MAYBE,
    "reopened": INT,
    "changed_at": WHEN,
    "changed_by": MAYBE,
}
INCIDENT = obj(_INCIDENT, description="Something that needs people beyond one decision.")
INCIDENT_DETAILS = obj(
    {
        **_INCIDENT,
        "timeline": array(
            obj({"id": INT, "kind": STR, "by": STR, "by_label": STR, "text": STR, "detail": ANY_OBJECT, "at": WHEN})
        ),
        "links": array(obj({"kind": STR, "id": STR, "at": WHEN})),
        "allowed": array(STR),
    }
)
LINK = obj({"kind": {"type": "string", "enum": list(incident_rules.LINKS)}, "id": IDENT})
OPEN_INCIDENT = obj(
    {
        "title": {"type": "string", "minLength": 1, "maxLength": 500},
        "severity": SEVERITY,
        "text": {"type": "string", "maxLength": 10_000},
        "trace_id": {"type": ["string", "null"]},
        "links": array(LINK),
    },
    optional=("text", "trace_id", "links"),
)
INCIDENT_ACT = obj(
    {
        "version": VERSION,
        "text": {"type": "string", "maxLength": 10_000},
        "assignee": {"type": "string", "maxLength": 300},
        "severity": SEVERITY,
        "link": LINK,
    },
    optional=("version", "text", "assignee", "severity", "link"),
)


def _inlined(model: Any) -> JsonSchema:
    """A model's schema without ``$defs``: the published document keeps its references elsewhere."""
    made = model.model_json_schema()
    named = made.pop("$defs", {})

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return walk(named[value["$ref"].rpartition("/")[2]])
            return {key: walk(part) for key, part in value.items()}
        return [walk(part) for part in value] if isinstance(value, list) else value

    found: JsonSchema = walk(made)
    return found


DEFINITION = _inlined(Policy)
MATCH = _inlined(Match)
SLA = obj(
    {
        "id": STR,
        "name": STR,
        "applies": ANY_OBJECT,
        "definition": ANY_OBJECT,
        "active": BOOL,
        "version": INT,
        "created_at": WHEN,
        "updated_at": WHEN,
        "updated_by": STR,
    }
)
SLA_NAME: JsonSchema = {"type": "string", "minLength": 1, "maxLength": 100}
CREATE_SLA = obj(
    {"name": SLA_NAME, "definition": DEFINITION, "applies": MATCH, "active": BOOL}, optional=("applies", "active")
)
CHANGE_SLA = obj(
    {"version": VERSION, "name": SLA_NAME, "definition": DEFINITION, "applies": MATCH, "active": BOOL},
    optional=("name", "definition", "applies", "active"),
)
TRY = obj(
    {
        "definition": DEFINITION,
        "policy_id": {"type": "string", "description": "A stored policy instead of a definition."},
        "over": {"type": "string", "enum": ["items", "traces"]},
        "since": LATER,
        "until": LATER,
        "workflow": {"type": "string", "maxLength": 2000},
    },
    optional=("definition", "policy_id", "since", "until", "workflow"),
)
TRIAL = obj(
    {
        "over": STR,
        "cases": INT,
        "in_time": INT,
        "late": INT,
        "open": INT,
        "without_deadline": INT,
        "open_overdue": INT,
        "fired": obj(dict.fromkeys(TIMER_KINDS, INT)),
        "worst": array(obj({"id": STR, "standing": STR, "deadline": LATER, "stopped_at": LATER, "over_seconds": NUM})),
    }
)
WATCH = obj({"producer_id": STR, "seconds": INT, "set_by": STR, "set_at": WHEN})
