"""Catch up, verify, rebuild: verdicts, differences, cut-over."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connections

from decisiongraph.core import bus
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from projections import engine
from projections import selectors as projections
from projections import services as projection_services
from projections.domain.rules import RULES
from projections.engine import generations as generations_module
from projections.models import (
    Checkpoint,
    Finding,
    Generation,
    GraphEdge,
    GraphNode,
    RecordedDigest,
    TraceSummary,
)
from replays import selectors, services
from replays.models import Replay
from replays.services import run as run_module
from tenants.models import AuditEntry
from tests.projections.desk import Desk, trace
from tests.projections.test_dead_letters import in_the_middle, open_letters, poison
from tests.replays.drive import drive, row, run, start
from traces import selectors as traces

pytestmark = pytest.mark.django_db


def sweep(desk: Desk) -> None:
    while services.sweep(desk.tenant):
        pass


@pytest.mark.parametrize("projection", list(RULES))
def test_verify_matches_and_changes_nothing(desk: Desk, projection: str) -> None:
    head = desk.fill(12)
    desk.catch_up()
    before = desk.live()
    view = run(desk, projection)
    assert (view.status, view.row.verdict, view.row.differences) == ("completed", "match", 0)
    assert (view.row.compared_at, view.progress) == (head, 1.0)
    assert view.row.live_digest == view.row.rebuilt_digest == before[projection]
    assert not view.row.promoted
    assert desk.live() == before
    assert desk.generation(projection) == 1
    sweep(desk)
    assert row(desk, view.row).canonical_digest == desk.expected()[projection]
    with tenant_tx(desk.tenant):
        assert Checkpoint.objects.filter(projection=projection).count() == 1
        assert Generation.objects.get(projection=projection, number=2).state == "deleted"
        for table in engine.BOUND[projection].tables.values():
            assert not table.model.objects.filter(generation=2).exists()


def test_verify_names_a_tampered_row_and_the_event_that_made_it(desk: Desk) -> None:
    desk.append(trace("victim", 3) + trace("other", 4))
    desk.catch_up()
    with tenant_tx(desk.tenant):
        TraceSummary.objects.filter(key="victim").update(outcome="tampered")
        GraphEdge.objects.filter(key__startswith="trace_started_by:trace:victim").delete()
        surplus = GraphNode.objects.get(key="trace:victim")
        surplus.key, surplus.key_sha = "trace:forged", b"\x01" * 32
    view = run(desk, "all")
    assert (view.status, view.row.verdict) == ("completed", "mismatch")
    found = {item.row.key: item for item in selectors.differences(desk.tenant, str(view.row.pk))}
    changed = found["victim"]
    last = traces.read_trace(desk.tenant, "victim")[-1]
    assert (changed.row.kind, changed.row.columns) == ("changed", ["outcome"])
    assert changed.row.live == {"outcome": "tampered"}
    assert changed.row.expected == {"outcome": last.payload and last.payload.get("outcome")}
    assert (changed.event_id, changed.trace_id, changed.row.log_seq) == (last.event_id, "victim", last.log_seq)
    (missing,) = [item for key, item in found.items() if key != "victim"]
    assert (missing.row.kind, missing.event_id) == ("missing", "victim-0")
    with tenant_tx(desk.tenant):
        findings = {item.projection: item for item in Finding.objects.all()}
    assert set(findings) == {"trace_summary", "context_graph"}
    assert findings["trace_summary"].log_seq == last.log_seq
    assert findings["trace_summary"].detail["replay_id"] == str(view.row.pk)
    verdicts = {child.row.projection: child.row.verdict for child in view.children}
    assert verdicts == {
        "trace_summary": "mismatch",
        "context_graph": "mismatch",
        "policy_evaluations": "match",
        "precedent_index": "match",
    }


def test_a_row_that_should_not_be_there_is_named(desk: Desk) -> None:
    desk.append(trace("victim", 3))
    desk.catch_up()
    with tenant_tx(desk.tenant):
        forged = GraphNode.objects.get(key="trace:victim")
        GraphNode.objects.bulk_create([
            GraphNode(
                tenant_id=desk.tenant.pk, generation=1, key="trace:forged", key_sha=b"\xff" * 32,
                row_hash=forged.row_hash, log_seq=1, node_type="trace", trace_id="forged",
                created_at=forged.created_at,
            )
        ])  # fmt: skip
    view = run(desk, "context_graph")
    assert (view.row.verdict, view.row.surplus, view.row.differences) == ("mismatch", 1, 1)
    (item,) = selectors.differences(desk.tenant, str(view.row.pk))
    assert (item.row.key, item.row.kind) == ("trace:forged", "surplus")


@pytest.mark.parametrize("chunks", [1, 3])
def test_every_differing_row_is_suspected_wherever_its_key_lies(desk: Desk, chunks: int) -> None:
    desk.fill(20)
    desk.catch_up()
    shadow = engine.begin(desk.tenant, "context_graph")
    engine.step(engine.Window(desk.tenant), engine.BOUND["context_graph"], limit=10_000, generation=shadow)
    assert engine.suspects(desk.tenant, "context_graph", 1, shadow, chunks=chunks) == {"node": set(), "edge": set()}
    with tenant_tx(desk.tenant):
        rows = list(GraphNode.objects.filter(generation=1).order_by("key_sha"))
        first, last, changed = rows[0], rows[-1], rows[1:-1:3]
        GraphNode.objects.filter(pk__in=[item.pk for item in changed]).update(created_at="2001-01-01T00:00:00Z")
        GraphNode.objects.filter(pk__in=[first.pk, last.pk], generation=1).delete()
        GraphNode.objects.filter(key_sha=rows[2].key_sha, generation=shadow).delete()
    wanted = {bytes(item.key_sha) for item in (first, rows[2], last, *changed)}
    assert engine.suspects(desk.tenant, "context_graph", 1, shadow, chunks=chunks) == {"node": wanted, "edge": set()}


def test_a_changed_sum_alone_is_a_mismatch(desk: Desk) -> None:
    from projections.models import DigestBucket

    desk.fill(3)
    desk.catch_up()
    with tenant_tx(desk.tenant):
        one = DigestBucket.objects.filter(projection="trace_summary").first()
        assert one is not None
        DigestBucket.objects.filter(pk=one.pk).update(total=b"\x00" * 32)
    view = run(desk)
    assert (view.row.verdict, view.row.differences) == ("mismatch", 0)


def test_differences_are_bounded_and_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from replays.domain import verdict

    desk.fill(10)
    desk.catch_up()
    monkeypatch.setattr(verdict.Differences.__init__, "__defaults__", (4,))
    with tenant_tx(desk.tenant):
        total = TraceSummary.objects.update(title="tampered")
    view = run(desk)
    assert (view.row.changed, view.row.differences) == (total, total)
    first = selectors.differences(desk.tenant, str(view.row.pk), limit=3)
    assert len(first) == 4
    last = first[2].row
    rest = selectors.differences(desk.tenant, str(view.row.pk), after=(str(last.replay_id), last.ordinal))
    assert len(rest) == 1


def test_rebuild_flips_readers_over(desk: Desk) -> None:
    desk.fill(12)
    desk.catch_up()
    before = desk.live()
    view = run(desk, "all", "rebuild")
    assert (view.status, view.row.verdict, view.row.promoted) == ("completed", "match", True)
    assert {desk.generation(name) for name in RULES} == {2}
    assert desk.live() == before
    assert desk.canonical() == desk.expected()
    sweep(desk)
    with tenant_tx(desk.tenant):
        assert set(Generation.objects.values_list("number", "state")) == {(1, "deleted"), (2, "active")}
        assert not TraceSummary.objects.filter(generation=1).exists()
    desk.fill(3)
    desk.catch_up()
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()
    again = run(desk, "context_graph", "rebuild")
    assert again.row.verdict == "match"
    assert desk.generation("context_graph") == 3


def test_a_rebuild_that_differs_is_not_promoted_unless_told(desk: Desk) -> None:
    desk.fill(5)
    desk.catch_up()
    with tenant_tx(desk.tenant):
        TraceSummary.objects.update(title="tampered")
    first = run(desk, "trace_summary", "rebuild")
    assert (first.row.verdict, first.row.promoted, desk.generation("trace_summary")) == ("mismatch", False, 1)
    second = run(desk, "trace_summary", "rebuild", accept_mismatch=True)
    assert (second.row.verdict, second.row.promoted, desk.generation("trace_summary")) == ("mismatch", True, 3)
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()
    assert selectors.projections.findings(desk.tenant, open_only=True) == []


def test_another_rule_version_is_incomparable_and_promoted(desk: Desk) -> None:
    desk.fill(4)
    desk.catch_up()
    with tenant_tx(desk.tenant):
        Generation.objects.filter(projection="trace_summary").update(rule_version=0)
        TraceSummary.objects.update(title="as the old rule made it")
    assert run(desk).row.verdict == "incomparable"
    view = run(desk, "trace_summary", "rebuild")
    assert (view.row.verdict, view.row.promoted) == ("incomparable", True)
    assert desk.canonical() == desk.expected()
    with tenant_tx(desk.tenant):
        assert not Finding.objects.exists()


def test_rebuild_while_events_keep_coming(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers and live catch-up go on; nobody reads an empty or half-built table."""
    desk.fill(20)
    desk.catch_up()
    stop = threading.Event()
    errors: list[BaseException] = []
    fewest: list[int] = []

    def background(work: Any) -> threading.Thread:
        def loop() -> None:
            try:
                while not stop.is_set():
                    work()
                    time.sleep(0.05)
            except BaseException as error:
                errors.append(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=loop)
        thread.start()
        return thread

    monkeypatch.setattr(engine, "REBUILD_BATCH", 60)
    monkeypatch.setattr(run_module, "NEAR", 50)
    threads = [
        background(lambda: desk.fill(2)),
        background(lambda: desk.catch_up(batch=30)),
        background(lambda: fewest.append(len(projections.trace_list(desk.tenant, limit=30).rows))),
    ]
    try:
        views = [run(desk, "all", "rebuild"), run(desk, "all", "verify")]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert [view.row.verdict for view in views] == ["match", "match"]
    assert min(fewest) >= 20
    desk.catch_up()
    assert desk.canonical() == desk.expected()
    assert desk.rows_right()


