"""Finding traces by what they say: words of any script, parts, spelling; never another tenant's."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.db import DatabaseError, connection

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from projections import selectors, services
from projections.domain.query import parse
from projections.models import OpenText
from projections.selectors import TraceFilter, search, situations
from projections.services import texts
from tenants.models import Tenant
from tests.pages import browser, text
from tests.projections.desk import Desk
from tests.projections.test_api import V1, program
from tests.projections.test_traces_page import decision, envelope
from tests.replays.drive import run

pytestmark = pytest.mark.django_db

Json = dict[str, Any]


def saying(
    trace_id: str,
    *,
    title: str = "Refund",
    reason: str = "",
    fact: str = "",
    summary: str = "",
    workflow: str = "refund",
    finished: bool = True,
) -> list[Json]:
    """A decision with texts in every place that is searched."""
    events = decision(trace_id, title=title, workflow=workflow, outcome=None)[:1]
    if fact:
        facts = [{"key": "note", "value": {"type": "string", "value": fact}}]
        source = {"system": "crm", "object_type": "note", "object_id": "1"}
        events.append(envelope(trace_id, 1, "InputObserved", {"input_id": "n", "source": source, "facts": facts}))
    if reason:
        policy = {"policy_id": "cap", "policy_version": "3"}
        asked = {"exception_id": "e", "policy": policy, "reason": reason}
        events.append(envelope(trace_id, 2, "ExceptionRequested", asked))
    if finished:
        ended: Json = {"outcome": "success"} | ({"summary": summary} if summary else {})
        events.append(envelope(trace_id, 3, "TraceFinished", ended))
    return events


def fill(desk: Desk, *traces: list[Json]) -> None:
    for events in traces:
        desk.append(events)
    desk.catch_up()


def find(tenant: Tenant, text: str) -> set[str]:
    query = parse(text)
    assert not query.faults, query.faults
    found = selectors.trace_list(tenant, TraceFilter.of(query.query, now=clock.now()))
    return {row.key for row in found.rows}


def test_an_open_trace_is_found_by_what_it_says(desk: Desk) -> None:
    """By reasons and facts as well, before and after it finishes, once and not twice."""
    fill(
        desk,
        saying("open-1", reason="storm over Utrecht", fact="seat 17F", finished=False),
        saying("open-2", reason="天気が悪いため", finished=False),
        saying("done-1", reason="storm over Leiden"),
    )
    assert find(desk.tenant, "utrecht") == set()  # not read yet
    assert desk.tenant.pk in services.learn_all()
    services.learn(desk.tenant)
    assert desk.tenant.pk not in services.learn_all()
    assert find(desk.tenant, "storm") == {"open-1", "done-1"}
    assert find(desk.tenant, "storm status:open") == {"open-1"}
    assert find(desk.tenant, "storm status:finished") == {"done-1"}
    assert find(desk.tenant, "storm 17F refund") == {"open-1"}
    assert find(desk.tenant, "天気") == {"open-2"}
    assert find(desk.tenant, "workflow:other storm") == set()
    fill(desk, [envelope("open-1", 3, "TraceFinished", {"outcome": "success", "summary": "rebooked"})])
    assert find(desk.tenant, "storm utrecht rebooked") == {"open-1"}
    services.learn(desk.tenant)
    with tenant_tx(desk.tenant):
        assert OpenText.objects.count() == 1
    assert find(desk.tenant, "utrecht") == {"open-1"}


def test_an_open_trace_that_goes_on_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a piece, none is left out."""
    monkeypatch.setattr(texts, "PIECE", 2)
    monkeypatch.setattr(texts, "PIECE_EVENTS", 3)
    fill(desk, *(saying(f"open-{number}", reason=f"reason{number}", finished=False) for number in range(5)))
    services.learn(desk.tenant)
    assert [find(desk.tenant, f"reason{number}") for number in range(5)] == [{f"open-{n}"} for n in range(5)]
    fill(desk, [envelope("open-3", 3, "PrecedentCited", {"cited_trace_id": "open-1", "reason": "likewise"})])
    services.learn(desk.tenant)
    assert find(desk.tenant, "likewise") == {"open-3"}


