"""Keys and the bounded walk."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.domain import graph
from projections.domain.graph import Edge, Reached, escape, node_key, parse_key, subgraph, unescape


def edge(log_seq: int, source: str, target: str, edge_type: str = "trace_cited_precedent") -> Edge:
    key = f"{edge_type}:{source}:{target}:e-{log_seq}"
    return Edge(key, edge_type, source, target, log_seq, "t", f"e-{log_seq}", "2026")


class Rows:
    """Edges as a database would give them."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges = sorted(edges, key=lambda item: (item.log_seq, item.key))
        self.asked: list[list[str]] = []

    def __call__(self, keys: Sequence[str]) -> list[Edge]:
        self.asked.append(list(keys))
        return [item for item in self.edges if item.from_key in keys or item.to_key in keys]


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
    found = subgraph(Rows(star), "trace:hub", max_nodes=4, depth=6)
    assert [node.key for node in found.nodes] == ["trace:hub", "trace:01", "trace:02", "trace:03"]
    assert (found.truncated, found.omitted_nodes, found.omitted_edges) == (True, 7, 7)
    assert len(found.edges) == 3
    assert not found.unread


def test_as_of_and_type_filters() -> None:
    edges = [
        edge(1, "trace:a", "entity:o:s:1", "trace_involves_entity"),
        edge(2, "trace:b", "entity:o:s:1", "trace_involves_entity"),
        edge(3, "trace:a", "actor:person:eve", "trace_started_by"),
    ]
    rows = Rows(edges)
    now = subgraph(rows, "trace:a", depth=3)
    assert {node.key for node in now.nodes} == {
        "trace:a",
        "entity:o:s:1",
        "trace:b",
        "actor:person:eve",
    }
    then = subgraph(rows, "trace:a", depth=3, as_of=1)
    assert {node.key for node in then.nodes} == {"trace:a", "entity:o:s:1"}
    people = subgraph(rows, "trace:a", depth=3, node_types={"actor"})
    assert {node.key for node in people.nodes} == {"trace:a", "actor:person:eve"}
    involved = subgraph(rows, "trace:a", depth=3, edge_types={"trace_involves_entity"})
    assert {node.key for node in involved.nodes} == {"trace:a", "entity:o:s:1", "trace:b"}


def test_a_hub_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_EDGES_READ", 5)
    star = [edge(n, "trace:hub", f"trace:{n:02}") for n in range(1, 11)]
    rows = Rows(star)
    found = subgraph(rows, "trace:hub", depth=3)
    assert (found.truncated, found.unread, len(found.nodes)) == (True, True, 6)
    assert len(rows.asked) == 1


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
    rows = Rows(edges)

    def jumbled(keys: Sequence[str]) -> list[Edge]:
        found = rows(keys)
        random.Random(seed).shuffle(found)
        return found

    found = subgraph(rows, "trace:0", depth=depth, max_nodes=max_nodes)
    assert found == subgraph(jumbled, "trace:0", depth=depth, max_nodes=max_nodes)
    assert len(found.nodes) <= max_nodes
    keys = [node.key for node in found.nodes]
    assert len(set(keys)) == len(keys)
    assert all(item.from_key in keys and item.to_key in keys for item in found.edges)
    assert found.truncated == (found.omitted_nodes > 0)


@pytest.mark.parametrize("wrong", [{"depth": 7}, {"depth": -1}, {"max_nodes": 0}])
def test_bounds_are_kept(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="between"):
        subgraph(Rows([]), "trace:1", depth=wrong.get("depth", 1), max_nodes=wrong.get("max_nodes", 5))
    with pytest.raises(ValueError, match="between"):
        subgraph(Rows([]), "trace:1", max_nodes=2_001)