def test_the_control_rows_from_other_events_do_not_match(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that looked only at what it suspected would miss this; it must suspect it."""
    monkeypatch.setattr(run_module, "NEAR", 0)  # else a log this small is folded whole while comparing
    desk.fill(6)
    desk.catch_up()
    with tenant_tx(desk.tenant):
        TraceSummary.objects.update(title="tampered")
    assert run(desk).row.verdict == "mismatch"
    monkeypatch.setattr(engine, "suspects", lambda *_arguments, **_options: {})
    assert run(desk).row.verdict == "match", "without suspects the tampering goes unseen: the proof can fail"


def test_catch_up_brings_the_live_generation_to_the_head(desk: Desk) -> None:
    head = desk.fill(6)
    view = run(desk, "all", "catch_up")
    assert (view.status, view.row.verdict, view.progress) == ("completed", None, 1.0)
    assert set(desk.cursors().values()) == {head}
    assert desk.canonical() == desk.expected()


def test_until_compares_only_with_a_record(desk: Desk) -> None:
    position = desk.fill(5)
    desk.catch_up()
    projections.digests(desk.tenant, kind="canonical")
    desk.fill(5)
    desk.catch_up()
    at_record = run(desk, "trace_summary", until_log_seq=position)
    assert (at_record.row.verdict, at_record.row.compared_at) == ("match", position)
    assert at_record.target == position
    elsewhere = run(desk, "trace_summary", until_log_seq=position - 1)
    assert (elsewhere.status, elsewhere.row.verdict) == ("completed", "incomparable")
    with tenant_tx(desk.tenant):
        RecordedDigest.objects.filter(name="trace_summary", cursor=position).update(digest="sha256:0")
    assert run(desk, "trace_summary", until_log_seq=position).row.verdict == "mismatch"
    with tenant_tx(desk.tenant):
        RecordedDigest.objects.filter(name="trace_summary", cursor=position).update(rule_version=7)
    assert run(desk, "trace_summary", until_log_seq=position).row.verdict == "incomparable"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"projection": "nothing"}, "replay.unknown_projection"),
        ({"mode": "magic"}, "replay.unknown_mode"),
        ({"mode": "rebuild", "until_log_seq": 1}, "replay.invalid_option"),
        ({"until_log_seq": 10_000}, "replay.beyond_head"),
        ({"reason": "  "}, "replay.reason_missing"),
        ({"accept_mismatch": True}, "replay.invalid_option"),
    ],
)
def test_refusals(desk: Desk, options: dict[str, Any], code: str) -> None:
    desk.fill(1)
    asked = {"projection": "trace_summary", "mode": "verify", "reason": "a test", **options}
    with pytest.raises(Problem) as refused:
        services.start_replay(desk.tenant, principal=desk.principal, **asked)
    assert (refused.value.status, refused.value.code) == (422, code)


def test_who_may(desk: Desk) -> None:
    from tests.factories import make_cast

    cast = make_cast()
    asked = {"projection": "trace_summary", "mode": "rebuild", "reason": "a test"}
    with pytest.raises(Problem) as viewer:
        services.start_replay(cast.acme, principal=cast.principal(cast.vera), **asked)
    with pytest.raises(Problem) as operator:
        services.start_replay(cast.acme, principal=cast.principal(cast.bob), accept_mismatch=True, **asked)
    assert (viewer.value.status, operator.value.status) == (403, 403)
    services.start_replay(cast.acme, principal=cast.principal(cast.bob), **asked)
    with tenant_tx(cast.acme):
        entry = AuditEntry.objects.get(action="replay.started")
    assert (entry.reason, entry.actor) == ("a test", f"user:{cast.bob.email}")


def test_one_active_replay_per_projection(desk: Desk) -> None:
    desk.fill(2)
    first = start(desk, "context_graph")
    for projection in ("context_graph", "all"):
        with pytest.raises(Problem) as refused:
            start(desk, projection)
        assert (refused.value.status, refused.value.code) == (409, "replay.active")
        assert str(first.pk) in refused.value.detail
    other = start(desk, "trace_summary")
    drive(desk, other)
    drive(desk, first)
    everything = start(desk, "all")
    with pytest.raises(Problem):
        start(desk, "precedent_index")
    drive(desk, everything)
    start(desk, "precedent_index")


def test_dead_letters_are_parked_in_the_shadow_as_well(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(8)
    bad = poison(monkeypatch, *in_the_middle(desk, 2))
    desk.catch_up()
    assert run(desk, "all").row.verdict == "match"
    assert len(open_letters(desk)) == 2, "the shadow's own letters are not shown"
    view = run(desk, "all", "rebuild")
    assert view.row.promoted
    letters = open_letters(desk)
    assert {letter.generation for letter in letters} == {desk.generation("trace_summary")}
    sweep(desk)
    bad.clear()
    for name in RULES:
        for letter in open_letters(desk, name):
            projection_services.retry_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk)
    assert desk.canonical() == desk.expected()


def test_a_skip_during_a_replay_makes_it_start_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(6)
    poison(monkeypatch, *in_the_middle(desk, 1))
    desk.catch_up()
    replay = start(desk)
    (job,) = services.claim(desk.tenant, str(replay.pk))
    run_module._begin(job)
    engine.step(
        engine.Window(desk.tenant),
        engine.BOUND["trace_summary"],
        limit=10_000,
        generation=job.row.generation,
        guard=job.beat,
    )
    run_module._give_back(job)
    (letter,) = open_letters(desk)
    projection_services.skip_dead_letter(desk.tenant, principal=desk.principal, ident=letter.pk, reason="ok")
    view = drive(desk, replay)
    assert (view.row.verdict, view.row.generation) == ("match", 3)


def test_what_the_sockets_hear(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: set[tuple[str, str, str]] = set()
    monkeypatch.setattr(bus, "_announce", lambda _id, _slug, topic, ident, message: heard.add((topic, ident, message)))
    desk.fill(3)
    desk.catch_up()
    with tenant_tx(desk.tenant):
        TraceSummary.objects.update(title="tampered")
    ident = str(run(desk).row.pk)
    for topic, at in (("replays", ""), ("projection_health", ""), ("replay", ident)):
        for message in ("projection.replay_started", "projection.replay_finished"):
            assert (topic, at, message) in heard
    assert ("projection_health", "", "projection.digest_mismatch") in heard
    assert ("replay", ident, "projection.digest_mismatch") in heard
    assert ("projection_health", "", "projection.cursor_advanced") in heard


def test_deleting_goes_in_batches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.fill(10)
    desk.catch_up()
    monkeypatch.setattr(generations_module.delete_some, "__kwdefaults__", {"limit": 3})
    run(desk, "context_graph")
    assert services.sweep(desk.tenant, budget=0.0), "something is left when the time is over"
    sweep(desk)
    with tenant_tx(desk.tenant):
        assert not GraphNode.objects.exclude(generation=1).exists()


def test_clearing_away_waits_for_replays(desk: Desk) -> None:
    desk.fill(6)
    desk.catch_up()
    run(desk, "context_graph")
    other = start(desk, "trace_summary")
    with tenant_tx(desk.tenant):
        Replay.objects.filter(pk=other.pk).update(status="running")
    assert not services.sweep(desk.tenant)
    with tenant_tx(desk.tenant):
        assert GraphNode.objects.exclude(generation=1).exists(), "nothing was deleted beside a running replay"
    drive(desk, other)
    sweep(desk)
    with tenant_tx(desk.tenant):
        assert not GraphNode.objects.exclude(generation=1).exists()
