"""E3: what was erased is nowhere, every proof holds, and replay equals live."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection

from approvals import services as workflow
from approvals.domain import bundle, seal
from approvals.models import Endpoint, Item
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from projections import engine
from projections import services as readings
from projections.models import ExportPiece, RecordedDigest
from replays import selectors, services
from replays.models import Erasure, Replay
from replays.selectors.erasures import found_in
from replays.services import erase
from tenants.access import system_principal
from tenants.models import AuditEntry
from tests.approvals.house import House
from tests.factories import UserFactory
from tests.pages import text
from traces import selectors as traces
from traces import services as log
from traces.domain import archive
from traces.management.commands.verify_log import verified

pytestmark = pytest.mark.django_db

NAME = "Annegret Überlinger-Kowalski"
MAIL = "annegret.uk@example.org"
STORY = 'She said "my knee", then\nleft.'
"""Quotes, an umlaut and a line break: spelled otherwise inside JSON."""


class Archive:
    """A tenant whose log says a person's data in every place where the platform repeats them."""

    def __init__(self, events: int = 6) -> None:
        self.house = House()
        self.tenant = self.house.tenant
        self.alice = self.house.alice
        second = UserFactory(first="ada", tenant=self.tenant, role="admin")
        self.ada = self.house.cast.principal(second)
        self.ada_user = second
        workflow.create_endpoint(self.tenant, principal=self.alice, url="https://hooks.example.org/x", messages=())
        house = self.house
        self.trace = f"t-{uuid.uuid4().hex[:12]}"
        self.other = house.trace()
        facts = [{"key": "name", "value": {"type": "string", "value": NAME}}]
        source = {"system": "crm", "object_type": "person", "object_id": "P-1"}
        started = house.started(self.trace)
        started["payload"] |= {"title": f"Refund for {NAME}", "context": {"mail": MAIL}}
        started["payload"]["primary_entity"] = {"entity_type": "person", "entity_id": MAIL}
        inputs = [
            house.event(
                self.trace,
                "InputObserved",
                {"input_id": f"in-{number}", "source": source, "facts": facts, "note": STORY},
            )
            for number in range(events - 4)
        ]
        house.append(started, *inputs)
        house.append(house.exception(self.trace, reason=f"{NAME} asked for it. {STORY}", evidence=[{"mail": MAIL}]))
        change = [{"path": "refund.to", "old_value": None, "new_value": MAIL}]
        house.append(house.proposal(self.trace, changes=change))
        house.append(house.event(self.trace, "TraceFinished", {"outcome": "success", "summary": f"Paid to {NAME}"}))
        house.follow()
        item = house.items(trace_id=self.trace)[0]
        workflow.comment(self.tenant, principal=house.vera, item_id=str(item.pk), text=f"I know {NAME}.")
        house.decide(house.item(item))
        self.settle()
        while workflow.fan_out(self.tenant):
            pass
        export = readings.start_export(self.tenant, principal=self.alice, format="ndjson", query="")
        readings.run_export(self.tenant, str(export.pk))
        readings.learn(self.tenant)
        log.seal(self.tenant)
        self.events = [event.log_seq for event in traces.read_trace(self.tenant, self.trace)]

    def settle(self) -> None:
        """Every projection at the head."""
        engine.prepare(self.tenant)
        for name in engine.BOUND:
            engine.catch_up(self.tenant, name, budget=20.0)

    def ask(self, **more: Any) -> Erasure:
        options = {"trace_id": self.trace, "texts": [NAME, MAIL], "reason": "Request for erasure 2026-118."} | more
        row = services.ask_erasure(self.tenant, principal=self.alice, **options)
        services.run_erasure(self.tenant, str(row.pk))
        return self.row(row)

    def row(self, row: Erasure) -> Erasure:
        return selectors.erasure(self.tenant, str(row.pk))

    def drive(self, row: Erasure) -> Erasure:
        """What workers do until it is over."""
        for _ in range(400):
            status = services.run_erasure(self.tenant, str(row.pk), budget=0.0)
            if status not in ("running", ""):
                return self.row(row)
            with tenant_tx(self.tenant):
                waiting = list(Replay.objects.filter(status__in=["queued", "running"]).exclude(projection="all"))
            for replay in waiting:
                self.settle()
                services.run_slice(self.tenant, str(replay.pk))
        raise AssertionError(f"still {self.row(row).step}")

    def erase(self, **more: Any) -> Erasure:
        row = self.ask(**more)
        services.confirm_erasure(self.tenant, principal=self.ada, erasure_id=str(row.pk))
        return self.drive(row)