def test_many_open_ones_are_asked_row_by_row(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 2)
    fill(desk, *(saying(f"open-{number}", reason="everywhere", finished=False) for number in range(4)))
    services.learn(desk.tenant)
    assert find(desk.tenant, "everywhere") == {f"open-{number}" for number in range(4)}


@pytest.fixture
def library(desk: Desk) -> Desk:
    fill(
        desk,
        saying("refund-8123", title="Refund for a loyal customer", reason="the flight was cancelled"),
        saying("r-2", title="Renewal of a premium contract", fact="order #W2378156 arrived broken"),
        saying("r-3", title="استرداد مبلغ الحجز", reason="العميل مخلص منذ سنوات", finished=True),
        saying("r-4", title="東京都の予約を返金する", summary="顧客は満足しています"),
        saying("r-5", title="退款审批", reason="客户是重要会员", fact="订单金额过高"),
        saying("r-6", title="환불 요청을 승인함"),
        saying("r-7", title="Crédit refusé à Élise", finished=False),
        saying("r-8", title="ขอคืนเงินค่าตั๋ว", finished=False),
        saying("r-9", title="दस्तावेज़ की जाँच"),
    )
    return desk


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("loyal", {"refund-8123"}),
        ("LOYAL customer", {"refund-8123"}),
        ('"loyal customer"', {"refund-8123"}),
        ('"customer loyal"', set()),
        ("renew", {"r-2"}),  # the last word may go on
        ('"renew"', {"r-2"}),  # not as a word, but as part of one
        ("cancelled flight", {"refund-8123"}),
        ("W2378156", {"r-2"}),
        ("#w2378156 broken", {"r-2"}),
        ("refund-8123", {"refund-8123"}),
        ("8123", {"refund-8123"}),
        ("fund-81", {"refund-8123"}),  # part of an id
        ("custmer", {"refund-8123"}),  # a slip
        ("credit refuse elise", {"r-7"}),
        # Arabic: with signs and without, letter variants
        ("استرداد", {"r-3"}),
        ("مُخْلِص", {"r-3"}),
        ("إسترداد", {"r-3"}),
        # Japanese and Chinese: two characters anywhere, one, and a phrase
        ("東京", {"r-4"}),
        ("京都", {"r-4"}),
        ("返金", {"r-4"}),
        ("満足", {"r-4"}),
        ("東", {"r-4"}),
        ("東京都の予約", {"r-4"}),
        ("東都", set()),
        ("退款", {"r-5"}),
        ("重要会员", {"r-5"}),
        ("金额", {"r-5"}),
        ("款审", {"r-5"}),
        ("환불", {"r-6"}),
        ("คืนเงิน", {"r-8"}),
        ("जाँच", {"r-9"}),
        # with filters
        ("workflow:refund 東京", {"r-4"}),
        ("workflow:loan 東京", set()),
        ("policy:cap flight", {"refund-8123"}),
        ("policy:cap@3 status:finished 客户", {"r-5"}),
        ("policy:ca", set()),
        ("status:open", {"r-7", "r-8"}),
        ("***", set()),
        ("100%", set()),
        ("_", set()),
    ],
)
def test_what_is_found(library: Desk, text: str, found: set[str]) -> None:
    assert find(library.tenant, text) == found


def test_the_answer_says_how_it_was_found(library: Desk) -> None:
    def how(text: str) -> str:
        return selectors.trace_list(library.tenant, TraceFilter(texts=parse(text).query.texts)).found

    assert [how("loyal"), how("fund-81"), how("custmer")] == [search.WORDS, search.PARTS, search.SPELLING]


