"""E1: whatever is done to the log behind its back, its export says so; and how it is sealed."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.test import Client

from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from decisiongraph.stack.endpoints import endpoints
from tenants.models import AuditEntry, Tenant
from tests.factories import UserFactory
from tests.pages import text
from tests.traces.events import Desk, new_id, start, step
from traces import selectors, services, tasks
from traces.domain import archive, merkle, note
from traces.management.commands.verify_log import verified
from traces.models import LogCheckpoint, LogNode, LogSeal
from traces.services import sealing

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(stack_environ: dict[str, str]) -> Iterator[psycopg.Connection]:
    """The server's superuser: nothing is forbidden."""
    with psycopg.connect(endpoints(stack_environ).database_url_admin, autocommit=True) as connection:
        yield connection


@pytest.fixture
def desk() -> Desk:
    """Thirty events under three checkpoints."""
    made = Desk()
    for _ in range(3):
        trace = new_id()
        made.append(start(trace), *(step(trace, payload=body(number)) for number in range(9)))
        assert services.seal(made.tenant) == 10
    return made


def body(number: int) -> dict[str, Any]:
    source = {"system": "crm", "object_type": "ticket", "object_id": f"T-{number}"}
    return {"input_id": f"in-{number}", "source": source, "facts": [], "note": "Größe 😀 1e3", "amount": 12.5}


def exported(tenant: Tenant, desk: Desk, **options: Any) -> bytes:
    return b"".join(services.export_log(tenant, principal=desk.principal, **options).lines)


def check(raw: bytes, **options: Any) -> archive.Summary:
    """What the offline verifier does, without the command around it."""
    reader = archive.Check(verified, **options)
    for line in raw.split(b"\n")[: -1 if raw.endswith(b"\n") else None]:
        reader.feed(line)
    return reader.close()


def kept(tenant: Tenant) -> list[str]:
    """The notes that somebody outside has."""
    return [row.note for row in selectors.checkpoints(tenant)]


def behind_its_back(admin: psycopg.Connection, tenant: Tenant, *statements: str) -> None:
    """What a superuser does who has read the migrations: triggers off, change, triggers on."""
    tables = ("traces_event", "traces_event_body", "traces_logcheckpoint", "traces_lognode")
    with admin.transaction():
        for table in tables:
            admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")  # type: ignore[arg-type]
        for statement in statements:
            admin.execute(statement.replace("{tenant}", str(tenant.pk)))  # type: ignore[arg-type]
        for table in tables:
            admin.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_change")  # type: ignore[arg-type]
            admin.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate")  # type: ignore[arg-type]


def test_an_untouched_log_is_right(desk: Desk) -> None:
    raw = exported(desk.tenant, desk)
    found = check(raw, kept=kept(desk.tenant))
    assert (found.size, found.checkpoints, found.kept, found.erased) == (30, 3, 3, 0)
    assert found.root == bytes(selectors.checkpoint(desk.tenant).root)
    assert raw == exported(desk.tenant, desk)


FLIPS = [
    ("traces_event_body", "payload"),
    ("traces_event_body", "salt"),
    ("traces_event_body", "payload_hash"),
    ("traces_event", "commitment"),
    ("traces_event", "leaf_hash"),
    ("traces_event", "actor_id"),
    ("traces_event", "principal"),
    ("traces_event", "occurred_at"),
    ("traces_event", "event_id"),
    ("traces_event", "idempotency_key"),
]


