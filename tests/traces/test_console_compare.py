"""The page of two traces: doors, what differs first, aligned steps, links, hostile text, size and speed."""

from __future__ import annotations

import gzip
import re
import time

import pytest
from django.test import Client

from tests.factories import Cast, make_cast
from tests.pages import text
from tests.traces.events import Json, envelope, finish, new_id, start, step
from traces import services

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>\u202egnp.exe"


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def write(cast: Cast, *events: Json) -> str:
    for first in range(0, len(events), 500):
        services.append(cast.acme, principal=cast.principal(cast.alice), events=list(events[first : first + 500]))
    return str(events[0]["trace_id"])


def refund(cast: Cast, *, fare: str, version: str, outcome: str, more: int = 0) -> str:
    trace = new_id()
    facts = [{"key": "fare_paid", "value": {"type": "decimal", "value": fare}}]
    source = {"system": "res-core", "object_type": "invoice", "object_id": "K7"}
    policy = {"policy_id": "refund.cap", "policy_version": version}
    return write(
        cast,
        start(trace),
        *(step(trace) for _ in range(more)),
        step(trace, payload={"input_id": "i", "source": source, "facts": facts}),
        envelope(trace, "PolicyEvaluated", {"policy": policy, "inputs": [], "decision": "allow"}),
        finish(trace, payload={"outcome": outcome, "summary": "Done."}),
    )


def show(cast: Cast, query: str, status: int = 200) -> str:
    answer = cast.browser(cast.vera).get(f"/t/{cast.acme.slug}/compare?{query}", headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.content[:400]
    return str(answer.content.decode())


def plain(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(svg)\b.*?</\1>", " ", page, flags=re.S)).split())


def test_only_members_compare(cast: Cast) -> None:
    one, other = (refund(cast, fare=fare, version="3", outcome="success") for fare in ("1", "2"))
    path = f"/t/{cast.acme.slug}/compare?left={one}&right={other}"
    assert Client().get(path).headers["Location"].startswith("/signin?next=")
    assert cast.browser(cast.vera).get(path).status_code == 200
    stranger = cast.browser(cast.mallory)
    assert stranger.get(path).status_code == 404
    assert stranger.get(f"/t/{cast.globex.slug}/compare?left={one}&right={other}").status_code == 404
    assert stranger.get(f"/t/{cast.globex.slug}/compare?left={one}").status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("left={}", 200),
        ("left=nowhere", 404),
        ("left={}&right=nowhere", 404),
        ("left={}&right={}&show=some", 400),
        ("left={}&right={}&start=-1", 400),
        ("left={}&right={}&colour=blue", 400),
    ],
)
def test_addresses_answer_honestly(cast: Cast, query: str, status: int) -> None:
    trace = refund(cast, fare="1", version="3", outcome="success")
    show(cast, query.replace("{}", trace), status)


def test_what_differs_comes_first_and_the_ends_last(cast: Cast) -> None:
    one = refund(cast, fare="612.40", version="3", outcome="failure", more=4)
    other = refund(cast, fare="380.00", version="4", outcome="success", more=4)
    page = show(cast, f"left={one}&right={other}")
    said = plain(page)
    assert "They differ in 1 policy, 1 fact and 3 of 8 steps" in said
    order = [said.index(word) for word in ("Facts that differ", "612.40", "5 steps are the same", "How they ended")]
    assert order == sorted(order)
    assert "3 Allow" in said
    assert "4 Allow" in said
    assert "Failure" not in said[: said.index("How they ended")].replace("Finished failure", "")
    for trace in (one, other):
        assert f'href="/t/{cast.acme.slug}/traces/{trace}?event=6"' in page
    assert f"/compare?left={other}&amp;right={one}" in page
    assert f"traces/{one}?event=5&amp;tab=diff&amp;other=5&amp;other_trace={other}" in page


def test_a_trace_and_itself(cast: Cast) -> None:
    trace = refund(cast, fare="1", version="3", outcome="success")
    said = plain(show(cast, f"left={trace}&right={trace}"))
    assert "The same trace twice" in said
    assert "Every step is the same" in plain(show(cast, f"left={trace}&right={trace}&show=differences"))


def test_hostile_text_is_shown_and_not_run(cast: Cast) -> None:
    one, other = new_id(), new_id()
    for trace in (one, other):
        payload = {"workflow": HOSTILE, "title": HOSTILE, "primary_entity": {"entity_type": "x", "entity_id": trace}}
        write(cast, start(trace, payload=payload), step(trace, payload={
            "input_id": "i", "source": {"system": HOSTILE, "object_type": HOSTILE, "object_id": "1"},
            "facts": [{"key": HOSTILE, "value": {"type": "string", "value": HOSTILE + trace}}],
        }))  # fmt: skip
    page = show(cast, f"left={one}&right={other}")
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_long_traces_open_at_once(cast: Cast) -> None:
    one = write(cast, start(trace := new_id()), *(step(trace) for _ in range(600)))
    other = write(cast, start(trace := new_id()), *(envelope(trace, "PrecedentCited", {
        "cited_trace_id": f"c-{number}", "reason": f"reason {number}"}) for number in range(600)))  # fmt: skip
    client = cast.browser(cast.vera)
    path = f"/t/{cast.acme.slug}/compare?left={one}&right={other}"
    client.get(path)
    began = time.perf_counter()
    answer = client.get(path)
    assert time.perf_counter() - began < 1.5
    assert len(gzip.compress(answer.content)) < 60_000
    assert "600 only left, 600 only right" in text(answer)
    assert f"start={150}" in answer.content.decode()
    assert "Earlier steps" in text(client.get(path + "&start=150"))
