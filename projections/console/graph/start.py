"""Before a centre is chosen: what was typed looked up, and where one may begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from projections import selectors
from projections.console.graph.picture import TYPES, short
from projections.domain.graph import node_key, parse_key
from projections.selectors import TraceFilter
from tenants.models import Tenant
from traces import selectors as log

LATEST = 200
"""Traces that the suggestions are made from."""
FOUND = 8


def _item(tenant: Tenant, key: str, detail: str = "") -> dict[str, Any]:
    node_type, parts = parse_key(key)
    mark, tone, _ = TYPES[node_type]
    kind = parts[0] if node_type in ("entity", "actor") else node_type
    return {
        "label": short(key),
        "kind": kind,
        "detail": detail,
        "mark": mark,
        "tone": tone,
        "url": f"/t/{tenant.slug}/graph?node={quote(key, safe=':/@')}",
    }


def _candidates(tenant: Tenant, text: str) -> Iterable[str]:
    """Keys that a text may mean: a key itself, an id, ``type/id``, ``policy@version``."""
    try:
        parse_key(text)
        yield text
    except ValueError:
        pass
    yield node_key("trace", text)
    first, slash, rest = text.partition("/")
    if slash and first and rest:
        yield node_key("actor", first, rest)
        yield node_key("entity", first, "local", rest)
        rows = selectors.trace_list(tenant, TraceFilter(entity=(first, rest), kind=None), limit=FOUND).rows
        for row in rows:
            if row.primary_entity_system:
                yield node_key("entity", first, row.primary_entity_system, rest)
    policy, at, version = text.rpartition("@")
    if at and policy and version:
        yield node_key("policy", policy, version)


def looked_up(tenant: Tenant, text: str) -> list[dict[str, Any]]:
    """Nodes that a text names exactly, then traces whose id begins with it."""
    text = text.strip()
    exact = selectors.known_nodes(tenant, list(dict.fromkeys(_candidates(tenant, text))))
    begun = [node_key("trace", each) for each in log.trace_ids_from(tenant, text, limit=FOUND)]
    more = selectors.known_nodes(tenant, [key for key in begun if key not in exact])
    return [_item(tenant, key) for key in (*exact, *more)]


def suggestions(tenant: Tenant) -> list[dict[str, Any]]:
    """The latest traces, and who and what most of them are about."""
    rows = selectors.trace_list(tenant, TraceFilter(), limit=LATEST).rows[:LATEST]
    entities: Counter[str] = Counter()
    actors: Counter[str] = Counter()
    policies: Counter[str] = Counter()
    for row in rows:
        if row.primary_entity_type and row.primary_entity_id:
            entities[
                node_key("entity", row.primary_entity_type, row.primary_entity_system or "local", row.primary_entity_id)
            ] += 1
        for actor in row.actors:
            kind, _, ident = actor.partition("/")
            if kind and ident:
                actors[node_key("actor", kind, ident)] += 1
        for policy in row.policies:
            name, _, version = policy.rpartition("@")
            if name and version:
                policies[node_key("policy", name, version)] += 1
    latest = [_item(tenant, node_key("trace", row.key), row.title or row.workflow or "") for row in rows[:FOUND]]
    groups = [{"label": "Latest traces", "items": latest}]
    for label, counts in (("Busiest entities", entities), ("Busiest actors", actors), ("Policies", policies)):
        ranked = sorted(counts, key=lambda key: (-counts[key], key))
        known = selectors.known_nodes(tenant, ranked[: 2 * FOUND])[:FOUND]
        items = [_item(tenant, key, f"in {counts[key]} of the latest {len(rows)}") for key in known]
        groups.append({"label": label, "items": items})
    return [group for group in groups if group["items"]]
