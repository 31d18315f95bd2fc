"""Keys and the bounded walk."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.domain.graph import (
    Edge,
    Reached,
    Subgraph,
    escape,
    node_key,
    node_type_of,
    parse_key,
    shortest_path,
    subgraph,
    unescape,
    walk,
)


def edge(log_seq: int, source: str, target: str, edge_type: str = "trace_cited_precedent") -> Edge:
    key = f"{edge_type}:{source}:{target}:e-{log_seq}"
    return Edge(key, edge_type, source, target, log_seq, "t", f"e-{log_seq}", "2026")


@dataclass
class Rows:
    """Edges as a database would give them."""

    edges: Iterable[Edge]
    node_types: Collection[str] | None = None
    edge_types: Collection[str] | None = None
    as_of: int | None = None
    newest: bool = False
    seed: int | None = None
    asked: list[tuple[list[str], int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.edges = sorted(self.edges, key=lambda item: (item.log_seq * (-1 if self.newest else 1), item.key))

    def passes(self, item: Edge) -> bool:
        return (self.as_of is None or item.log_seq <= self.as_of) and (
            self.edge_types is None or item.edge_type in self.edge_types
        )

    def shown(self, key: str) -> bool:
        return self.node_types is None or node_type_of(key) in self.node_types or key == "trace:a"

    def touching(self, keys: Sequence[str], per_node: int) -> list[Edge]:
        self.asked.append((list(keys), per_node))
        found: list[Edge] = []
        read: Counter[tuple[str, bool]] = Counter()
        for item in filter(self.passes, self.edges):
            for near, far, way in ((item.from_key, item.to_key, True), (item.to_key, item.from_key, False)):
                if near in keys and self.shown(far) and read[near, way] < per_node:
                    read[near, way] += 1
                    found.append(item)
        if self.seed is not None:
            random.Random(self.seed).shuffle(found)
        return found

    def between(self, keys: Collection[str], limit: int) -> list[Edge]:
        found = [item for item in self.edges if self.passes(item) and {item.from_key, item.to_key} <= set(keys)]
        return sorted(found, key=lambda item: (item.log_seq, item.key))[:limit]


CHAIN = [edge(n, f"trace:{n}", f"trace:{n + 1}") for n in range(1, 9)]


@given(st.text(st.sampled_from("%:3A25x"), max_size=8), st.text(max_size=8))
def test_keys_come_back_as_they_went_in(one: str, two: str) -> None:
    assert unescape(escape(one)) == one
    assert ":" not in escape(one)
    if one and two:
        assert parse_key(node_key("input", one, two)) == ("input", (one, two))


@pytest.mark.parametrize("key", ["", "t", "trace:", "trace:a:b", "thing:1", "entity:a:b"])
def test_other_strings_are_no_keys(key: str) -> None:
    with pytest.raises(ValueError, match=r"looks like|unknown node type"):
        parse_key(key)


def test_a_key_needs_its_parts() -> None:
    with pytest.raises(ValueError, match="policy_id, policy_version"):
        node_key("policy", "cap")
    with pytest.raises(ValueError, match="unknown node type"):
        node_key("thing", "1")


def test_depth_bounds_the_walk_in_both_directions() -> None:
    assert subgraph(Rows(CHAIN), "trace:4", depth=0).nodes == [Reached("trace:4", 0)]
    found = subgraph(Rows(CHAIN), "trace:4", depth=2)
    assert found.nodes == [
        Reached("trace:4", 0),
        Reached("trace:3", 1),
        Reached("trace:5", 1),
        Reached("trace:2", 2),
        Reached("trace:6", 2),
    ]
    assert [item.log_seq for item in found.edges] == [2, 3, 4, 5]
    assert not found.truncated


def test_max_nodes_says_what_it_left_out() -> None:
    star = [edge(n, "trace:hub", f"trace:{n:02}") for n in range(1, 11)]
    found = subgraph(Rows(star), "trace:hub", max_nodes=4)
    assert [node.key for node in found.nodes] == ["trace:hub", "trace:01", "trace:02", "trace:03"]
    assert (found.truncated, found.omitted_nodes, found.omitted_edges) == (True, 7, 7)
    assert len(found.edges) == 3
    assert not found.unread
    further = subgraph(Rows(star), "trace:hub", max_nodes=4, depth=6)
    assert further == found._replace(unread=True), "nobody looked further out"


def test_as_of_and_type_filters() -> None:
    edges = [
        edge(1, "trace:a", "entity:o:s:1", "trace_involves_entity"),
        edge(2, "trace:b", "entity:o:s:1", "trace_involves_entity"),
        edge(3, "trace:a", "actor:person:eve", "trace_started_by"),
    ]

    def keys(**filters: object) -> set[str]:
        return {node.key for node in subgraph(Rows(edges, **filters), "trace:a", depth=3).nodes}  # type: ignore[arg-type]

    assert keys() == {"trace:a", "entity:o:s:1", "trace:b", "actor:person:eve"}
    assert keys(as_of=1) == {"trace:a", "entity:o:s:1"}
    assert keys(node_types={"actor"}) == {"trace:a", "actor:person:eve"}
    assert keys(edge_types={"trace_involves_entity"}) == {"trace:a", "entity:o:s:1", "trace:b"}


def test_a_hub_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "LEAST_PER_NODE", 2)
    star = [edge(n, "trace:hub", f"trace:{n:03}") for n in range(1, 101)]
    rows = Rows(star)
    found = subgraph(rows, "trace:hub", depth=3, max_nodes=6)
    assert [node.key for node in found.nodes[1:]] == [f"trace:{n:03}" for n in range(1, 6)]
    assert (found.truncated, found.unread, found.cut) == (True, True, ("trace:hub",))
    assert rows.asked == [(["trace:hub"], 7)]
    latest = subgraph(Rows(star, newest=True), "trace:hub", depth=1, max_nodes=6, newest=True)
    assert [node.key for node in latest.nodes[1:]] == [f"trace:{n:03}" for n in range(100, 95, -1)]


def test_parallel_edges_of_a_hub_hide_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one hub the same neighbour fills what is read first; another hub's later neighbour must not overtake."""
    monkeypatch.setattr(walk, "LEAST_PER_NODE", 1)
    edges = [edge(1, "trace:0", "trace:1"), edge(2, "trace:0", "trace:2")]
    edges += [edge(n, "trace:1", "trace:9") for n in range(3, 40)]
    edges += [edge(40, "trace:1", "trace:3"), edge(41, "trace:2", "trace:4"), edge(42, "trace:1", "trace:5")]
    found = subgraph(Rows(edges), "trace:0", depth=2, max_nodes=6)
    assert [node.key for node in found.nodes] == [f"trace:{n}" for n in (0, 1, 2, 9, 3, 4)]
    assert found.omitted_nodes == 1


