"""The projections over HTTP, as an agent and an operator use them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.factories import make_token
from tests.projections.desk import Desk, trace
from tests.projections.test_dead_letters import in_the_middle, poison

pytestmark = pytest.mark.django_db

V1 = "/api/v1"
Json = dict[str, Any]


def program(desk: Desk, *scopes: str) -> Client:
    """A program with a token of this tenant."""
    _token, text = make_token(desk.tenant, *scopes)
    return Client(headers={"Authorization": f"Bearer {text}"})


@pytest.fixture
def client(desk: Desk) -> Client:
    return program(desk, "read", "operate")


def pages(client: Client, path: str, **params: Any) -> list[Json]:
    """Every item of a list, two at a time."""
    found: list[Json] = []
    cursor: Json = {}
    while True:
        answer = client.get(f"{V1}{path}", {"limit": 2, **params, **cursor})
        assert answer.status_code == 200, answer.json()
        page = answer.json()
        assert len(page["items"]) <= 2
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def ids(items: list[Json]) -> list[str]:
    return [item["trace_id"] for item in items]


@pytest.fixture
def filled(desk: Desk) -> Desk:
    for seed in range(7):
        desk.append(trace(f"t-{seed}", seed, open_end=seed == 5))
    desk.catch_up()
    return desk


@pytest.mark.parametrize("sort", ["-last", "last", "-started", "started"])
def test_traces_page_by_page(filled: Desk, client: Client, sort: str) -> None:
    whole = ids(client.get(f"{V1}/traces", {"sort": sort}).json()["items"])
    assert len(whole) == 7
    assert ids(pages(client, "/traces", sort=sort)) == whole
    if sort == "-last":
        assert whole == [f"t-{seed}" for seed in reversed(range(7))]


def test_trace_filters(filled: Desk, client: Client) -> None:
    items = pages(client, "/traces")
    one = items[0]
    assert {"trace_id", "kind", "workflow", "title", "status", "outcome", "started_at", "finished_at",
            "event_count", "last_log_seq"} <= set(one)  # fmt: skip
    for name in ("workflow", "outcome", "status"):
        for value in {item[name] for item in items} - {None}:
            found = pages(client, "/traces", **{name: value})
            assert ids(found) == ids([item for item in items if item[name] == value])
    entity = one["primary_entity"]
    found = pages(client, "/traces", entity=f"{entity['entity_type']}/{entity['entity_id']}")
    assert ids(found) == ids([item for item in items if item["primary_entity"] == entity])
    for policy in ("cap@1", "cap"):
        found = pages(client, "/traces", policy=policy)
        assert ids(found) == ids(
            [i for i in items if any(p == policy or p.startswith(policy + "@") for p in i["policies"])]
        )
    assert ids(pages(client, "/traces", actor="agent/bot-1")) == ids([i for i in items if "agent/bot-1" in i["actors"]])
    assert ids(pages(client, "/traces", q="T-3")) == ["t-3"]
    assert ids(pages(client, "/traces", q="100%")) == []
    assert pages(client, "/traces", after="2026-03-02T00:00:00Z") == []
    assert len(pages(client, "/traces", before="2026-03-02T00:00:00Z", after="2026-02-01T00:00:00Z")) == 7
    assert pages(client, "/traces", kind="review") == []


@pytest.mark.parametrize(
    "params",
    [{"nonsense": 1}, {"entity": "account"}, {"limit": 0}, {"after": "yesterday"}, {"sort": "name"}, {"cursor": "zzz"},
     {"wait_ms": 6000}, {"q": "a\x00"}],
)  # fmt: skip
def test_wrong_parameters_are_400(desk: Desk, client: Client, params: Json) -> None:
    answer = client.get(f"{V1}/traces", params)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_one_trace_and_freshness(filled: Desk, client: Client) -> None:
    answer = client.get(f"{V1}/traces/t-2")
    assert (answer.status_code, answer.json()["trace_id"], answer.json()["degraded"]) == (200, "t-2", False)
    head = answer.headers["X-Log-Head"]
    assert answer.headers["X-Projection-Cursor"] == head
    assert answer.headers["X-Projection-Lag"] == "0"
    assert client.get(f"{V1}/traces/nobody").status_code == 404
    behind = client.get(f"{V1}/traces/t-2", {"min_log_seq": int(head) + 1, "wait_ms": 20})
    assert (behind.status_code, behind.json()["code"], behind.headers["Retry-After"]) == (409, "projection.behind", "1")
    assert client.get(f"{V1}/traces/t-2", {"min_log_seq": head}).status_code == 200


def test_the_graph(filled: Desk, client: Client) -> None:
    answer = client.get(f"{V1}/graph/subgraph", {"node": "trace:t-1", "depth": 2})
    assert answer.status_code == 200
    found = answer.json()
    keys = [node["key"] for node in found["nodes"]]
    assert keys[0] == "trace:t-1"
    assert all(edge["from_key"] in keys and edge["to_key"] in keys for edge in found["edges"])
    assert found == client.get(f"{V1}/graph/subgraph", {"node": "trace:t-1", "depth": 2}).json()
    few = client.get(f"{V1}/graph/subgraph", {"node": "trace:t-1", "depth": 2, "max_nodes": 3}).json()
    assert (len(few["nodes"]), few["truncated"]) == (3, True)
    policies = client.get(f"{V1}/graph/subgraph", {"node": "trace:t-1", "node_types": "policy"}).json()
    assert {node["node_type"] for node in policies["nodes"]} <= {"trace", "policy"}
    edges = pages(client, "/graph/edges", node="trace:t-1")
    assert edges == client.get(f"{V1}/graph/edges", {"node": "trace:t-1"}).json()["items"]
    outgoing = pages(client, "/graph/edges", node="trace:t-1", direction="out")
    assert outgoing == [edge for edge in edges if edge["from_key"] == "trace:t-1"]
    before = client.get(f"{V1}/graph/subgraph", {"node": "trace:t-1", "as_of": 1})
    assert before.status_code == 404, "the node did not exist yet"
    assert client.get(f"{V1}/graph/subgraph", {"node": "t-1"}).json()["code"] == "graph.malformed_key"
    assert client.get(f"{V1}/graph/subgraph", {"node": "trace:t-1", "node_types": "house"}).status_code == 400
    assert client.get(f"{V1}/graph/subgraph").status_code == 400


def test_precedents(filled: Desk, client: Client) -> None:
    items = pages(client, "/precedents")
    assert items
    assert "t-5" not in ids(items), "an open trace is no precedent"
    order = [item["source_log_seq"] for item in items]
    assert order == sorted(order, reverse=True)
    one = items[0]
    found = pages(client, "/precedents", policy_id=one["policy_id"], policy_version=one["policy_version"])
    assert found == [
        i for i in items if (i["policy_id"], i["policy_version"]) == (one["policy_id"], one["policy_version"])
    ]
    entity = one["primary_entity"]
    found = pages(client, "/precedents", entity_type=entity["entity_type"], entity_id=entity["entity_id"])
    assert found == [item for item in items if item["primary_entity"] == entity]
    assert client.get(f"{V1}/precedents", {"entity_id": "x"}).status_code == 400


def test_digests_and_health(filled: Desk, client: Client) -> None:
    for kind, names in (("live", 4), ("canonical", 4), ("reference", 4)):
        answer = client.get(f"{V1}/projections/digests", {"kind": kind, "wait_ms": 100})
        assert answer.status_code == 200
        assert len(answer.json()["digests"]) == names
        assert all(value.startswith("sha256:") for value in answer.json()["digests"].values())
    found = client.get(f"{V1}/projections/health").json()
    assert set(found) == {"tenant", "head", "state", "projections", "replays", "checks"}
    assert (found["state"], found["replays"]) == ("fresh", [])


def test_dead_letters(desk: Desk, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(6)
    bad = poison(monkeypatch, *in_the_middle(desk, 3))
    desk.catch_up()
    items = pages(client, "/projections/dead-letters")
    assert len(items) == 12
    assert client.get(f"{V1}/traces").json()["degraded"] is True
    mine = pages(client, "/projections/dead-letters", projection="trace_summary")
    viewer = program(desk, "read")
    path = f"{V1}/projections/dead-letters/{mine[0]['id']}"
    assert viewer.post(path + "/retry").status_code == 403
    still = client.post(path + "/retry").json()
    assert (still["state"], still["attempts"]) == ("open", 2)
    skipped = client.post(path + "/skip", {"reason": "seen with Ana"}, content_type="application/json")
    assert (skipped.status_code, skipped.json()["state"]) == (200, "skipped")
    assert client.post(path + "/skip", {"why": 1}, content_type="application/json").status_code == 422
    bad.clear()
    healed = client.post(f"{V1}/projections/dead-letters/{mine[1]['id']}/retry")
    assert healed.json()["state"] == "retried"
    assert client.post(f"{V1}/projections/dead-letters/{mine[1]['id']}/retry").status_code == 409
    assert client.post(f"{V1}/projections/dead-letters/999999999/retry").status_code == 404
    assert {item["state"] for item in pages(client, "/projections/dead-letters", state="all")} == {
        "open",
        "retried",
        "skipped",
    }


# --- a hub -----------------------------------------------------------------------------------------------


def test_a_hub_says_what_was_left_out(desk: Desk, client: Client) -> None:
    for number in range(130):
        desk.append(trace(f"h-{number:03}", number)[:1])
    desk.catch_up()
    hub = "actor:agent:bot-0"
    first = client.get(f"{V1}/graph/subgraph", {"node": hub, "max_nodes": 10}).json()
    assert [node["key"] for node in first["nodes"][1:]] == [f"trace:h-{number:03}" for number in range(9)]
    assert (first["truncated"], first["unread"], first["hubs"]) == (True, True, [{"key": hub, "edges": 130}])
    assert first["omitted_nodes"] >= 1
    last = client.get(f"{V1}/graph/subgraph", {"node": hub, "max_nodes": 10, "prefer": "latest"}).json()
    assert [node["key"] for node in last["nodes"][1:]] == [f"trace:h-{number:03}" for number in range(129, 120, -1)]
    whole = client.get(f"{V1}/graph/subgraph", {"node": hub, "max_nodes": 2000, "node_types": "trace"}).json()
    assert (len(whole["nodes"]), whole["truncated"], whole["hubs"]) == (131, False, [])
    then = client.get(f"{V1}/graph/subgraph", {"node": hub, "max_nodes": 10, "as_of": 120}).json()
    assert then["hubs"] == [{"key": hub, "edges": 120}]
    assert len(pages(client, "/graph/edges", node=hub)) == 130


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"depth": "7"}, "less than or equal to 6"),
        ({"depth": "-1"}, "greater than or equal to 0"),
        ({"max_nodes": "2001"}, "less than or equal to 2000"),
        ({"max_nodes": "0"}, "greater than or equal to 1"),
        ({"as_of": "-1"}, "greater than or equal to 0"),
        ({"node_types": "house"}, "trace, entity, input, policy, exception, action, actor"),
        ({"edge_types": "eats"}, "trace_involves_entity"),
        ({"prefer": "both"}, "'earliest' or 'latest'"),
        ({"node": "trace"}, "trace:<trace_id>"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_walk_out_of_bounds_is_refused_with_the_allowed_values(
    filled: Desk, client: Client, parameters: Json, said: str
) -> None:
    answer = client.get(f"{V1}/graph/subgraph", {"node": "trace:t-1", **parameters})
    assert answer.status_code == 400
    assert said in answer.content.decode()


def test_a_centre_of_another_tenant_does_not_exist(filled: Desk, client: Client) -> None:
    stranger = program(Desk(), "read")
    for path in ("subgraph", "edges"):
        assert client.get(f"{V1}/graph/{path}", {"node": "trace:t-1"}).status_code == 200
        assert stranger.get(f"{V1}/graph/{path}", {"node": "trace:t-1"}).json()["code"] == "node.not_found"
        assert client.get(f"{V1}/graph/{path}", {"node": "trace:none"}).status_code == 404