@pytest.mark.trust("E1")
def test_twenty_flipped_bytes_are_each_named(desk: Desk, admin: psycopg.Connection) -> None:
    chance = random.Random(5)
    for number in range(20):
        table, column = FLIPS[number % len(FLIPS)]
        log_seq = chance.randint(1, 30)
        where = f"FROM {table} WHERE tenant_id = {desk.tenant.pk} AND log_seq = {log_seq}"
        (before,) = admin.execute(f"SELECT {column} {where}").fetchone() or ()  # type: ignore[arg-type]
        binary = isinstance(before, bytes)
        changed = bytearray(before if binary else before.encode())
        ascii_only = [at for at, byte in enumerate(changed) if binary or byte < 128]
        changed[chance.choice(ascii_only)] ^= 1 << chance.randrange(8 if binary else 4)
        for value in (changed, before):
            text = f"'\\x{value.hex()}'::bytea" if binary else f"convert_from('\\x{_hex(value)}', 'UTF8')"
            change = f"UPDATE {table} SET {column} = {text} WHERE tenant_id = {{tenant}} AND log_seq = {log_seq}"
            behind_its_back(admin, desk.tenant, change)
            raw = exported(desk.tenant, desk)
            if value is changed:
                with pytest.raises(archive.Fault) as found:
                    check(raw)
                assert (found.value.first, found.value.last) == (log_seq, log_seq), (table, column)
            else:
                assert check(raw).size == 30


def _hex(value: bytes | bytearray | str) -> str:
    return (value.encode() if isinstance(value, str) else value).hex()


@pytest.mark.trust("E1")
def test_every_flipped_byte_of_the_file_is_found_at_its_event(desk: Desk) -> None:
    raw = exported(desk.tenant, desk)
    chance = random.Random(7)
    for _ in range(150):
        at = chance.randrange(len(raw))
        changed = bytearray(raw)
        changed[at] ^= 1 << chance.randrange(8)
        with pytest.raises(archive.Fault) as found:
            check(bytes(changed))
        line = raw.rfind(b"\n", 0, at) + 1
        if raw.startswith(b'{"event":', line) and raw[at : at + 1] != b"\n":
            assert found.value.first == raw.count(b'{"event":', 0, line) + 1, at