def test_a_ring_reads_a_bounded_number_of_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_EDGES_READ", 40)
    edges = [edge(n, "trace:0", f"trace:{n}") for n in range(1, 6)]
    edges += [edge(100 * n + m, f"trace:{n}", f"trace:{n}-{m}") for n in range(1, 6) for m in range(50)]
    rows = Rows(edges)
    found = subgraph(rows, "trace:0", depth=2)
    assert rows.asked[-1] == ([f"trace:{n}" for n in range(1, 6)], 4)
    assert found.unread
    assert found.cut == tuple(f"trace:{n}" for n in range(1, 6))
    assert len(found.nodes) == 6 + 5 * 4


def test_expanded_nodes_are_walked_one_step_further() -> None:
    found = subgraph(Rows(CHAIN), "trace:4", depth=1, expand={"trace:5", "trace:6", "trace:1"}.__contains__)
    assert [(node.key, node.depth) for node in found.nodes] == [
        ("trace:4", 0),
        ("trace:3", 1),
        ("trace:5", 1),
        ("trace:6", 2),
        ("trace:7", 3),
    ]
    assert subgraph(Rows(CHAIN), "trace:4", depth=0, expand={"trace:4"}.__contains__).nodes[1:] == [
        Reached("trace:3", 1),
        Reached("trace:5", 1),
    ]


