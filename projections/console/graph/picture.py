"""The picture of a subgraph: boxes, lines, words. Everything drawn is escaped text and whole numbers."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from decisiongraph.core.templatetags.dg.words import counted, tooltip
from projections.console.graph import layout
from projections.domain.graph import Edge, Path, Subgraph, node_type_of, parse_key
from projections.models import TraceSummary
from traces.domain.envelope import StoredEvent
from traces.domain.labels import face, text

TYPES: dict[str, tuple[str, str, str]] = {
    "trace": ("m-trace", "run", "Traces"),
    "entity": ("m-ent", "idle", "Entities"),
    "input": ("m-in", "run", "Inputs"),
    "policy": ("m-pol", "run", "Policies"),
    "exception": ("s-human-open", "human", "Exceptions"),
    "action": ("m-act", "run", "Actions"),
    "actor": ("m-agent", "run", "Actors"),
}
"""Node type -> mark, tone and word of the legend."""
EDGE_WORDS = {
    "trace_involves_entity": ("involves", "is involved in"),
    "trace_started_by": ("was started by", "started"),
    "trace_observed_input": ("read", "was read by"),
    "trace_evaluated_policy": ("evaluated", "was evaluated by"),
    "trace_requested_exception": ("asked for", "was asked for by"),
    "exception_approved_by": ("was approved by", "approved"),
    "trace_cited_precedent": ("cited", "was cited by"),
    "trace_proposed_action": ("proposed", "was proposed by"),
    "action_targets_entity": ("is about", "is what this is about:"),
    "trace_committed_action": ("committed", "was committed by"),
}
"""Edge type -> what its beginning says of its end, and the other way round."""
TOLD_BY = frozenset(
    ("trace_observed_input", "trace_evaluated_policy", "trace_committed_action", "trace_proposed_action")
)
"""Edges whose event says more about the node they lead to than its key."""
CROWD = 60
"""Lines from which all but the meant ones are drawn fainter."""
UNITS = 21
"""Latin letters that fit into a box."""
SHORT = 14
"""Letters of a kind of input that leave room for the word itself."""


class Words(NamedTuple):
    """How a node is called and marked."""

    eyebrow: str
    label: str
    mark: str
    tone: str


def handle(key: str) -> str:
    """A short name of a node for addresses: its key may hold anything and be long."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def short(key: str) -> str:
    """What a node is called by its key alone."""
    node_type, parts = parse_key(key)
    return f"{parts[0]}@{parts[1]}" if node_type == "policy" else parts[-1]


def fitted(value: str, units: int = UNITS) -> str:
    """A text cut to a width, its end kept: identifiers differ there. Wide letters count twice."""
    shown = tooltip(value)
    widths = [2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown]
    if sum(widths) <= units:
        return shown
    tail = shown[-6:]
    room, cut = units - 1 - sum(widths[-6:]), 0
    while cut < len(shown) and (room := room - widths[cut]) >= 0:
        cut += 1
    return f"{shown[:cut]}…{tail}"


def told(
    found: Subgraph, centre: str, read: Callable[[list[int]], Mapping[int, StoredEvent]], most: int
) -> tuple[dict[str, StoredEvent], dict[str, str]]:
    """The latest event that leads to a node, where one trace alone speaks of it, or the centre does.

    And what the actions do, as their proposals say.
    """
    last: dict[str, Edge] = {}
    speakers: dict[str, set[str]] = {}
    for edge in found.edges:
        if edge.edge_type in TOLD_BY and (last.get(edge.to_key, edge).from_key != centre or edge.from_key == centre):
            last[edge.to_key] = edge
            speakers.setdefault(edge.to_key, set()).add(edge.trace_id)
    wanted = {key: edge.log_seq for key, edge in last.items() if len(speakers[key]) == 1 or edge.from_key == centre}
    # a report says that an action was carried out, its proposal says which
    proposed = {edge.to_key: edge.log_seq for edge in found.edges if edge.edge_type == "trace_proposed_action"}
    proposed = {key: proposed[key] for key in wanted if key in proposed}
    if len(wanted) > most:
        return {}, {}
    events = read(sorted({*wanted.values(), *proposed.values()}))
    kinds = {key: text(events[seq].payload or {}, "action_type") for key, seq in proposed.items() if seq in events}
    return {key: events[seq] for key, seq in wanted.items() if seq in events}, kinds


