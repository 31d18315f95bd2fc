"""The graph page: doors, what it draws, what it leaves out, hostile names, and the same picture every time."""

from __future__ import annotations

import html
import random
import re
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.console.graph import layout, picture
from projections.domain.graph import Edge, Reached, node_key
from tests.factories import Cast, make_cast
from tests.pages import text
from tests.projections.test_traces_page import append, decision, envelope
from traces import selectors as log

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
HOSTILE = "<script>alert(1)</script>\u202egnp.exe & \"q\" 'x'"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def address(cast: Cast, node: str, query: str = "", file: str = "") -> str:
    return f"/t/{cast.acme.slug}/graph{file}?node={quote(node)}" + (f"&{query}" if query else "")


def show(client: Client, url: str) -> str:
    response = client.get(url, headers={"Accept": "text/html"})
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def names(page: str) -> list[str]:
    """What the drawn nodes are called, in their order."""
    return [html.unescape(name) for name in re.findall(r'<a class="n[^"]*" [^>]*aria-label="([^"]*)"', page)]


def review(trace_id: str, *, approver: str = "rita") -> list[Json]:
    """A decision with an exception that a person granted."""
    events = decision(trace_id, outcome=None)
    asked = {"exception_id": f"ex-{trace_id}", "policy": {"policy_id": "cap", "policy_version": "3"}, "reason": "loyal"}
    said = {
        "approval_id": "ap",
        "subject": {"subject_type": "exception", "subject_id": f"ex-{trace_id}"},
        "approver": {"actor_type": "person", "actor_id": approver},
        "decision": "approved",
    }
    return [
        *events,
        envelope(trace_id, 3, "ExceptionRequested", asked),
        envelope(trace_id, 4, "ApprovalRecorded", said),
        envelope(trace_id, 5, "TraceFinished", {"outcome": "success"}),
    ]


# --- doors ------------------------------------------------------------------------------------------


def test_only_members_see_a_graph(cast: Cast) -> None:
    append(cast, *decision("mine"))
    url = address(cast, "trace:mine")
    assert Client().get(url).headers["Location"].startswith("/signin?next=")
    assert names(show(cast.browser(cast.vera), url))[0].startswith("trace, success mine")
    stranger = cast.browser(cast.mallory)
    for path in (url, address(cast, "trace:mine", file=".svg"), f"/t/{cast.acme.slug}/graph", url + "&part=node"):
        assert stranger.get(path).status_code == 404
    assert stranger.get(url.replace(cast.acme.slug, cast.globex.slug)).status_code == 404


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("depth=7", "depth"),
        ("depth=-1", "depth"),
        ("max_nodes=2001", "max_nodes"),
        ("max_nodes=0", "max_nodes"),
        ("node_types=house", "trace, entity, input"),
        ("edge_types=eats", "trace_involves_entity"),
        ("as_of=yesterday", "as_of"),
        ("at=zz", "at"),
        ("colour=blue", "colour"),
    ],
)
def test_what_an_address_cannot_mean_is_refused_with_what_it_may_be(cast: Cast, query: str, said: str) -> None:
    append(cast, *decision("one"))
    answer = cast.browser(cast.vera).get(address(cast, "trace:one", query), headers={"Accept": "application/json"})
    assert answer.status_code == 400
    assert said in answer.content.decode()


def test_an_unknown_centre_is_404_and_no_key_is_400(cast: Cast) -> None:
    append(cast, *decision("one"))
    browser = cast.browser(cast.vera)
    assert browser.get(address(cast, "trace:two")).status_code == 404
    assert browser.get(address(cast, "trace:one", "as_of=0")).status_code == 404
    assert browser.get(address(cast, "nonsense")).status_code == 400
    assert browser.get(address(cast, "trace:one", "to=nonsense")).status_code == 400
    assert browser.get(f"/t/{cast.acme.slug}/graph.svg").status_code == 404


# --- what is drawn ----------------------------------------------------------------------------------


