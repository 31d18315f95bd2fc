"""Random logs and random nonsense for the rules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.projections.fold import log
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES, StoredEvent

ids = st.sampled_from(["a", "b", "c:d", "100%"])
actors = st.fixed_dictionaries({"actor_type": st.sampled_from(["person", "agent"]), "actor_id": ids})
entities = st.fixed_dictionaries(
    {"entity_type": st.sampled_from(["ticket", "account"]), "entity_id": ids},
    optional={"system": st.sampled_from([None, "crm"])},
)
policies = st.fixed_dictionaries({"policy_id": ids, "policy_version": ids})
facts = st.lists(
    st.fixed_dictionaries({"key": ids, "value": st.fixed_dictionaries({"type": ids, "value": ids})}),
    max_size=2,
)
subjects = st.fixed_dictionaries(
    {"subject_type": st.sampled_from(["exception", "action"]), "subject_id": ids},
    optional={"trace_id": st.sampled_from(["t-1", "t-2"])},
)

_PAYLOADS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "InputObserved": st.fixed_dictionaries({"input_id": ids, "facts": facts}),
    "EntityObserved": st.fixed_dictionaries({"entity": entities, "facts": facts}),
    "PolicyEvaluated": st.fixed_dictionaries({"policy": policies, "decision": st.sampled_from(["allow", "deny"])}),
    "ExceptionRequested": st.fixed_dictionaries(
        {"exception_id": ids, "policy": policies, "reason": ids}, optional={"subject": subjects}
    ),
    "ApprovalRequested": st.fixed_dictionaries({"subject": subjects}),
    "ApprovalRecorded": st.fixed_dictionaries(
        {
            "subject": subjects,
            "approver": actors,
            "decision": st.sampled_from(["approved", "rejected"]),
        }
    ),
    "PrecedentCited": st.fixed_dictionaries({"cited_trace_id": st.sampled_from(["t-1", "t-2", "t-3"]), "reason": ids}),
    "ActionProposed": st.fixed_dictionaries(
        {"action_id": ids, "action_type": ids, "target_entity": entities},
        optional={"requires_approval": st.booleans()},
    ),
    "ActionCommitted": st.fixed_dictionaries(
        {"action_id": ids, "status": st.sampled_from(["success", "failure", "partial"])}
    ),
}
_STARTED: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"workflow": ids, "title": ids, "primary_entity": entities}
)
_FINISHED: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"outcome": st.sampled_from(["success", "failure"])}, optional={"subject": subjects}
)


@st.composite
def traces(draw: st.DrawFn, trace_id: str) -> list[tuple[str, str, dict[str, Any] | None]]:
    """One trace as steps for `log`: a start, some events, perhaps a finish."""
    steps: list[tuple[str, str, dict[str, Any] | None]]
    steps = [(trace_id, "TraceStarted", draw(_STARTED))]
    kinds = draw(st.lists(st.sampled_from(sorted(_PAYLOADS)), max_size=5))
    steps += [(trace_id, kind, draw(_PAYLOADS[kind])) for kind in kinds]
    if draw(st.booleans()):
        steps.append((trace_id, "TraceFinished", draw(_FINISHED)))
    return steps


@st.composite
def shuffled(draw: st.DrawFn, queues: list[list[Any]]) -> list[Any]:
    """All items in one sequence that keeps the order of every queue."""
    order = draw(st.permutations([n for n, queue in enumerate(queues) for _ in queue]))
    walks = [iter(queue) for queue in queues]
    return [next(walks[n]) for n in order]


@st.composite
def logs_and_arrivals(draw: st.DrawFn) -> tuple[list[StoredEvent], list[StoredEvent]]:
    """A log of four traces, and the same events as they might arrive when traces were parked."""
    names = ("t-1", "t-2", "review:1", "review:2")
    events = log(draw(shuffled([draw(traces(name)) for name in names])))
    queues = [[event for event in events if event.trace_id == name] for name in names]
    return events, draw(shuffled(queues))


event_types = st.sampled_from([*INGEST_TYPES, *PLATFORM_TYPES, "NeverHeardOf"])

_names = st.sampled_from(
    [
        "workflow",
        "title",
        "context",
        "primary_entity",
        "entity",
        "target_entity",
        "entity_type",
        "entity_id",
        "system",
        "input_id",
        "facts",
        "key",
        "value",
        "type",
        "policy",
        "policy_id",
        "policy_version",
        "decision",
        "violations",
        "code",
        "explanation",
        "inputs",
        "exception_id",
        "reason",
        "subject",
        "subject_type",
        "subject_id",
        "trace_id",
        "approver",
        "actor_type",
        "actor_id",
        "cited_trace_id",
        "action_id",
        "action_type",
        "requires_approval",
        "status",
        "executed",
        "error",
        "outcome",
        "summary",
    ]
)
"""Names the rules look for: nonsense is only nonsense to them when it sits under these."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)

nonsense = st.none() | st.dictionaries(_names, json_values, max_size=8)