@pytest.fixture
def archive_(db: None) -> Archive:
    return Archive()


WANTED = [NAME, MAIL, STORY, STORY.replace('"', '\\"').replace("\n", "\\n"), "Überlinger-Kowalski"]


@pytest.mark.trust("E3")
def test_fifty_events_are_erased_everywhere(db: None) -> None:
    archive_ = Archive(events=50)
    tenant = archive_.tenant
    assert len(archive_.events) == 50
    before = {place["table"] for place in found_in(tenant, WANTED)}
    assert before >= {
        "traces_event_body",
        "projections_tracesummary",
        "projections_precedenttext",
        "projections_graphnode",
        "projections_exportpiece",
        "projections_situationrow",
        "approvals_item",
        "approvals_comment",
        "approvals_outbox",
        "approvals_delivery",
        "approvals_notification",
    }, before  # the control: the search finds what is there
    notes = [row.note for row in traces.checkpoints(tenant)]
    hashes = {event.log_seq: event.leaf_hash for event in traces.read_trace(tenant, archive_.trace)}
    with tenant_tx(tenant):
        RecordedDigest.objects.create(
            tenant_id=tenant.pk,
            kind="canonical",
            name="trace_summary",
            generation=1,
            cursor=60,
            rule_version=1,
            digest="sha256:before",
        )
    done = archive_.erase()
    assert (done.status, done.error, done.left) == ("completed", "", []), (done.step, done.left)
    assert found_in(tenant, WANTED) == []
    assert done.wanted is None
    # the events are there, without their payloads, and proven
    events = traces.read_trace(tenant, archive_.trace)
    assert [event.payload for event in events] == [None] * 50
    assert {event.log_seq: event.leaf_hash for event in events} == hashes
    assert all(traces.inclusion(tenant, log_seq=seq).holds for seq in (*done.events, *done.copies))
    reader = archive.Check(verified, kept=notes)
    for line in b"".join(log.export_log(tenant, principal=archive_.alice).lines).splitlines():
        reader.feed(line)
        assert not any(text.encode() in line for text in (NAME, MAIL))
    summary = reader.close()
    assert summary.erased == 50 + len(done.copies)
    assert summary.kept == len(notes)
    # who, why and when stands in the log
    review = traces.read_trace(tenant, f"review:{done.pk}")
    assert [event.event_type for event in review[:2]] == ["TraceStarted", "EventRedacted"]
    assert review[-1].event_type == "TraceFinished"
    assert review[1].payload is not None
    assert review[1].payload["reason"] == "Request for erasure 2026-118."
    with tenant_tx(tenant):
        actions = list(
            AuditEntry.objects.filter(target=f"erasure:{done.pk}").order_by("pk").values_list("action", "actor")
        )
        assert actions == [
            ("erasure.asked", archive_.alice.ident),
            ("erasure.confirmed", archive_.ada.ident),
            ("erasure.completed", "system"),
        ]
        # digests from before are superseded, and nothing is mistaken for a mismatch
        assert RecordedDigest.objects.filter(digest="sha256:before").get().kind.startswith("canonical superseded")
        assert not Replay.objects.filter(verdict="mismatch").exists()
        assert {row.verdict for row in Replay.objects.filter(mode="verify").exclude(projection="all")} == {"match"}
        item = Item.objects.filter(trace_id=archive_.trace).first()
        assert item is not None
        assert "[erased]" in item.reason + item.title
        assert Endpoint.objects.count() == 1
        assert not ExportPiece.objects.exists()
    assert traces.read_trace(tenant, archive_.other)[0].payload is not None
    # what people open afterwards still opens, and its signed file is in order
    browser = archive_.house.person(archive_.house.cast.alice)
    for item in archive_.house.items(trace_id=archive_.trace):
        assert browser.get(f"/t/{tenant.slug}/approvals/{item.pk}").status_code == 200
        sealed = browser.get(f"/api/v1/approvals/{item.pk}/export").content
        content = bundle.content_of("json", seal.inspect(sealed, verified).body)  # type: ignore[union-attr]
        assert bundle.problems(content) == []
    assert browser.get(f"/t/{tenant.slug}/traces/{archive_.trace}").status_code == 200
    # learned again from the log as it is now
    readings.learn(tenant)
    assert found_in(tenant, WANTED) == []