def test_a_decision_and_what_it_is_linked_with(cast: Cast) -> None:
    append(cast, *review("r1"), *review("r2"))
    page = show(cast.browser(cast.vera), address(cast, "trace:r1"))
    assert set(names(page)) == {
        "trace, success r1, 4 links",
        "agent bot, 1 link",
        "booking K1, 1 link",
        "policy, allow cap@3, 1 link",
        "exception ex-r1, 1 link",
    }
    assert "depth 1, 5 nodes, 4 links" in page
    two = show(cast.browser(cast.vera), address(cast, "trace:r1", "depth=2"))
    assert "exception, granted ex-r1, 2 links" in names(two)
    assert "person rita, 1 link" in names(two)
    assert "trace, success r2, 3 links" in names(two)
    assert "m-person" not in re.findall(r"<svg class=\"gp\".*?</svg>\s*</div>", two, re.S)[0], "she decided"
    assert 'style="' not in page
    assert "<script>" not in page


def test_selecting_expanding_and_the_panel(cast: Cast) -> None:
    append(cast, *review("r1"), *review("r2"))
    browser = cast.browser(cast.vera)
    actor, exception = picture.handle("actor:agent:bot"), picture.handle("exception:r1:ex-r1")
    panel = show(browser, address(cast, "trace:r1", f"at={exception}&part=node"))
    assert "<html" not in panel
    assert f'href="/t/{cast.acme.slug}/traces/r1?event=2"' in panel, "the event that asked for it"
    assert f"open={exception}" in panel
    assert "was approved by" in panel
    opened = show(browser, address(cast, "trace:r1", f"open={actor},{exception}"))
    assert {"trace, success r2, 3 links", "person rita, 1 link"} <= set(names(opened))
    assert "Fold what was expanded" in opened


def test_types_time_and_the_shortest_way(cast: Cast) -> None:
    append(cast, *review("r1"), *review("r2", approver="ana"))
    browser = cast.browser(cast.vera)
    people = show(browser, address(cast, "trace:r1", "node_types=actor,trace&depth=2"))
    assert {name.split()[0].strip(",") for name in names(people)} == {"trace", "agent"}
    assert "Show all types" in people
    then = show(browser, address(cast, "trace:r1", "depth=2&as_of=3"))
    assert "person" not in " ".join(names(then))
    assert "Back to now" in then
    assert "trace, open r1" in " ".join(names(then)), "it finished later"
    finished = max(event.log_seq for event in log.read_trace(cast.acme, "r1", limit=20))
    for moment, word in ((finished - 1, "open"), (finished, "success")):
        at_that_time = show(browser, address(cast, "trace:r1", f"as_of={moment}"))
        assert f"trace, {word} r1" in " ".join(names(at_that_time))
    way = show(browser, address(cast, "trace:r1", "depth=4&to=actor:person:ana"))
    assert "Shortest way, 4 links" in way
    assert way.count('class="edge ppl way"') == 1
    none = show(browser, address(cast, "trace:r1", "to=actor:person:ana"))
    assert "No way to actor:person:ana in what is shown." in text_of(none)
    assert "depth=6" in none


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_a_hub_says_what_it_left_out_and_how_to_see_more(cast: Cast) -> None:
    append(cast, *(event for n in range(130) for event in decision(f"t{n:03}", outcome=None)[:1]))
    browser = cast.browser(cast.vera)
    page = show(browser, address(cast, "actor:agent:bot"))
    assert len(names(page)) == 80
    assert "Agent bot has 130 links; the latest 79 are shown." in text_of(page)
    assert "trace, open t129" in " ".join(names(page))
    assert "t000" not in " ".join(names(page))
    assert "max_nodes=200" in page
    whole = show(browser, address(cast, "actor:agent:bot", "max_nodes=200"))
    assert len(names(whole)) == 131
    assert "are shown." not in text_of(whole)
    listed = show(browser, address(cast, "actor:agent:bot", "max_nodes=200&view=list"))
    assert listed.count("<tr data-row") == 131
    assert '<svg class="gp"' not in listed
    assert "the nearest 40 of 131" in whole


def test_hostile_names_are_drawn_as_text(cast: Cast) -> None:
    append(cast, *decision("one", entity=HOSTILE, title=HOSTILE, actor=HOSTILE))
    browser = cast.browser(cast.vera)
    key = node_key("entity", "booking", "local", HOSTILE)
    for url in (address(cast, "trace:one"), address(cast, key), f"/t/{cast.acme.slug}/graph"):
        page = show(browser, url)
        assert "<script>alert" not in page
        # what is sent back or copied stays as it is
        assert "\u202e" not in re.sub(r' (?:data-copy|value)="[^"]*"', "", page)
    file = browser.get(address(cast, key, file=".svg"))
    root = ElementTree.fromstring(file.content)
    assert not list(root.iter(f"{SVG}script"))
    assert "[U+202E]" in file.content.decode()