@given(
    pairs=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40),
    depth=st.integers(0, 4),
    max_nodes=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_the_same_rows_give_the_same_answer(
    pairs: list[tuple[int, int]], depth: int, max_nodes: int, seed: int
) -> None:
    edges = [edge(n, f"trace:{a}", f"trace:{b}") for n, (a, b) in enumerate(pairs, start=1)]
    found = subgraph(Rows(edges), "trace:0", depth=depth, max_nodes=max_nodes)
    jumbled = Rows(edges, seed=seed)
    assert found == subgraph(jumbled, "trace:0", depth=depth, max_nodes=max_nodes)
    assert len(found.nodes) <= max_nodes
    keys = [node.key for node in found.nodes]
    assert len(set(keys)) == len(keys)
    assert found.edges == [item for item in edges if item.from_key in keys and item.to_key in keys]
    assert found.truncated == (found.omitted_nodes > 0)
    check(found, edges, depth)


def check(found: Subgraph, edges: list[Edge], depth: int) -> None:
    """Distances are shortest ones, and when nothing was left out everything within ``depth`` is there."""
    near: dict[str, int] = {"trace:0": 0}
    for distance in range(1, depth + 1):
        for item in edges:
            for a, b in ((item.from_key, item.to_key), (item.to_key, item.from_key)):
                if near.get(a) == distance - 1:
                    near.setdefault(b, distance)
    assert {key: near[key] for key, _ in found.nodes} == dict(found.nodes)
    if not found.truncated:
        assert near == dict(found.nodes)


PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30)


@given(pairs=PAIRS, per_node=st.integers(1, 4), max_nodes=st.integers(1, 8), newest=st.booleans())
def test_reading_less_of_a_node_changes_nothing(
    pairs: list[tuple[int, int]], per_node: int, max_nodes: int, newest: bool
) -> None:
    """Whatever is left unread, the nodes are those of a walk that reads everything, up to where it ends."""
    edges = [edge(n, f"trace:{a}", f"trace:{b}") for n, (a, b) in enumerate(pairs, start=1)]
    whole = subgraph(Rows(edges, newest=newest), "trace:0", depth=2, max_nodes=max_nodes, newest=newest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "LEAST_PER_NODE", per_node)
        less = subgraph(Rows(edges, newest=newest), "trace:0", depth=2, max_nodes=max_nodes, newest=newest)
    assert (less.nodes, less.edges) == (whole.nodes, whole.edges)
    assert less.truncated >= whole.truncated


@given(pairs=PAIRS, order=st.randoms())
def test_the_shortest_way_is_short_and_always_the_same(pairs: list[tuple[int, int]], order: random.Random) -> None:
    edges = [edge(n, f"trace:{a}", f"trace:{b}") for n, (a, b) in enumerate(pairs, start=1)]
    way = shortest_path(edges, "trace:0", "trace:1")
    shuffled = list(edges)
    order.shuffle(shuffled)
    assert shortest_path(shuffled, "trace:0", "trace:1") == way
    distances = dict(subgraph(Rows(edges), "trace:0", depth=6).nodes)
    if "trace:1" in distances:
        assert len(way.edges) == distances["trace:1"]
        ends = {item.key: {item.from_key, item.to_key} for item in edges}
        assert [ends[key] for key in way.edges] == [{a, b} for a, b in zip(way.nodes, way.nodes[1:], strict=False)]
    else:
        assert len(way.edges) == 0 or len(way.edges) > 6


def test_of_two_ways_the_earlier_one_is_taken() -> None:
    edges = [edge(4, "trace:a", "trace:c"), edge(2, "trace:a", "trace:b"), edge(3, "trace:b", "trace:z")]
    edges += [edge(1, "trace:c", "trace:z")]
    assert shortest_path(edges, "trace:a", "trace:z").nodes == ("trace:a", "trace:b", "trace:z")
    assert shortest_path(edges, "trace:a", "trace:a").nodes == ("trace:a",)
    assert shortest_path(edges, "trace:a", "trace:q").nodes == ()


@pytest.mark.parametrize("wrong", [{"depth": 7}, {"depth": -1}, {"max_nodes": 0}])
def test_bounds_are_kept(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="between"):
        subgraph(Rows([]), "trace:1", depth=wrong.get("depth", 1), max_nodes=wrong.get("max_nodes", 5))
    with pytest.raises(ValueError, match="between"):
        subgraph(Rows([]), "trace:1", max_nodes=2_001)