def test_two_people_a_reason_and_nothing_else(archive_: Archive) -> None:
    tenant, alice, ada = archive_.tenant, archive_.alice, archive_.ada

    def refused(call: Any, **options: Any) -> str:
        with pytest.raises(Problem) as found:
            call(tenant, **options)
        return found.value.code

    ask = {"principal": alice, "events": [1], "reason": "Because."}
    assert refused(services.ask_erasure, **ask | {"principal": archive_.house.bob}) == "permission.missing"
    assert refused(services.ask_erasure, **ask | {"principal": system_principal(tenant)}) == "erasure.person_required"
    assert refused(services.ask_erasure, **ask | {"events": []}) == "erasure.no_events"
    assert refused(services.ask_erasure, **ask | {"events": [1, 9999]}) == "erasure.nothing_there"
    assert refused(services.ask_erasure, **ask | {"reason": " "}) == "erasure.reason_missing"
    assert refused(services.ask_erasure, **ask | {"texts": ["ab"]}) == "erasure.text_invalid"
    assert refused(services.ask_erasure, **ask | {"texts": ["cause"]}) == "erasure.reason_repeats"
    assert refused(services.ask_erasure, **ask | {"trace_id": "nowhere"}) == "trace.not_found"
    row = services.ask_erasure(tenant, **ask)  # type: ignore[arg-type]
    ident = str(row.pk)
    assert bytes(row.wanted or b"").find(b"[") == -1
    assert refused(services.ask_erasure, **ask) == "erasure.active"
    assert refused(services.confirm_erasure, principal=ada, erasure_id=ident) == "erasure.not_ready"
    services.run_erasure(tenant, ident)
    assert refused(services.confirm_erasure, principal=alice, erasure_id=ident) == "erasure.same_person"
    assert refused(services.confirm_erasure, principal=archive_.house.rita, erasure_id=ident) == "permission.missing"
    assert refused(services.confirm_erasure, principal=ada, erasure_id=str(uuid.uuid4())) == "erasure.not_found"
    assert refused(services.confirm_erasure, principal=ada, erasure_id="x") == "erasure.not_found"
    assert refused(services.retry_erasure, principal=ada, erasure_id=ident) == "erasure.over"
    assert services.withdraw_erasure(tenant, principal=alice, erasure_id=ident).status == "withdrawn"
    assert refused(services.confirm_erasure, principal=ada, erasure_id=ident) == "erasure.over"
    assert refused(services.withdraw_erasure, principal=ada, erasure_id=ident) == "erasure.over"
    assert traces.event_at(tenant, 1).payload is not None
    # a text that another event says as well
    said = archive_.ask(trace_id="", events=archive_.events[1:2])
    assert (said.status, set(said.elsewhere)) == ("waiting", set(archive_.events) - {archive_.events[1]})
    assert refused(services.confirm_erasure, principal=ada, erasure_id=str(said.pk)) == "erasure.said_elsewhere"


