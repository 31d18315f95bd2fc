"""Digests: live, canonical, reference; and the scrub that looks for rows changed behind our back."""

from __future__ import annotations

import pytest
from django.db import connection

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from projections import engine, selectors, services
from projections.domain.digest import Buckets, key_sha
from projections.domain.reference import NAMES
from projections.domain.rules import RULES
from projections.models import Checkpoint, Finding, GraphNode, RecordedDigest, TraceSummary
from tests.golden.bundle import scenarios
from tests.projections.desk import Desk, trace

pytestmark = pytest.mark.django_db


def test_the_answer_key_through_append_and_projections(desk: Desk) -> None:
    """20 of 20: five scenarios, each alone in a fresh tenant, against digests nobody here computed."""
    matched = 0
    for scenario in scenarios():
        alone = Desk()
        head = alone.append(scenario["events"])
        alone.catch_up()
        found = selectors.digests(alone.tenant, kind="reference")
        assert found.position == head
        for name in NAMES:
            assert found.digests[name] == scenario["expected_digests"][name], (scenario["scenario"], name)
            matched += 1
    assert matched == 20


def test_canonical_digests_are_those_of_a_fold_in_memory(desk: Desk) -> None:
    head = desk.fill(15)
    desk.catch_up()
    found = selectors.digests(desk.tenant, kind="canonical")
    assert (found.position, found.digests) == (head, desk.expected())
    with tenant_tx(desk.tenant):
        assert RecordedDigest.objects.filter(kind="canonical", cursor=head).count() == 4
        RecordedDigest.objects.filter(kind="canonical").update(digest="from the record")
    assert set(selectors.digests(desk.tenant, kind="canonical").digests.values()) == {"from the record"}


def test_live_digests_follow_the_rows(desk: Desk) -> None:
    desk.fill(5)
    desk.catch_up()
    first = selectors.digests(desk.tenant).digests
    assert first == desk.live()
    assert {item.seen.name: item.digest for item in selectors.health(desk.tenant).projections} == first
    desk.fill(1)
    desk.catch_up()
    assert selectors.digests(desk.tenant).digests["trace_summary"] != first["trace_summary"]
    assert desk.rows_right()


def test_an_empty_tenant_has_digests_too(desk: Desk) -> None:
    found = selectors.digests(desk.tenant)
    assert found.position == 0
    assert set(found.digests) == set(RULES)
    assert set(found.digests.values()) == {Buckets().digest()}


def test_different_cursors_are_409(desk: Desk) -> None:
    desk.fill(2)
    engine.catch_up(desk.tenant, "trace_summary")
    with pytest.raises(Problem) as refused:
        selectors.digests(desk.tenant, wait_ms=50)
    assert (refused.value.status, refused.value.code) == (409, "digest.cursors_differ")


def test_the_scrub_names_a_tampered_row(desk: Desk) -> None:
    desk.append(trace("victim", 3))
    desk.catch_up()
    bucket = key_sha("victim")[0]
    services.scrub(desk.tenant, projection="trace_summary", bucket=bucket)
    with tenant_tx(desk.tenant):
        assert not Finding.objects.exists()
        TraceSummary.objects.filter(key="victim").update(outcome="success", title="nothing happened")
        made_by = TraceSummary.objects.get(key="victim").log_seq
    for _ in range(2):
        services.scrub(desk.tenant, projection="trace_summary", bucket=bucket)
    with tenant_tx(desk.tenant):
        finding = Finding.objects.get()
    assert (finding.kind, finding.projection, finding.log_seq) == ("mismatch", "trace_summary", made_by)
    assert finding.detail["rows"] == [{"table": "trace_summary", "key": "victim", "log_seq": made_by}]


@pytest.mark.parametrize("harm", ["delete", "insert"])
def test_the_scrub_notices_rows_that_came_or_went(desk: Desk, harm: str) -> None:
    desk.append(trace("victim", 3))
    desk.catch_up()
    with tenant_tx(desk.tenant), connection.cursor() as cursor:
        row = GraphNode.objects.get(key="trace:victim")
        sha = bytes(row.key_sha)
        if harm == "delete":
            GraphNode.objects.filter(key="trace:victim").delete()
        else:
            cursor.execute(
                "INSERT INTO projections_graphnode (tenant_id, generation, key, key_sha, row_hash, log_seq, "
                "node_type, trace_id, created_at) SELECT tenant_id, generation, 'trace:forged', "
                "set_byte(key_sha, 31, (get_byte(key_sha, 31) + 1) % 256), row_hash, log_seq, node_type, "
                "trace_id, created_at FROM projections_graphnode WHERE key = 'trace:victim'"
            )
    services.scrub(desk.tenant, projection="context_graph", bucket=sha[0])
    with tenant_tx(desk.tenant):
        assert Finding.objects.get().detail["bucket"] == sha[0]


def test_the_scrub_takes_turns(desk: Desk) -> None:
    desk.fill(2)
    desk.catch_up()
    for _ in range(8):
        services.scrub(desk.tenant)
    with tenant_tx(desk.tenant):
        assert set(Checkpoint.objects.values_list("scrub_bucket", flat=True)) == {2}
        assert not Finding.objects.exists()
    assert services.scrub_next() in RULES
