"""The graph page: a picture of what surrounds one node, drawn by the server, and the same as a list.

All of it is in the address: centre, depth, types, moment, what was expanded, what is selected and
which way is shown. A link opens the same picture as long as the log up to that moment is the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET
from pydantic import Field, field_validator

from decisiongraph.core.api import Query, query_params
from decisiongraph.core.console import page
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import invalid, not_found
from decisiongraph.core.templatetags.dg.words import counted, number, tooltip
from projections import selectors
from projections.console.graph import picture
from projections.console.graph.paint import stylesheet
from projections.console.graph.start import looked_up, suggestions
from projections.domain.graph import (
    EDGE_TYPES,
    MAX_DEPTH,
    MAX_NODES,
    NODE_PARTS,
    Path,
    node_type_of,
    parse_key,
    shortest_path,
)
from projections.selectors.graph import checked_key
from tenants.access import console_view
from tenants.models import Tenant
from traces import selectors as log
from traces.domain.labels import face

SIZES = (80, 200, 500, MAX_NODES)
"""How many nodes one may ask for by a click."""
TOLD = 300
"""Events read at most to say more about nodes than their keys do."""
LISTED = 40
"""Rows of the list below a picture; the list alone shows all."""
TARGETS = 80
"""Nodes offered as the end of a way."""
SAID = 8
"""Events of a node in its panel."""
HANDLE = re.compile(r"[0-9a-f]{12}")


class GraphQuery(Query):
    """Everything a link to the page says."""

    node: str = Field(default="", max_length=2000)
    depth: int = Field(default=1, ge=0, le=MAX_DEPTH)
    node_types: str = Field(default="", max_length=1000)
    edge_types: str = Field(default="", max_length=1000)
    as_of: int | None = Field(default=None, ge=0, le=2**53 - 1)
    max_nodes: int = Field(default=SIZES[0], ge=1, le=MAX_NODES)
    to: str = Field(default="", max_length=2000)
    """The other end of a way from the centre."""
    open: str = Field(default="", max_length=2000)
    """Handles of expanded nodes, separated by commas."""
    at: str = Field(default="", max_length=12)
    """Handle of the selected node."""
    view: Literal["picture", "list"] = "picture"
    find: str = Field(default="", max_length=200)
    """What was typed to find a centre."""
    part: Literal["node", "picture"] | None = None
    theme: str = ""

    @field_validator("at", "open")
    @classmethod
    def _handles(cls, value: str) -> str:
        if not all(HANDLE.fullmatch(part) for part in value.split(",") if part):
            raise ValueError("names nodes by twelve hexadecimal digits")
        return value


class Address:
    """Addresses of the page that keep its state."""

    def __init__(self, tenant: Tenant, query: GraphQuery) -> None:
        self.base = f"/t/{tenant.slug}/graph"
        defaults = GraphQuery()
        names = ("node", "depth", "node_types", "edge_types", "as_of", "max_nodes", "to", "open", "at", "view")
        self.kept = {name: getattr(query, name) for name in names if getattr(query, name) != getattr(defaults, name)}

    def __call__(self, base: str = "", **changes: Any) -> str:
        """This page, with changes; None and the empty text drop a parameter."""
        values = {name: value for name, value in (self.kept | changes).items() if value not in (None, "")}
        text = urlencode(values, quote_via=quote, safe=":/@,")
        return f"{base or self.base}?{text}" if text else base or self.base


@console_view("read")
@require_GET
def graph(request: Any) -> HttpResponse:
    """The page; ``part=node`` answers the panel of the selected node, ``part=picture`` the drawing alone."""
    query = query_params(request, GraphQuery)
    tenant: Tenant = request.tenant
    crumbs = [{"label": tenant.slug, "url": f"/t/{tenant.slug}/"}, {"label": "Graph", "url": f"/t/{tenant.slug}/graph"}]
    if not query.node:
        shown: dict[str, Any] = {"crumbs": crumbs, "find": query.find.strip(), "base": f"/t/{tenant.slug}/graph"}
        shown |= {"found": looked_up(tenant, query.find)} if query.find.strip() else {}
        shown["groups"] = suggestions(tenant)
        return render(request, "projections/graph_start.html", page(request, "graph", **shown))
    link = Address(tenant, query)
    with tenant_tx(tenant, isolation="REPEATABLE READ"):
        shown = _shown(tenant, query, link)
    if query.part is not None:
        response = render(request, f"projections/graph.html#{query.part}", shown)
    else:
        shown |= {"crumbs": [*crumbs, {"label": tooltip(shown["centre"].label), "url": link()}]}
        response = render(request, "projections/graph.html", page(request, "graph", **shown))
    patch_vary_headers(response, ("HX-Request",))
    return response


@console_view("read")
@require_GET
def picture_file(request: Any) -> HttpResponse:
    """The picture as an SVG file that stands by itself, in the colours of ``theme``."""
    query = query_params(request, GraphQuery)
    tenant: Tenant = request.tenant
    if not query.node:
        raise not_found("node")
    with tenant_tx(tenant, isolation="REPEATABLE READ"):
        shown = _shown(tenant, query.model_copy(update={"view": "picture"}), Address(tenant, query))
    theme = "dark" if request.GET.get("theme") == "dark" else "light"
    response = render(
        request, "projections/graph_file.svg", shown | {"css": stylesheet(theme)}, content_type="image/svg+xml"
    )
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", query.node).strip("-")[:80] or "graph"
    response["Content-Disposition"] = f'attachment; filename="{name}.svg"'
    return response


def _types(value: str, allowed: Collection[str], path: str) -> list[str] | None:
    names = [name for name in value.split(",") if name]
    if not names:
        return None
    if not set(names) <= set(allowed):
        raise invalid(path, "query.invalid_parameter", f"Give names separated by commas out of: {', '.join(allowed)}.")
    return names


def _shown(tenant: Tenant, query: GraphQuery, link: Address) -> dict[str, Any]:
    node_types = _types(query.node_types, NODE_PARTS, "node_types")
    edge_types = _types(query.edge_types, EDGE_TYPES, "edge_types")
    opened = [part for part in query.open.split(",") if part]
    found = selectors.subgraph(
        tenant,
        node=query.node,
        depth=query.depth,
        node_types=node_types,
        edge_types=edge_types,
        max_nodes=query.max_nodes,
        as_of=query.as_of,
        newest=True,
        expand=lambda key: picture.handle(key) in opened,
    )
    walk = found.found
    by_handle = {picture.handle(key): key for key, _ in walk.nodes}
    selected = by_handle.get(query.at, query.node)
    deciders, granted = picture.people(walk.edges)
    told, kinds = picture.told(walk, query.node, lambda seqs: log.events_at(tenant, seqs), TOLD)
    ids = [parse_key(key)[1][0] for key, _ in walk.nodes if node_type_of(key) == "trace"]
    summaries = {row.key: row for row in selectors.trace_rows(tenant, ids)}
    unfinished = selectors.unfinished(tenant, summaries.values(), query.as_of)
    named = {
        key: picture.words(
            key, told.get(key), kinds.get(key, ""), summaries.get(parse_key(key)[1][0]), deciders, granted, unfinished
        )
        for key, _ in walk.nodes
    }
    way = _way(query, found)
    shown: dict[str, Any] = {
        "node": query.node,
        "centre": named[query.node],
        "heading": f"Around {named[query.node].eyebrow.partition(',')[0]} {tooltip(named[query.node].label)}",
        "query": query,
        "selected": selected,
        "way": way,
    }
    shown |= _node(tenant, query, link, selected, named[selected], opened, bool(walk.cut and selected in walk.cut))
    if query.part == "node":
        return shown
    shown |= _controls(link, edge_types, filtered=node_types is not None or edge_types is not None, opened=opened)
    shown |= {
        "drawing": picture.drawn(
            walk,
            named,
            selected=selected,
            path=way or Path((), ()),
            hubs=found.hubs,
            address=lambda key: link(at=picture.handle(key) if key != query.node else None),
        )
        if query.view == "picture"
        else None,
        "legend": picture.legend(
            walk, node_types, lambda name: link(node_types=_toggled(node_types, NODE_PARTS, name), at=None)
        ),
        "counted": _counted(found, named, query),
        "left_out": _left_out(found, named, query),
        "more_url": next((link(max_nodes=size) for size in SIZES if size > query.max_nodes), "")
        if walk.truncated
        else "",
        "rows": _rows(walk, named, found.hubs, link, query),
        "rows_total": len(walk.nodes),
        "reading": found.reading,
        "first": found.nodes[query.node].log_seq if query.node in found.nodes else 1,
        "last": found.reading.cursor,
        "now": query.as_of is None or query.as_of >= found.reading.cursor,
        "moment": min(query.as_of, found.reading.cursor) if query.as_of is not None else found.reading.cursor,
        "targets": [key for key, _ in walk.nodes[1:TARGETS] if tooltip(key) == key],
        "way_words": [named[key] for key in way.nodes] if way else [],
        "state": {name: value for name, value in link.kept.items() if name != "to"},
    }
    return shown


def _toggled(names: Sequence[str] | None, every: Collection[str], name: str) -> str:
    """The types to ask for when ``name`` is pressed; none chosen is all of them."""
    rest = [each for each in every if (names is None or each in names) != (each == name)]
    return "" if len(rest) == len(every) or not rest else ",".join(rest)


def _controls(
    link: Address, edge_types: Sequence[str] | None, *, filtered: bool, opened: Sequence[str]
) -> dict[str, Any]:
    """Where the buttons of the page lead."""
    return {
        "edge_filters": [
            {
                "name": name.replace("_", " "),
                "on": edge_types is None or name in edge_types,
                "url": link(edge_types=_toggled(edge_types, EDGE_TYPES, name), at=None),
            }
            for name in EDGE_TYPES
        ],
        "filtered": filtered,
        "unfiltered_url": link(node_types=None, edge_types=None),
        "depths": [(depth, link(depth=depth, at=None)) for depth in range(1, MAX_DEPTH + 1)],
        "sizes": [(size, link(max_nodes=size)) for size in SIZES],
        "views": [(name, word, link(view=name if name == "list" else None)) for name, word in VIEWS],
        "list_url": link(view="list"),
        "asof_url": link(as_of=None, at=None),
        "file_url": link(f"{link.base}.svg"),
        "collapse_url": link(open=None) if opened else "",
        "no_way_url": link(to=None),
        "far_url": link(depth=MAX_DEPTH, max_nodes=MAX_NODES),
    }


VIEWS = (("picture", "Picture"), ("list", "List"))


def _way(query: GraphQuery, found: selectors.Graph) -> Path | None:
    """The shortest way to ``to`` inside what is shown; None when none is asked for."""
    if not query.to:
        return None
    checked_key(query.to)
    return shortest_path(found.found.edges, query.node, query.to)


def _counted(found: selectors.Graph, named: dict[str, picture.Words], query: GraphQuery) -> str:
    walk = found.found
    reach = "the node alone" if query.depth == 0 else f"depth {query.depth}"
    return f"{reach}, {counted(len(walk.nodes), 'node')}, {counted(len(walk.edges), 'link')}"


def _left_out(found: selectors.Graph, named: dict[str, picture.Words], query: GraphQuery) -> list[str]:
    """What is missing, in sentences."""
    walk = found.found
    if not walk.truncated:
        return []
    said = []
    for key, total in list(found.hubs.items())[:3]:
        each = named[key]
        drawn = sum(key in (edge.from_key, edge.to_key) for edge in walk.edges)
        count = f"more than {number(total)}" if total >= selectors.COUNTED else number(total)
        who = f"{each.eyebrow.partition(',')[0]} {tooltip(each.label)}"
        said.append(f"{who[:1].upper()}{who[1:]} has {count} links; the latest {number(drawn)} are shown.")
    if len(walk.cut) > 3:
        said.append(f"{counted(len(walk.cut) - 3, 'other node')} also have more links than are shown.")
    if walk.omitted_nodes and not found.hubs:
        more = f"{'at least ' if walk.unread else ''}{number(walk.omitted_nodes)} more"
        said.append(f"There is room for {number(query.max_nodes)} nodes; {more} are left out.")
    elif walk.unread and not found.hubs:
        said.append(f"There is room for {number(query.max_nodes)} nodes; what lies further out was not looked at.")
    return said


def _rows(
    walk: Any, named: dict[str, picture.Words], hubs: dict[str, int], link: Address, query: GraphQuery
) -> list[dict[str, Any]]:
    """The same nodes as a list."""
    via: dict[str, tuple[str, str]] = {}
    depths = dict(walk.nodes)
    for edge in walk.edges:
        there, back = picture.EDGE_WORDS[edge.edge_type]
        if depths[edge.to_key] > depths[edge.from_key]:
            via.setdefault(edge.to_key, (back, edge.from_key))
        elif depths[edge.from_key] > depths[edge.to_key]:
            via.setdefault(edge.from_key, (there, edge.to_key))
    rows = []
    for key, distance in walk.nodes if query.view == "list" else walk.nodes[:LISTED]:
        word, near = via.get(key, ("", ""))
        rows.append(
            {
                "handle": picture.handle(key),
                "words": named[key],
                "distance": distance,
                "via": word,
                "near": named[near] if near else None,
                "more": hubs.get(key),
                "url": link(at=picture.handle(key) if key != query.node else None),
                "centre_url": link(node=key, at=None, open=None, to=None),
            }
        )
    return rows


def _node(
    tenant: Tenant,
    query: GraphQuery,
    link: Address,
    key: str,
    named: picture.Words,
    opened: Sequence[str],
    cut: bool,
) -> dict[str, Any]:
    """The panel of one node: what it is, what was said about it, where one can go from here."""
    detail = selectors.node_detail(tenant, key, as_of=query.as_of, limit=SAID)
    node_type, parts = parse_key(key)
    events = log.events_at(tenant, sorted({edge.log_seq for edge in detail.edges} | {detail.node.log_seq}))
    traces = f"/t/{tenant.slug}/traces"

    def event_url(log_seq: int) -> str:
        event = events.get(log_seq)
        return f"{traces}/{quote(event.trace_id, safe='')}?event={event.trace_seq}" if event else ""

    said = []
    for edge in detail.edges:
        event = events.get(edge.log_seq)
        outwards = edge.from_key == key
        there, back = picture.EDGE_WORDS[edge.edge_type]
        other = edge.to_key if outwards else edge.from_key
        said.append(
            {
                "words": there if outwards else back,
                "other": picture.short(other),
                "other_type": node_type_of(other),
                "other_url": link(node=other, at=None, open=None, to=None),
                "event": face(event).label if event else "Event",
                "url": event_url(edge.log_seq),
                "log_seq": edge.log_seq,
                "at": edge.created_at,
            }
        )
    mine = picture.handle(key)
    names = NODE_PARTS[node_type]
    centre = key == query.node
    return {
        "panel": {
            "key": key,
            "words": named,
            "type": node_type,
            "facts": list(zip([name.replace("_", " ") for name in names], parts, strict=True)),
            "total": detail.total,
            "most": detail.total >= selectors.COUNTED,
            "said": said,
            "first_url": event_url(detail.node.log_seq),
            "first_seq": detail.node.log_seq,
            "trace_url": f"{traces}/{quote(parts[0], safe='')}"
            if node_type in ("trace", "input", "exception", "action")
            else "",
            "traces_url": _traces_of(traces, node_type, parts),
            "centre_url": "" if centre else link(node=key, at=None, open=None, to=None),
            "expand_url": "" if centre or mine in opened else link(open=",".join((*opened, mine)), at=mine),
            "fold_url": link(open=",".join(each for each in opened if each != mine), at=mine) if mine in opened else "",
            "way_url": "" if centre or query.to == key else link(to=key, at=mine),
            "is_centre": centre,
        }
    }


def _traces_of(traces: str, node_type: str, parts: Sequence[str]) -> str:
    """The list of traces that speak of a shared node."""
    if node_type == "entity":
        return f"{traces}?{urlencode({'entity': f'{parts[0]}/{parts[2]}'})}"
    if node_type == "policy":
        return f"{traces}?{urlencode({'policy': f'{parts[0]}@{parts[1]}'})}"
    if node_type == "actor":
        return f"{traces}?{urlencode({'actor': f'{parts[0]}/{parts[1]}'})}"
    return ""