@pytest.mark.trust("E1")
def test_a_tail_that_was_cut_off_is_shown_by_a_kept_checkpoint(desk: Desk, admin: psycopg.Connection) -> None:
    outside = kept(desk.tenant)
    cut = "WHERE tenant_id = {tenant} AND"
    behind_its_back(
        admin,
        desk.tenant,
        f"DELETE FROM traces_event {cut} log_seq > 20",
        f"DELETE FROM traces_event_body {cut} log_seq > 20",
    )
    with pytest.raises(Problem) as damaged:  # the newest checkpoint covers what is not there
        selectors.inclusion(desk.tenant, log_seq=20)
    assert damaged.value.code == "log.damaged"
    services.seal(desk.tenant)
    assert selectors.seal_state(desk.tenant).fault == "30 events were sealed and the log ends after 20."
    trace = new_id()
    desk.append(start(trace), *(step(trace) for _ in range(14)))  # it goes on as if nothing had happened
    assert services.seal(desk.tenant) == 0
    assert selectors.seal_state(desk.tenant).fault == "Event 30 is not the one that was sealed at its place."
    behind_its_back(admin, desk.tenant, f"DELETE FROM traces_logcheckpoint {cut} size > 20")
    raw = exported(desk.tenant, desk)
    assert check(raw).size == 20  # the control: the file alone is in order
    assert check(raw, kept=outside[:2]).kept == 2
    with pytest.raises(archive.Fault) as found:
        check(raw, kept=outside)
    assert found.value.first == 21
    with pytest.raises(archive.Fault) as broken:
        check(raw[: raw.rfind(b"\n", 0, len(raw) // 2)])
    assert "middle of the log" in broken.value.detail


@pytest.mark.trust("E1")
def test_a_log_written_anew_is_shown_by_a_kept_checkpoint(desk: Desk, admin: psycopg.Connection) -> None:
    """The superuser changes one event, makes every hash fit and lets the server sign it all again."""
    outside, trusted = kept(desk.tenant), selectors.verifier_keys(desk.tenant, selectors.checkpoint(desk.tenant))
    event, proof = selectors.event_at(desk.tenant, 14), selectors.proof(desk.tenant, 14)
    assert proof.canonical is not None
    assert proof.salt is not None
    payload = proof.canonical.replace(b"12.5", b"99.5")
    from traces.domain import canonical
    from traces.domain.content import stored_leaf_envelope

    bound = canonical.commitment(proof.salt, payload)
    leaf = canonical.leaf_hash(stored_leaf_envelope(event, bound))
    here = "WHERE tenant_id = {tenant}"
    behind_its_back(
        admin,
        desk.tenant,
        f"UPDATE traces_event_body SET payload = convert_from('\\x{payload.hex()}', 'UTF8'), payload_hash = "
        f"sha256('\\x{payload.hex()}'::bytea) {here} AND log_seq = 14",
        f"UPDATE traces_event SET commitment = '\\x{bound.hex()}', leaf_hash = '\\x{leaf.hex()}' "
        f"{here} AND log_seq = 14",
    )
    with pytest.raises(archive.Fault) as half:  # hashes fit, the signed roots do not
        check(exported(desk.tenant, desk))
    assert (half.value.first, half.value.last) == (11, 20)
    assert not selectors.inclusion(desk.tenant, log_seq=14).holds
    behind_its_back(
        admin, desk.tenant, *(f"DELETE FROM {table} {here}" for table in ("traces_logcheckpoint", "traces_logseal"))
    )
    assert services.seal(desk.tenant) == 30
    raw = exported(desk.tenant, desk)
    assert check(raw, trusted=trusted).size == 30  # the control: signed with the right key, and all fits
    with pytest.raises(archive.Fault) as found:
        check(raw, kept=outside)
    assert (found.value.first, found.value.last) == (11, 20)
    assert "written anew" in found.value.detail


def test_the_command_checks_a_file_without_a_database(
    desk: Desk, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, state = exported(desk.tenant, desk), selectors.seal_state(desk.tenant)
    assert state.checkpoint is not None
    files = {"whole": raw, "first": raw[: raw.index(b'{"event":', len(raw) // 2) + 20]}
    done = files["first"].count(b'\n{"event":') - 1
    files |= {"second": exported(desk.tenant, desk, after=done), "bad": raw.replace(b"12.5", b"12.4", 1)}
    files["kept"] = "\n".join(kept(desk.tenant)).encode()
    files["key"] = selectors.verifier_keys(desk.tenant, state.checkpoint)[0].text.encode() + b"\n"
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.connect", None)
    given = {"key": [str(tmp_path / "key")], "checkpoint": [tmp_path / "kept"]}
    call_command("verify_log", str(tmp_path / "whole"), **given)
    said = capsys.readouterr().out
    assert "Right: 30 events" in said
    assert "agrees with 3 checkpoints" in said
    assert "Give --" not in said
    call_command("verify_log", str(tmp_path / "first"), str(tmp_path / "second"))
    assert "Give --key" in capsys.readouterr().out
    with pytest.raises(CommandError, match="First bad log_seq: event 2"):
        call_command("verify_log", str(tmp_path / "bad"))
    with pytest.raises(CommandError, match=r"event 17\. A line is not as the log writes it"):
        call_command("verify_log", str(tmp_path / "first"))
    with pytest.raises(CommandError, match="no file"):
        call_command("verify_log", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="--key"):
        call_command("verify_log", str(tmp_path / "whole"), key=["a+b+c"])


def test_somebody_elses_key_is_not_believed(desk: Desk) -> None:
    other = Desk()
    other.append(start(new_id()))
    services.seal(other.tenant)
    stranger = selectors.verifier_keys(other.tenant, selectors.checkpoint(other.tenant))
    raw = exported(desk.tenant, desk)
    with pytest.raises(archive.Fault, match="No key that is known"):
        check(raw, trusted=stranger)
    with pytest.raises(archive.Fault):
        check(raw, kept=kept(other.tenant))


def test_an_erased_body_needs_the_event_that_says_so(desk: Desk) -> None:
    lines = exported(desk.tenant, desk).split(b"\n")
    import json

    from traces.domain.canonical import jcs

    at = next(number for number, line in enumerate(lines) if b'"log_seq":5,' in line)
    event = json.loads(lines[at])
    event["event"] |= {"payload": None, "salt": None, "payload_hash": None}
    lines[at] = jcs(event)
    with pytest.raises(archive.Fault, match="no EventRedacted") as found:
        check(b"\n".join(lines))
    assert found.value.first == 5


# --- sealing ------------------------------------------------------------------------------------------


def test_a_seal_costs_what_is_new_and_survives_being_killed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.append(start(new_id()))
    before = kept(desk.tenant)
    with monkeypatch.context() as patch:
        patch.setattr(note, "sign", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            services.seal(desk.tenant)
    assert kept(desk.tenant) == before
    assert services.seal(desk.tenant) == 1
    assert services.seal(desk.tenant) == 0
    assert check(exported(desk.tenant, desk), kept=before).kept == 3


def test_two_sealers_do_not_wait_for_each_other(desk: Desk, admin: psycopg.Connection) -> None:
    desk.append(start(new_id()))
    with admin.transaction():
        admin.execute("SELECT 1 FROM traces_logseal WHERE tenant_id = %s FOR UPDATE", [desk.tenant.pk])
        assert services.seal(desk.tenant) == 0
    assert services.seal(desk.tenant) == 1


def test_a_log_with_a_hole_is_not_sealed(desk: Desk, admin: psycopg.Connection) -> None:
    trace = new_id()
    desk.append(start(trace), step(trace), step(trace))
    behind_its_back(admin, desk.tenant, "DELETE FROM traces_event WHERE tenant_id = {tenant} AND log_seq = 32")
    assert services.seal(desk.tenant) == 0
    state = selectors.seal_state(desk.tenant)
    assert (state.size, state.waiting) == (30, 3)
    assert "Between event 31 and 33" in state.fault


def test_a_thousand_new_events_ask_for_a_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("decisiongraph.core.jobs.enqueue", lambda task, **more: asked.append((task, more)))
    desk = Desk()
    sealing.ask_to_seal(desk.tenant, first=1, last=999)
    sealing.ask_to_seal(desk.tenant, first=1001, last=1500)
    assert asked == []
    sealing.ask_to_seal(desk.tenant, first=900, last=1000)
    assert asked == [("traces.seal", {"tenant_id": desk.tenant.pk})]
    asked.clear()
    monkeypatch.setattr(sealing, "EVERY", 2)
    desk.append(start(new_id()))
    assert "traces.seal" not in [task for task, _ in asked]
    desk.append(start(new_id()))
    assert "traces.seal" in [task for task, _ in asked]


def test_the_beat_finds_every_log_that_grew_and_hands_checkpoints_outside(
    desk: Desk, tmp_path: Path, settings: Any
) -> None:
    settings.CHECKPOINT_DIR, settings.CHECKPOINT_PUSH_SECONDS = str(tmp_path / "outside"), 3600
    path = tmp_path / "outside" / f"{desk.tenant.slug}.checkpoints"
    tasks.seal_all()
    desk.append(start(new_id()))
    tasks.seal_all()  # sealed, but its turn outside is in an hour
    assert selectors.seal_state(desk.tenant).waiting == 0
    assert note.notes_in(path.read_text()) == kept(desk.tenant)[2:3]
    settings.CHECKPOINT_PUSH_SECONDS = 0
    tasks.seal(desk.tenant.pk)
    tasks.seal_all()
    tasks.seal_all()
    assert note.notes_in(path.read_text()) == kept(desk.tenant)[2:]
    settings.CHECKPOINT_DIR = "/dev/null/nowhere"
    desk.append(start(new_id()))
    tasks.seal_all()  # written down in the log of the worker, and stops nobody
    assert selectors.seal_state(desk.tenant).pushed_size == 31


@pytest.mark.parametrize("change", ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["traces_logcheckpoint", "traces_lognode"])
def test_nobody_changes_what_was_signed(desk: Desk, admin: psycopg.Connection, table: str, change: str) -> None:
    with tenant_tx(desk.tenant):
        LogNode.objects.create(tenant_id=desk.tenant.pk, height=8, index=0, digest=bytes(32))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        admin.execute(change.format(table))  # type: ignore[arg-type]
    with pytest.raises(DatabaseError), tenant_tx(desk.tenant):
        LogCheckpoint.objects.all().delete()


# --- over HTTP ----------------------------------------------------------------------------------------


def raw(text: str) -> bytes:
    return base64.b64decode(text)


def test_proofs_over_http_are_checked_with_nothing_but_a_kept_note(desk: Desk) -> None:
    get: Callable[..., Any] = desk.client("read").get
    newest = get("/api/v1/log/checkpoint").json()
    assert (newest["size"], newest["head"], newest["waiting"]) == (30, 30, 0)
    keys = [note.parse_key(text) for text in newest["keys"]]
    checkpoint = note.opened(newest["note"], keys, verified)
    assert (checkpoint.origin, checkpoint.size) == (newest["origin"], 30)
    assert newest["origin"].endswith("/" + desk.tenant.slug)
    for log_seq in (1, 17, 30):
        found = get(f"/api/v1/log/inclusion?log_seq={log_seq}").json()
        leaf = bytes.fromhex(found["leaf_hash"].removeprefix("sha256:"))
        assert leaf.hex() == selectors.event_at(desk.tenant, log_seq).leaf_hash.removeprefix("sha256:")
        assert merkle.includes(leaf, log_seq - 1, 30, [raw(each) for each in found["path"]], checkpoint.root)
        assert selectors.inclusion(desk.tenant, log_seq=log_seq).holds
    older = get("/api/v1/log/consistency?first=10&second=20").json()
    path = [raw(each) for each in older["path"]]
    assert merkle.consistent(10, 20, path, raw(older["first"]["root_hash"]), raw(older["second"]["root_hash"]))
    assert get("/api/v1/log/consistency?first=10").json()["second"]["size"] == 30
    sizes, cursor = [], ""
    while cursor is not None:
        page = get(f"/api/v1/log/checkpoints?limit=2{cursor and '&cursor=' + cursor}").json()
        sizes += [row["size"] for row in page["items"]]
        cursor = page["next"]
    assert sizes == [30, 20, 10]


def test_what_the_proofs_refuse(desk: Desk) -> None:
    reader, ingest = desk.client("read"), desk.client("ingest")
    desk.append(start(new_id()))
    for address, status, code in (
        ("inclusion?log_seq=31", 409, "log.not_sealed"),
        ("inclusion?log_seq=25&size=20", 409, "log.not_sealed"),
        ("inclusion?log_seq=99", 404, "event.not_found"),
        ("inclusion?log_seq=1&size=7", 404, "checkpoint.not_found"),
        ("inclusion?log_seq=0", 400, "query.invalid_parameter"),
        ("inclusion", 400, "query.invalid_parameter"),
        ("consistency?first=7", 404, "checkpoint.not_found"),
        ("consistency?first=20&second=10", 400, "query.invalid_parameter"),
        ("checkpoint?x=1", 400, "query.invalid_parameter"),
        ("export", 403, "permission.missing"),
    ):
        answer = reader.get(f"/api/v1/log/{address}")
        assert (answer.status_code, answer.json()["code"]) == (status, code), address
    assert ingest.get("/api/v1/log/checkpoint").status_code == 403
    fresh = Desk()
    assert fresh.client("read").get("/api/v1/log/checkpoint").status_code == 404
    assert fresh.client("admin").get("/api/v1/log/export").json()["code"] == "log.not_sealed"


def test_the_log_over_http_is_audited_and_goes_on_where_it_broke_off(desk: Desk) -> None:
    auditor = desk.client("admin")
    whole = b"".join(auditor.get("/api/v1/log/export"))
    assert check(whole).size == 30
    part = b"".join(auditor.get("/api/v1/log/export?until=25"))
    assert check(part).size == 20  # the newest checkpoint of at most 25 events
    assert check(part + b"".join(auditor.get("/api/v1/log/export?after=20"))).size == 30
    assert auditor.get("/api/v1/log/export?after=31").json()["code"] == "log.not_sealed"
    with tenant_tx(desk.tenant):
        said = list(AuditEntry.objects.filter(action="log.exported").order_by("pk").values_list("after", flat=True))
    assert said == [{"after": 0, "until": 30}, {"after": 0, "until": 20}, {"after": 20, "until": 30}]
    with tenant_tx(desk.tenant):
        assert LogSeal.objects.get().size == 30


# --- for people ---------------------------------------------------------------------------------------


@pytest.fixture
def house(desk: Desk) -> Any:
    """Somebody who may look, and somebody who may take the log along."""
    viewer = UserFactory(first="vera", tenant=desk.tenant, role="viewer")
    admin = UserFactory(first="alice", tenant=desk.tenant, role="admin")
    found = []
    for person in (viewer, admin):
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        found.append(client)
    return found


def test_the_page_shows_the_newest_checkpoint_and_how_to_check_it(desk: Desk, house: Any, settings: Any) -> None:
    viewer, auditor = house
    page = f"/t/{desk.tenant.slug}/settings/log"
    said = text(viewer.get(page))
    newest = selectors.checkpoint(desk.tenant)
    assert "30 events sealed" in said
    assert "no folder set" in said
    assert selectors.verifier_keys(desk.tenant, newest)[0].text in viewer.get(page).content.decode()
    assert "Download the log" not in said
    assert viewer.get(f"{page}/export").status_code == 403
    assert "Download the log" in text(auditor.get(page))
    assert check(b"".join(auditor.get(f"{page}/export"))).size == 30
    settings.CHECKPOINT_DIR = "/somewhere"
    assert "not yet written" in text(viewer.get(f"{page}?part=state"))


def test_the_page_says_when_the_log_is_not_what_was_sealed(
    desk: Desk, house: Any, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"/t/{desk.tenant.slug}/settings/log"
    desk.append(start(new_id()))
    monkeypatch.setattr("traces.console.sealed.LATE", -1.0)
    assert "30 of 31 events are sealed" in text(house[0].get(page))
    behind_its_back(admin, desk.tenant, "DELETE FROM traces_event WHERE tenant_id = {tenant} AND log_seq > 29")
    services.seal(desk.tenant)
    assert "The log is not what was sealed" in text(house[0].get(page))
    fresh = Desk()
    person = UserFactory(first="eve", tenant=fresh.tenant, role="viewer")
    house[0].force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    assert "Nothing is sealed yet" in text(house[0].get(f"/t/{fresh.tenant.slug}/settings/log"))


def test_the_receipt_of_an_event_proves_it_anew(desk: Desk, house: Any, admin: psycopg.Connection) -> None:
    event = selectors.event_at(desk.tenant, 12)
    page = f"/t/{desk.tenant.slug}/traces/{event.trace_id}?event={event.trace_seq}&tab=receipt"
    assert "proven by 5 hashes" in text(house[0].get(page))
    behind_its_back(admin, desk.tenant, "DELETE FROM traces_event WHERE tenant_id = {tenant} AND log_seq = 11")
    assert "no proof leads to the signed root" in text(house[0].get(page))
    trace = new_id()
    desk.append(start(trace))
    assert "sealed within a second" in text(house[0].get(f"/t/{desk.tenant.slug}/traces/{trace}?event=0&tab=receipt"))