def test_the_file_stands_by_itself_and_is_always_the_same(cast: Cast) -> None:
    append(cast, *review("r1"))
    browser = cast.browser(cast.vera)
    answer = browser.get(address(cast, "trace:r1", "depth=2&at=" + picture.handle("actor:agent:bot"), file=".svg"))
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="trace-r1.svg"'
    said = answer.content.decode()
    assert "var(" not in said
    assert "light-dark" not in said
    assert 'href="/' not in said
    root = ElementTree.fromstring(said)
    assert len(root.findall(f"./{SVG}g[@class]/{SVG}rect")) == 6
    marks = {each.get("id") for each in root.iter(f"{SVG}symbol")}
    assert {str(each.get("href"))[1:] for each in root.iter(f"{SVG}use")} <= marks
    dark = browser.get(address(cast, "trace:r1", "theme=dark", file=".svg")).content.decode()
    assert "#1c1b18" in dark
    assert "#1c1b18" not in said
    again = browser.get(address(cast, "trace:r1", "depth=2&at=" + picture.handle("actor:agent:bot"), file=".svg"))
    assert again.content == answer.content


# --- before a centre is chosen ----------------------------------------------------------------------


def test_where_to_begin(cast: Cast) -> None:
    browser = cast.browser(cast.vera)
    start = f"/t/{cast.acme.slug}/graph"
    assert "No decision has been recorded yet." in text(browser.get(start))
    append(cast, *decision("alpha"), *decision("beta", entity="K2"), *decision("gamma", entity="K2"))
    page = browser.get(start)
    assert "in 2 of the latest 3" in text(page)
    assert page.content.decode().index("K2") < page.content.decode().index("K1")
    for typed, key in (
        ("alpha", "trace:alpha"),
        ("booking/K2", "entity:booking:local:K2"),
        ("cap@3", "policy:cap:3"),
        ("agent/bot", "actor:agent:bot"),
        ("actor:agent:bot", "actor:agent:bot"),
        ("alp", "trace:alpha"),
    ):
        found = browser.get(start, {"find": typed}).content.decode()
        assert f'<ul class="starts one"><li><a href="{start}?node={key}"' in " ".join(found.split()).replace(
            "<li> <a", "<li><a"
        ), typed
    assert "No node is called “nobody”." in text(browser.get(start, {"find": "nobody"}))


def test_an_action_is_called_by_what_it_does(cast: Cast) -> None:
    target = {"entity_type": "booking", "entity_id": "K1"}
    proposal = {"action_id": "a-1", "action_type": "refund.issue", "target_entity": target, "target_system": "bank"}
    append(
        cast,
        *decision("one", outcome=None),
        envelope("one", 5, "ActionProposed", proposal | {"changes": []}),
        envelope("one", 6, "ActionCommitted", {"action_id": "a-1", "status": "failure"}),
    )
    (action,) = [name for name in names(show(cast.browser(cast.vera), address(cast, "trace:one"))) if "action" in name]
    assert "refund.issue" in action
    assert "a-1" not in action


def test_inputs_are_called_by_what_tells_them_apart() -> None:
    def called(kind: str, ident: str) -> picture.Words:
        source = {"source": {"object_type": kind, "object_id": ident}}
        event: Any = type("Said", (), {"payload": source})()
        return picture.words("input:case-7:m3", event, "", None, (), ())

    assert called("booking", "K1")[:2] == ("input, booking", "K1")
    assert called("assistant_message", "case-7.m3")[:2] == ("assistant message", "m3"), (
        "the trace's id says nothing here"
    )
    assert called("case", "7").label == "m3"
    assert called("", "").label == "m3"


# --- places -----------------------------------------------------------------------------------------