def words(
    key: str,
    event: StoredEvent | None,
    kind_of_action: str,
    summary: TraceSummary | None,
    deciders: Collection[str],
    granted: Collection[str],
    unfinished: Collection[str] = (),
) -> Words:
    """How one node is called; traces among ``unfinished`` are open, whatever became of them later."""
    node_type, parts = parse_key(key)
    mark, tone, _ = TYPES[node_type]
    if node_type == "trace":
        if summary is None:
            return Words("trace, not recorded", parts[0], mark, "idle")
        state = "open" if parts[0] in unfinished else summary.outcome or summary.status
        tone = {"success": "ok", "failure": "bad", "abandoned": "idle"}.get(state, "run")
        return Words(f"{summary.kind if summary.kind == 'review' else 'trace'}, {state}", parts[0], mark, tone)
    if node_type == "entity":
        return Words(parts[0], parts[2], mark, tone)
    if node_type == "actor":
        if parts[0] == "person":
            # mulberry is for people who decided something
            look = ("s-human", "human") if key in deciders else ("m-person", "idle")
            return Words("person", parts[1], *look)
        return Words(parts[0], parts[1], mark, tone)
    if node_type == "policy":
        label = f"{parts[0]}@{parts[1]}"
        if event is None:
            return Words("policy", label, mark, tone)
        decision = text(event.payload or {}, "decision").removeprefix("require_")
        return Words(f"policy, {decision}".rstrip(", "), label, mark, face(event).tone)
    if node_type == "exception":
        return Words("exception, granted" if key in granted else "exception", parts[1], mark, "human")
    if event is not None and node_type == "input":
        kind = text(event.payload or {}, "source", "object_type").replace("_", " ")
        source = text(event.payload or {}, "source", "object_id")
        # what only repeats the trace's own id tells inputs apart less than their id does
        label = parts[1] if source in parts[0] or source.startswith(parts[0]) else source
        return Words(kind if len(kind) > SHORT else f"input, {kind}".rstrip(", "), label, mark, tone)
    if event is not None:
        return Words(f"action, {face(event).label.lower()}", kind_of_action or parts[1], mark, face(event).tone)
    return Words(node_type, parts[1], mark, tone)


def drawn(
    found: Subgraph,
    named: Mapping[str, Words],
    *,
    selected: str,
    path: Path,
    hubs: Mapping[str, int],
    address: Callable[[str], str],
) -> dict[str, Any]:
    """What the template draws: nodes and lines with their places."""
    places = layout.arrange(found.nodes, found.edges)
    centre = found.nodes[0].key
    on_path, way = set(path.nodes), set(path.edges)
    ways = {_ends(edge) for edge in found.edges if edge.key in way}
    links: dict[tuple[str, str], Edge] = {}
    degree: dict[str, int] = {}
    for edge in found.edges:
        links.setdefault(_ends(edge), edge)
        for end in {edge.from_key, edge.to_key}:
            degree[end] = degree.get(end, 0) + 1
    nodes = []
    numbers = {key: number for number, (key, _) in enumerate(found.nodes)}
    for key, distance in found.nodes:
        each, box = named[key], places.boxes[key]
        classes = ["n"]
        if distance == 0:
            classes.append("c")
        elif each.tone == "human":
            classes.append("p")
        if key in on_path:
            classes.append("way")
        if key == selected:
            classes.append("sel")
        count = counted(hubs[key], "link") + " in all" if key in hubs else counted(degree.get(key, 0), "link")
        nodes.append(
            {
                "key": key,
                "id": f"n-{handle(key)}",
                "handle": handle(key),
                "x": box.x,
                "y": box.y,
                "classes": " ".join(classes),
                "eyebrow": fitted(each.eyebrow, UNITS + 2),
                "label": fitted(each.label),
                "mark": each.mark,
                "tone": each.tone,
                "title": f"{each.eyebrow} {tooltip(each.label)}, {count}",
                "more": key in hubs,
                "url": address(key),
                "selected": key == selected,
            }
        )
    lines = [
        {
            "d": places.lines[a, b],
            "ends": f"{numbers[a]} {numbers[b]}",
            "classes": _line(links[a, b], (a, b) in ways, "" if selected == centre else selected),
        }
        for a, b in links
        if a != b
    ]
    # what is meant lies on top
    lines.sort(key=lambda line: ("hot" in line["classes"], "way" in line["classes"]))
    return {
        "width": places.width,
        "height": places.height,
        "box_w": layout.BOX_W,
        "box_h": layout.BOX_H,
        "nodes": nodes,
        "lines": lines,
        "many": len(lines) > CROWD,
    }


def _ends(edge: Edge) -> tuple[str, str]:
    return min(edge.from_key, edge.to_key), max(edge.from_key, edge.to_key)


def _line(edge: Edge, way: bool, selected: str) -> str:
    classes = ["edge"]
    if edge.edge_type == "exception_approved_by":
        classes.append("ppl")
    if edge.edge_type == "trace_cited_precedent":
        classes.append("cite")
    if way:
        classes.append("way")
    elif selected in (edge.from_key, edge.to_key):
        classes.append("hot")
    return " ".join(classes)


def legend(found: Subgraph, shown: Collection[str] | None, address: Callable[[str], str]) -> list[dict[str, Any]]:
    """Every node type with its mark and how many are drawn; ``address`` switches one."""
    counts: dict[str, int] = {}
    for key, _ in found.nodes:
        counts[node_type_of(key)] = counts.get(node_type_of(key), 0) + 1
    return [
        {
            "name": name,
            "word": word,
            "mark": mark,
            "tone": tone,
            "count": counts.get(name, 0),
            "on": shown is None or name in shown,
            "url": address(name),
        }
        for name, (mark, tone, word) in TYPES.items()
    ]


def people(edges: Iterable[Edge]) -> tuple[set[str], set[str]]:
    """Who approved an exception, and which exceptions were granted."""
    approved = [edge for edge in edges if edge.edge_type == "exception_approved_by"]
    return {edge.to_key for edge in approved}, {edge.from_key for edge in approved}
