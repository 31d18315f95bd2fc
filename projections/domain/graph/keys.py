"""Keys of the decision graph: what its nodes and edges are called.

A node key is ``<type>:<part>:...``; ``%`` and ``:`` inside a part are percent-escaped, so a key
splits back without ambiguity. An edge key is ``<edge_type>:<from key>:<to key>:<event_id>``.
"""

from __future__ import annotations

NODE_PARTS: dict[str, tuple[str, ...]] = {
    "trace": ("trace_id",),
    "entity": ("entity_type", "system", "entity_id"),
    "input": ("trace_id", "input_id"),
    "policy": ("policy_id", "policy_version"),
    "exception": ("trace_id", "exception_id"),
    "action": ("trace_id", "action_id"),
    "actor": ("actor_type", "actor_id"),
}
"""Node type -> the parts of its key. An entity without a system has the system ``local``."""

EDGE_TYPES: tuple[str, ...] = (
    "trace_involves_entity",
    "trace_started_by",
    "trace_observed_input",
    "trace_evaluated_policy",
    "trace_requested_exception",
    "exception_approved_by",
    "trace_cited_precedent",
    "trace_proposed_action",
    "action_targets_entity",
    "trace_committed_action",
)


def escape(part: str) -> str:
    """A key part with ``%`` and ``:`` percent-escaped."""
    return part.replace("%", "%25").replace(":", "%3A")


def unescape(part: str) -> str:
    """The inverse of `escape`."""
    return part.replace("%3A", ":").replace("%25", "%")


def node_key(node_type: str, *parts: str) -> str:
    """The key of a node; ``parts`` unescaped, in the order of `NODE_PARTS`.

    Raises:
        ValueError: an unknown type or another number of parts.
    """
    names = NODE_PARTS.get(node_type)
    if names is None:
        raise ValueError(f"unknown node type {node_type!r}; one of {', '.join(NODE_PARTS)}")
    if len(parts) != len(names):
        raise ValueError(f"a {node_type} key has the parts {', '.join(names)}")
    return ":".join((node_type, *(escape(part) for part in parts)))


def parse_key(key: str) -> tuple[str, tuple[str, ...]]:
    """Type and unescaped parts of a node key.

    Raises:
        ValueError: not a node key; the message says what a key of that type looks like.
    """
    node_type, *parts = key.split(":")
    names = NODE_PARTS.get(node_type)
    if names is None:
        raise ValueError(f"unknown node type {node_type!r}; one of {', '.join(NODE_PARTS)}")
    if len(parts) != len(names) or not all(parts):
        shape = ":".join((node_type, *(f"<{name}>" for name in names)))
        raise ValueError(f"a {node_type} key looks like {shape}, with % and : inside a part escaped")
    return node_type, tuple(unescape(part) for part in parts)


def node_type_of(key: str) -> str:
    """The type a node key starts with."""
    return key.partition(":")[0]