def link(number: int, source: str, target: str) -> Edge:
    return Edge(f"k{number}", "trace_cited_precedent", source, target, number, "t", f"e{number}", "2026")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_same_nodes_have_the_same_places(pairs: list[tuple[int, int]], order: random.Random) -> None:
    """Whatever the order of nodes and edges; no two nodes overlap and none lies outside."""
    near = {0: 0}
    for _ in range(31):
        for a, b in [*pairs, *((b, a) for a, b in pairs)]:
            if a in near:
                near[b] = min(near.get(b, 99), near[a] + 1)
    nodes = [Reached(f"trace:{each}" if each % 3 else f"input:t:{each}", depth) for each, depth in near.items()]
    keys = {int(key.rpartition(":")[2]): key for key, _ in nodes}
    edges = [link(n, keys[a], keys[b]) for n, (a, b) in enumerate(pairs) if a in keys and b in keys]
    found = layout.arrange(nodes, edges)
    order.shuffle(nodes)
    order.shuffle(edges)
    assert layout.arrange(nodes, edges) == found
    assert len(found.boxes) == len(nodes)
    boxes = list(found.boxes.values())
    for n, one in enumerate(boxes):
        assert 0 <= one.x <= found.width - layout.BOX_W
        assert 0 <= one.y <= found.height - layout.BOX_H
        for other in boxes[n + 1 :]:
            assert abs(one.x - other.x) >= layout.BOX_W or abs(one.y - other.y) >= layout.BOX_H


def runs(path: str) -> list[tuple[int, int, int]]:
    """The level stretches of a path: from, to, height."""
    found, x, y = [], 0, 0
    for letter, numbers in re.findall(r"([MCH])([-\d ]+)", path):
        values = [int(each) for each in numbers.split()]
        if letter == "H":
            found.append((x, values[0], y))
        x, y = (values[0], y) if letter == "H" else (values[-2], values[-1])
    return found


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=10, max_size=120))
@settings(max_examples=60, deadline=None)
def test_lines_pass_between_boxes(pairs: list[tuple[int, int]]) -> None:
    """A hub with sixty neighbours breaks its column; whatever else is linked, no line runs behind a box."""
    names = ["trace:hub", *(f"trace:{n}" if n % 3 else f"input:t:{n}" for n in range(60))]
    edges = [link(n, names[0], name) for n, name in enumerate(names[1:])]
    edges += [link(100 + n, names[a], names[b]) for n, (a, b) in enumerate(pairs) if a != b]
    found = layout.arrange([Reached(name, min(n, 1)) for n, name in enumerate(names)], edges)
    assert set(found.lines) == {(min(edge[2:4]), max(edge[2:4])) for edge in edges}
    level = {run for path in found.lines.values() for run in runs(path)}
    assert level, "some line passes something"
    for start, end, y in level:
        for box in found.boxes.values():
            assert not (box.y < y < box.y + layout.BOX_H and start < box.x + layout.BOX_W and end > box.x)


def test_a_column_reads_like_the_log_where_crossings_leave_a_choice() -> None:
    nodes = [Reached("trace:a", 0), *(Reached(f"input:a:m{n}", 1) for n in range(1, 12))]
    boxes = layout.arrange(nodes, [link(n, "trace:a", f"input:a:m{n}") for n in range(1, 12)]).boxes
    assert sorted(boxes, key=lambda key: boxes[key].y if key != "trace:a" else -1)[1:] == [
        f"input:a:m{n}" for n in range(1, 12)
    ]


def test_what_a_trace_was_given_stands_left_and_what_came_of_it_right() -> None:
    nodes = [Reached("trace:a", 0), Reached("input:a:1", 1), Reached("policy:p:1", 1), Reached("trace:b", 2)]
    edges = [link(1, "trace:a", "input:a:1"), link(2, "trace:a", "policy:p:1"), link(3, "trace:b", "policy:p:1")]
    boxes = layout.arrange(nodes, edges).boxes
    assert boxes["input:a:1"].x < boxes["trace:a"].x < boxes["policy:p:1"].x < boxes["trace:b"].x


def test_a_picture_of_two_thousand_nodes_has_a_shape_to_look_at() -> None:
    nodes = [Reached("actor:agent:bot", 0), *(Reached(f"trace:{n}", 1) for n in range(1_999))]
    found = layout.arrange(nodes, [link(n, f"trace:{n}", "actor:agent:bot") for n in range(1_999)])
    assert 0.7 < found.width / found.height < 2.5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("short", "short"),
        ("x" * 40, "x" * 14 + "…" + "x" * 6),
        ("refund-2026-000000012345", "refund-2026-00…012345"),
        ("案件" * 12, "案件案件…案件案件案件"),
        ("a\u202eb", "a[U+202E]b"),
    ],
)
def test_names_are_cut_in_the_middle(value: str, shown: str) -> None:
    assert picture.fitted(value) == shown