def test_without_a_running_erasure_nobody_rewrites_anything(archive_: Archive) -> None:
    for statement in (
        "SELECT erase_text('approvals_comment', ARRAY['I know'], '[erased]')",
        "SELECT erase_text('approvals_comment', ARRAY['I know'], 'something else')",
    ):
        with (
            pytest.raises(DatabaseError, match="no erasure"),
            tenant_tx(archive_.tenant),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_what_cannot_be_cleaned_is_named_and_looked_for_again(archive_: Archive, monkeypatch: Any) -> None:
    tenant = archive_.tenant
    monkeypatch.setattr(erase, "SPARED", erase.SPARED | {"approvals_comment"})
    done = archive_.erase()
    assert (done.status, done.left) == ("incomplete", [{"table": "approvals_comment", "column": "text", "rows": 1}])
    monkeypatch.undo()
    again = services.retry_erasure(tenant, principal=archive_.ada, erasure_id=str(done.pk))
    assert archive_.drive(again).status == "completed"


def test_erasures_over_http(archive_: Archive) -> None:
    first, second = archive_.house.person(archive_.house.cast.alice), archive_.house.person(archive_.ada_user)
    asked = {"events": [archive_.events[3]], "texts": [], "reason": "Asked for."}
    answer = first.post("/api/v1/erasures", asked, content_type="application/json")
    assert answer.status_code == 201, answer.content
    ident = answer.json()["id"]
    assert first.post(f"/api/v1/erasures/{ident}/confirm").json()["code"] == "erasure.not_ready"
    services.run_erasure(archive_.tenant, ident)
    assert first.post(f"/api/v1/erasures/{ident}/confirm").json()["code"] == "erasure.same_person"
    assert second.post(f"/api/v1/erasures/{ident}/confirm").json()["status"] == "running"
    assert second.get("/api/v1/erasures").json()["items"][0]["id"] == ident
    assert second.get(f"/api/v1/erasures/{ident}").json()["confirmed_by"] == archive_.ada.ident
    assert second.post(f"/api/v1/erasures/{ident}/withdraw").json()["code"] == "erasure.over"
    assert archive_.house.person(archive_.house.cast.bob).get("/api/v1/erasures").status_code == 403
    wrong = first.post("/api/v1/erasures", asked | {"more": 1}, content_type="application/json")
    assert wrong.status_code == 422


def test_the_page_asks_two_people(archive_: Archive) -> None:
    cast, page = archive_.house.cast, f"/t/{archive_.tenant.slug}/settings/erasures"
    first, second = cast.browser(cast.alice), cast.browser(archive_.ada_user)
    assert "Nothing was ever erased here" in text(first.get(page))
    assert cast.browser(cast.bob).get(page).status_code == 403
    form = {"events": f"{archive_.events[2]}-{archive_.events[3]}", "texts": "", "reason": "Asked for.", "trace_id": ""}
    wrong = first.post(f"{page}/ask", form | {"events": "two"}, headers={"HX-Request": "true"})
    assert wrong.status_code == 422
    assert first.post(f"{page}/ask", form, headers={"HX-Request": "true"})["HX-Redirect"] == page
    (row,) = selectors.newest_erasures(archive_.tenant)
    services.run_erasure(archive_.tenant, str(row.pk))
    assert "Erase for good" not in text(first.get(page))
    assert "another admin has to confirm" in text(first.get(page))
    assert "Erase for good" in text(second.get(f"{page}?part=list"))
    asked = second.get(page).content.decode()
    low, high = archive_.events[2], archive_.events[3]
    assert f"2 at {low} to {high}" in text(second.get(page)), "what goes is named before it goes"
    assert f'href="/t/{archive_.tenant.slug}/traces/{archive_.trace}"' in asked
    assert 'data-confirm-match="erase"' in asked
    assert "every 5s" not in asked, "a page that asks by itself says so, or it would keep the session alive"
    assert second.post(f"{page}/{row.pk}/unknown").status_code == 404
    for typed in ("", "Erase!"):
        refused = second.post(f"{page}/{row.pk}/confirm", {"confirm": typed}, headers={"HX-Request": "true"})
        assert (refused.status_code, refused.json()["code"]) == (422, "erasure.not_confirmed")
    assert archive_.row(row).status == "waiting"
    second.post(f"{page}/{row.pk}/confirm", {"confirm": "erase"}, headers={"HX-Request": "true"})
    assert "erasing payloads" in text(second.get(page)).lower()