def test_common_words_are_walked_and_paged_without_loss(library: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(library, *(saying(f"many-{n}", title="Ordinary refund", reason="nothing special") for n in range(23)))
    read = program(library, "read")

    def pages(**params: Any) -> list[str]:
        seen: list[str] = []
        cursor: Json = {}
        while True:
            page = read.get(f"{V1}/traces", {"limit": 5, **params, **cursor}).json()
            seen += [item["trace_id"] for item in page["items"]]
            if page["next"] is None:
                return seen
            cursor = {"cursor": page["next"]}

    by_keys = {q: pages(q=q) for q in ("ordinary", "special", "policy:cap", "rdinar", "ordinray", "actor:agent/bot")}
    assert by_keys["special"] == [f"many-{n}" for n in reversed(range(23))]
    assert len(by_keys["policy:cap"]) == 26
    monkeypatch.setattr(search, "MOST", 3)
    assert {q: pages(q=q) for q in by_keys} == by_keys


def test_a_stranger_finds_nothing_even_through_the_function(library: Desk) -> None:
    other = Desk()
    fill(other, saying("theirs", title="Secret of the others"))
    assert find(library.tenant, "secret") == set()
    assert find(other.tenant, "loyal") == set()
    finds = "SELECT dg_find_traces(%s, 1, 1, '', '''loyal''', '', 10)"
    similar = "SELECT dg_similar_traces(%s, 1, '%%loyal%%', '{}', '', 10)"
    for sql in (finds, similar):
        with tenant_tx(library.tenant), connection.cursor() as cursor:
            cursor.execute(sql, [library.tenant.pk])
            assert len(cursor.fetchall()) >= 1
        with (
            pytest.raises(DatabaseError, match="not the one of this transaction"),
            tenant_tx(other.tenant),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, [library.tenant.pk])
        with pytest.raises(DatabaseError, match="not the one"), connection.cursor() as cursor:
            cursor.execute(sql, [library.tenant.pk])


def test_a_search_that_takes_too_long_is_stopped_and_says_how_to_narrow_it(
    library: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LONGEST_MS", 150)
    with pytest.raises(Problem) as stopped, search.bounded(library.tenant), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(3)")
    assert (stopped.value.code, stopped.value.status) == ("search.too_broad", 422)
    assert "Narrow it" in stopped.value.detail
    assert find(library.tenant, "loyal") == {"refund-8123"}
    with tenant_tx(library.tenant), connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()[0] != "150ms", "it would outlive the search on a pooled connection"


def test_api_and_page_say_that_a_search_was_stopped_and_how_to_narrow_it(
    library: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database itself stops it; the page keeps the search in its bar and its filters as chips."""
    asked = search._ask
    monkeypatch.setattr(search, "LONGEST_MS", 100)
    slow = "SELECT NULL::bytea FROM pg_sleep(3), ({}) q"
    monkeypatch.setattr(search, "_ask", lambda sql, given: asked(slow.format(sql), given))
    answer = program(library, "read").get(f"{V1}/traces", {"q": "loyal", "workflow": "refund"})
    assert (answer.status_code, answer.json()["code"]) == (422, "search.too_broad")
    assert "add workflow:, outcome:, policy:" in answer.json()["detail"]
    viewer, base = browser(library.tenant, "viewer"), f"/t/{library.tenant.slug}"
    page = viewer.get(f"{base}/traces", {"q": "loyal", "outcome": "failure"})
    assert page.status_code == 422
    assert "This search looked for 3 s and was stopped. Narrow it: add workflow:" in text(page)
    assert "The search was stopped." in text(page)
    assert "Remove the filter outcome" in page.content.decode()
    assert 'name="q" value="loyal"' in page.content.decode()
    assert "No trace matches" not in text(page)
    part = viewer.get(f"{base}/traces", {"q": "loyal", "part": "list"}, headers={"HX-Request": "true", "Accept": "*/*"})
    assert (part.status_code, part.json()["code"]) == (422, "search.too_broad")


def test_the_page_keeps_a_time_that_cannot_be(library: Desk) -> None:
    viewer, base = browser(library.tenant, "viewer"), f"/t/{library.tenant.slug}/traces"
    times = {"after": "2026-05-01", "before": "2026-04-01T09:30"}
    page = viewer.get(base, times)
    assert page.status_code == 400
    assert "before: must lie behind after:. More filters" in text(page)
    assert "Nothing was searched." in text(page)
    assert 'value="2026-04-01T09:30"' in page.content.decode()
    part = viewer.get(base, {**times, "part": "list"}, headers={"Accept": "*/*"})
    assert (part.status_code, part.json()["code"]) == (400, "query.empty_range")


def test_precedents_that_take_too_long_are_stopped_as_well(library: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(wanted: Any, until: int) -> list[bytes]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(3)")
        return []

    monkeypatch.setattr(search, "LONGEST_MS", 100)
    monkeypatch.setattr(situations, "_candidates", slowly)
    answer = program(library, "read").post(
        f"{V1}/precedents/search", {"text": "a refund"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "search.too_broad")
    assert "say the workflow, entity type, policy or action" in answer.json()["detail"]
    page = browser(library.tenant, "viewer").get(f"/t/{library.tenant.slug}/precedents", {"text": "a refund"})
    assert page.status_code == 422
    assert "was stopped. Narrow it: say the workflow" in text(page)
    assert 'name="text" value="a refund"' in page.content.decode()


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"q": "outcom:failure"}, "query.malformed", "Did you mean outcome:?"),
        ({"q": "after:2026-02-30"}, "query.malformed", "no such day"),
        ({"q": "workflow:a", "workflow": "b"}, "query.repeated_filter", "Leave one of them out"),
        ({"q": "x" * 500}, "query.malformed", "at most 400"),
        ({"after": "0001-01-01T00:00:00+10:00"}, "query.invalid_parameter", "years 1 to 9999"),
        ({"outcome": "failed"}, "query.invalid_parameter", "'success', 'failure' or 'abandoned'"),
        ({"colour": "red"}, "query.invalid_parameter", "Known: actor, after"),
        ({"after": "2026-05-01T00:00:00Z", "before": "2026-05-01T00:00:00Z"}, "query.empty_range", "behind after"),
        ({"q": "after:2026-05-01", "before": "2026-04-01T00:00:00Z"}, "query.empty_range", "behind after"),
    ],
)
def test_the_api_refuses_what_cannot_be_meant(library: Desk, params: Json, code: str, words: str) -> None:
    answer = program(library, "read").get(f"{V1}/traces", params)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert words in answer.json()["detail"]


def test_a_rebuild_fills_what_is_searched(library: Desk) -> None:
    with tenant_tx(library.tenant), connection.cursor() as cursor:
        cursor.execute("UPDATE projections_tracesummary SET words = NULL, handle = NULL")
        cursor.execute("UPDATE projections_precedenttext SET words = NULL, trace_sha = NULL")
    assert find(library.tenant, "flight") == set()
    run(library, "all", "rebuild")
    assert find(library.tenant, "flight") == {"refund-8123"}


def test_the_migration_fills_the_rows_that_exist(library: Desk) -> None:
    migration = importlib.import_module("projections.migrations.0003_search")
    with tenant_tx(library.tenant), connection.cursor() as cursor:
        cursor.execute("SELECT key, words::text, handle FROM projections_tracesummary ORDER BY key")
        before = cursor.fetchall()
        cursor.execute("UPDATE projections_tracesummary SET words = NULL, handle = NULL")
        cursor.execute("UPDATE projections_precedenttext SET words = NULL, trace_sha = NULL")
        migration.CHUNK = 4
        for table, columns, computed in (
            ("projections_tracesummary", migration.SUMMARY, migration._summary),
            ("projections_precedenttext", migration.PRECEDENT, migration._precedent),
        ):
            migration._fill_table(cursor, library.tenant.pk, table, columns, computed)
        cursor.execute("SELECT key, words::text, handle FROM projections_tracesummary ORDER BY key")
        assert cursor.fetchall() == before
    assert find(library.tenant, "flight") == {"refund-8123"}
    assert find(library.tenant, "W2378156") == {"r-2"}
