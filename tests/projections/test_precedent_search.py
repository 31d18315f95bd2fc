"""Precedents of a situation over the API, learning, isolation, the radar."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client, override_settings

from decisiongraph.core.db import tenant_tx
from projections import engine, selectors, services
from projections.domain.precedents.question import Question
from projections.models import SituationCursor, SituationRow
from tenants.access import system_principal
from tests.factories import TenantFactory, make_cast, make_token
from tests.projections.desk import Desk
from traces import services as log

pytestmark = pytest.mark.django_db

Json = dict[str, Any]


def observed(name: str, value: Any, kind: str) -> Json:
    """An input with one fact."""
    return {
        "input_id": name,
        "source": {"system": "crm", "object_type": "order", "object_id": "1"},
        "facts": [{"key": name, "value": {"type": kind, "value": value}}],
    }


def refund(number: int, outcome: str | None, *, words: str, amount: float = 100.0) -> list[Json]:
    """One decision: a person asks, a policy speaks, somebody acts."""
    trace_id = f"refund-{number}"
    start = {
        "workflow": "refund",
        "title": f"Refund {number}",
        "primary_entity": {"entity_type": "order", "entity_id": f"o-{number}", "system": "crm"},
        "context": {"reward": number},
    }
    policy = {
        "policy": {"policy_id": "cap", "policy_version": "3"},
        "inputs": ["words"],
        "decision": "deny",
        "violations": [{"code": "over_cap", "details": {"by": 1}}],
        "explanation": {"text": "because"},
    }
    steps: list[tuple[str, str, Json]] = [
        ("agent", "TraceStarted", start),
        ("person", "InputObserved", observed("words", words, "string")),
        ("system", "InputObserved", observed("amount", amount, "number")),
        ("system", "PolicyEvaluated", policy),
    ]
    if outcome is not None:
        steps.append(("agent", "TraceFinished", {"outcome": outcome, "summary": f"reward {number}"}))
    return [
        {
            "event_id": f"{trace_id}-{place}",
            "trace_id": trace_id,
            "event_type": kind,
            "occurred_at": f"2026-03-01T10:{place:02}:00Z",
            "source": {"producer_id": "desk", "system": "refunds"},
            "actor": {"actor_type": actor, "actor_id": "somebody"},
            "idempotency_key": f"{trace_id}:{place}",
            "payload": payload,
        }
        for place, (actor, kind, payload) in enumerate(steps)
    ]


LATE = "My parcel never arrived and I want my money back for the blue lamp"
BROKEN = "The kettle I bought leaks water all over the kitchen table"


@pytest.fixture
def cases(desk: Desk) -> Desk:
    """Six finished refunds and an open one, learned."""
    for number, outcome, words, amount in (
        (1, "success", LATE, 100.0),
        (2, "success", f"{LATE}, please", 110.0),
        (3, "failure", f"Hello. {LATE}", 105.0),
        (4, "success", BROKEN, 20.0),
        (5, "failure", "Please change the address of my subscription to Berlin", 5.0),
        (6, "success", f"Hi, {BROKEN}", 22.0),
        (7, None, LATE, 101.0),
    ):
        desk.append(refund(number, outcome, words=words, amount=amount))
    desk.catch_up()
    services.learn(desk.tenant)
    return desk


@pytest.fixture
def client(cases: Desk) -> Client:
    _token, text = make_token(cases.tenant, "read")
    return Client(headers={"Authorization": f"Bearer {text}"})


def ask(client: Client, **question: Any) -> Any:
    return client.post("/api/v1/precedents/search", question, content_type="application/json")


def test_from_a_situation(client: Client) -> None:
    answer = ask(client, workflow="refund", text=LATE, facts=[{"key": "amount", "value": 104}], limit=3)
    assert answer.status_code == 200, answer.json()
    found = answer.json()
    assert {item["trace_id"] for item in found["items"]} == {"refund-1", "refund-2", "refund-3"}
    assert found["outcome"] == "success"
    assert found["items"][0]["trace_id"] == "refund-3"  # the other way first
    assert [item["counter"] for item in found["items"]] == [True, False, False]
    assert found["split"] == [{"outcome": "success", "count": 2}, {"outcome": "failure", "count": 1}]
    assert found["agreement"] == pytest.approx(2 / 3, abs=1e-6)
    for item in found["items"]:
        assert item["score"] == pytest.approx(sum(part["points"] for part in item["parts"]), abs=1e-4)
        assert all(0 <= part["points"] <= part["most"] + 1e-9 and part["words"] for part in item["parts"])
    assert ask(client, workflow="refund", text=LATE, facts=[{"key": "amount", "value": 104}], limit=3).json() == found


def test_the_outcome_asked_for_decides_what_is_the_other_way(client: Client) -> None:
    found = ask(client, text=LATE, outcome="failure", limit=3).json()
    assert [item["outcome"] for item in found["items"]] == ["success", "success", "failure"]
    assert found["counters"] == 2


def test_a_trace_never_finds_itself_and_only_finished_ones(client: Client) -> None:
    for number in range(1, 8):
        found = ask(client, trace_id=f"refund-{number}", limit=50).json()["items"]
        names = {item["trace_id"] for item in found}
        assert names == {f"refund-{other}" for other in range(1, 7) if other != number}


def test_without_a_trace(client: Client) -> None:
    names = [item["trace_id"] for item in ask(client, text=LATE, limit=50).json()["items"]]
    assert "refund-1" in names
    found = ask(client, text=LATE, without="refund-1", limit=50).json()
    assert [item["trace_id"] for item in found["items"] if item["trace_id"] == "refund-1"] == []
    assert found["compared"] == len(names) - 1
    assert ask(client, without="refund-1").status_code == 400  # describes nothing


def test_as_of_a_position(cases: Desk, client: Client) -> None:
    with tenant_tx(cases.tenant):
        second = SituationRow.objects.get(trace_id="refund-2").log_seq
    found = ask(client, text=LATE, as_of=second).json()["items"]
    assert {item["trace_id"] for item in found} == {"refund-1", "refund-2"}
    assert ask(client, text=LATE, as_of=0).json()["items"] == []


def test_from_a_finished_trace_the_other_way_is_another_than_its_own(client: Client) -> None:
    """Whatever most did; an outcome asked for goes before."""
    found = ask(client, trace_id="refund-3", limit=3).json()
    assert found["outcome"] == "failure"
    assert {item["outcome"] for item in found["items"] if item["counter"]} == {"success"}
    assert ask(client, trace_id="refund-3", outcome="success", limit=3).json()["outcome"] == "success"
    assert ask(client, trace_id="refund-7", limit=3).json()["outcome"] == "success"  # open: than most


def test_as_of_a_position_the_trace_that_asks_is_what_it_was(cases: Desk, client: Client) -> None:
    with tenant_tx(cases.tenant):
        first = SituationRow.objects.get(trace_id="refund-6").log_seq
    started = first + 1  # refund-7 follows: start, request, amount, policy
    early = selectors.situation_of(cases.tenant, "refund-7", until=started)
    assert (early.spoken, early.facts, early.policies) == (False, (), ())
    assert selectors.situation_of(cases.tenant, "refund-7").policies == ("cap@3",)
    names = {part["name"] for part in ask(client, trace_id="refund-7", as_of=started).json()["items"][0]["parts"]}
    assert "policy" not in names
    assert ask(client, trace_id="refund-7", as_of=first).status_code == 404


def test_near_numbers_win(client: Client) -> None:
    found = ask(client, facts=[{"key": "amount", "value": 21}], limit=1).json()["items"]
    assert found[0]["trace_id"] in ("refund-4", "refund-6")
    assert "amount" in found[0]["parts"][0]["words"]


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ({}, ""),
        ({"trace_id": "refund-1", "text": "both"}, ""),
        ({"text": "x", "limit": 0}, "limit"),
        ({"text": "x", "limit": 51}, "limit"),
        ({"text": "x", "as_of": -1}, "as_of"),
        ({"text": "x", "outcome": "won"}, "outcome"),
        ({"policy": "cap"}, "policy"),
        ({"facts": [{"key": "a", "value": 1}, {"key": "a", "value": 2}]}, "facts"),
        ({"facts": [{"key": "a", "value": None}]}, "facts[0].value"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_questions(client: Client, question: Json, path: str) -> None:
    answer = ask(client, **question)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "query.invalid_parameter")
    assert any(each["path"].startswith(path) and each["detail"] for each in problem["errors"])
    assert problem["errors"][0]["detail"] in problem["detail"]
    assert "violation_codes" in problem["detail"]  # what one may ask


@pytest.mark.parametrize("question", [{"text": "xyzzy"}, {"workflow": "nowhere"}, {"policy": "none@1"}])
def test_what_shares_nothing_is_no_precedent(client: Client, question: Json) -> None:
    found = ask(client, **question).json()
    assert (found["items"], found["outcome"], found["split"]) == ([], None, [])


def test_the_question_is_in_the_body_and_strict(client: Client) -> None:
    answer = client.post("/api/v1/precedents/search?limit=3", {"text": LATE}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "query.invalid_parameter")
    answer = client.post("/api/v1/precedents/search", [LATE], content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")


def test_an_unknown_trace_is_404(client: Client) -> None:
    assert ask(client, trace_id="nobody").status_code == 404


def test_the_radar_names_the_split(cases: Desk, client: Client) -> None:
    answer = client.get("/api/v1/precedents/radar")
    assert answer.status_code == 200, answer.json()
    (group,) = answer.json()["items"]
    assert {each["trace_id"] for each in group["traces"]} == {"refund-1", "refund-2", "refund-3"}
    assert group["message"] == "3 decisions in the same situation: 2 ended in success and 1 ended in failure."
    assert group["trend"] == ["success", "success", "failure"]
    assert group["trend_words"] == "The last one ended in failure, the one before in success."
    assert client.get("/api/v1/precedents/radar?limit=1").json()["next"] is None
    assert client.get("/api/v1/precedents/radar?cursor=%21").status_code == 400


def test_learning_again_changes_nothing(cases: Desk) -> None:
    def rows() -> list[Any]:
        with tenant_tx(cases.tenant):
            return list(SituationRow.objects.order_by("log_seq").values_list("trace_id", "group_sha", "situation"))

    before = rows()
    assert services.learn(cases.tenant) == 0
    assert rows() == before
    assert cases.tenant.pk not in services.learn_all()
    cases.append(refund(8, "failure", words=LATE))
    assert cases.tenant.pk in services.learn_all()
    cases.catch_up()
    assert services.learn(cases.tenant) == 1
    assert cases.tenant.pk not in services.learn_all()


def test_what_is_learned_holds_no_outcome_and_no_reward(cases: Desk) -> None:
    """Two runs that differ only in how they ended, and in the reward their context and summary tell."""
    cases.append(refund(21, "success", words="A quiet matter"))
    cases.append(refund(22, "failure", words="A quiet matter"))
    cases.catch_up()
    with tenant_tx(cases.tenant):
        SituationCursor.objects.update(gathered_at=None)  # or it is compared in fifteen seconds
    services.learn(cases.tenant)
    with tenant_tx(cases.tenant):
        one, two = SituationRow.objects.filter(trace_id__in=["refund-21", "refund-22"]).order_by("log_seq")
    assert one.situation == two.situation
    assert (one.words, one.handle) == (two.words, two.handle)
    assert bytes(one.group_sha) == bytes(two.group_sha)
    assert (one.outcome, two.outcome) == ("success", "failure")


def test_the_finder_refuses_another_tenant(cases: Desk) -> None:
    other = TenantFactory()
    with pytest.raises(DatabaseError), tenant_tx(other), connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM dg_like_situations(%s, 1000, 'refund', NULL, '{}', '{}', '{}', '', '', 10)",
            [cases.tenant.pk],
        )


def test_another_tenant_finds_nothing(cases: Desk) -> None:
    other = TenantFactory()
    assert selectors.precedent_search(other, Question(text=LATE)).answer.hits == ()
    assert selectors.radar(other) == []


def vectors(texts: list[str]) -> list[list[float]]:
    """A tiny embedding: whether a text speaks of water, and whether it speaks of money."""
    return [[float("water" in text), float("money" in text), 0.1] for text in texts]


def test_an_embedding_can_be_plugged_in(client: Client) -> None:
    plain = ask(client, text="water everywhere").json()["items"][0]
    assert all(part["name"] != "meaning" for part in plain["parts"])
    with override_settings(PRECEDENT_EMBEDDING="tests.projections.test_precedent_search.vectors"):
        found = ask(client, text="water everywhere", limit=2).json()["items"]
    assert {item["trace_id"] for item in found} == {"refund-4", "refund-6"}
    assert any(part["name"] == "meaning" and part["points"] > 0 for part in found[0]["parts"])


def test_the_panel_of_a_trace_shows_both_ways(db: None) -> None:
    """What the trace's page fetches: the best of each, the other way first, and no frame around."""
    cast = make_cast()
    window = Client()
    window.force_login(cast.vera)
    for number, outcome in ((1, "success"), (2, "failure"), (3, "success")):
        log.append(cast.acme, principal=system_principal(cast.acme), events=refund(number, outcome, words=LATE))
    engine.catch_up(cast.acme)
    services.learn(cast.acme)
    answer = window.get(f"/t/{cast.acme.slug}/precedents", {"trace": "refund-1", "part": "panel"})
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "<html" not in text
    assert text.index("Decided the other way") < text.index("refund-2") < text.index("Decided as success")
    assert f"/t/{cast.acme.slug}/compare?left=refund-1&amp;right=refund-2" in text
    trace = window.get(f"/t/{cast.acme.slug}/traces/refund-1").content.decode()
    assert f'hx-get="/t/{cast.acme.slug}/precedents?trace=refund-1&amp;part=panel"' in trace
    then = window.get(f"/t/{cast.acme.slug}/traces/refund-1", {"as_of": 1}).content.decode()
    assert "precedents?trace=refund-1&amp;as_of=2&amp;part=panel" in then
