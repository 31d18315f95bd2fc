"""The drill: back up, restore into an empty database, check the log, replay; and damage is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from decisiongraph.stack import backup
from decisiongraph.stack.endpoints import ROOT, endpoints
from decisiongraph.stack.process import StackError
from tests import database

pytestmark = pytest.mark.django_db

FILL = """
import json
import django
django.setup()
from tests.projections.desk import Desk
from tests.factories import TenantFactory
from traces.selectors import tree
from traces.services import sealing
found, notes = {}, ""
for count in (30, 5):
    desk = Desk()
    desk.fill(count)
    desk.catch_up()
    sealing.seal(desk.tenant)
    notes += tree.checkpoint(desk.tenant).note + "\\n"
    found[desk.tenant.slug] = desk.canonical()
TenantFactory(slug="empty")
print(json.dumps([found, notes]))
"""
Environ = dict[str, str]
Digests = dict[str, dict[str, str]]
Places = tuple[Environ, Environ, Digests, str]


@pytest.fixture(scope="module")
def places(stack: object, django_db_setup: None) -> Iterator[Places]:
    """A database with three tenants, where there is none yet; digests and checkpoints of two of the tenants."""
    number = os.environ["DG_DATABASE"]
    settings = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "decisiongraph.settings", "LOG_LEVEL": "ERROR"}
    source, target = ({**os.environ, **settings, "DG_DATABASE": f"{number}_{name}"} for name in ("kept", "new"))
    database.fresh_copy(source)
    done = subprocess.run([sys.executable, "-c", FILL], env=source, cwd=ROOT, check=True, capture_output=True)
    digests, notes = json.loads(done.stdout.splitlines()[-1])
    yield source, target, digests, notes
    with database.server(endpoints(source)) as admin:
        for environ in (source, target):
            database.remove(admin, environ["DG_DATABASE"])


@pytest.fixture(scope="module")
def kept(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    said: list[str] = []
    folder = backup.backup(places[0], str(tmp_path_factory.mktemp("backups")), said.append)
    assert said[0].startswith("3 tenants")
    return folder


def superuser(environ: Environ) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(endpoints(environ).database_url_admin, autocommit=True)


@pytest.mark.trust("B6")
def test_the_drill(places: Places, kept: Path, tmp_path: Path, figures: Callable[..., None]) -> None:
    source, target, digests, notes = places
    outside = tmp_path / "kept.checkpoint"
    outside.write_text(notes)
    manifest = json.loads((kept / "manifest.json").read_text())
    said: list[str] = []
    backup.restore(target, str(kept), "all", said.append, checkpoints=[str(outside)])
    text = "\n".join(said)
    assert said[-1] == "whole"
    assert text.count("1 checkpoints kept outside agree") == 2
    for tenant in manifest["tenants"]:
        assert f"{tenant['slug']}: {tenant['head']} events, every hash right" in text
        assert f"{tenant['slug']}: all projections match" in text
    for slug, projections in digests.items():
        for name, digest in projections.items():
            assert f"{name} {digest}" in text.partition(f"{slug}: all projections match")[2]
    # nothing is left out, and the guards are back: owners, policies, triggers, functions, grants
    shape = (
        "SELECT c.relname, pg_get_userbyid(c.relowner), c.relforcerowsecurity, c.relacl::text FROM pg_class c "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^pg_stat' ORDER BY 1",
        "SELECT tablename, policyname, roles::text, qual, with_check FROM pg_policies ORDER BY 1, 2",
        "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
        "SELECT proname, pg_get_userbyid(proowner), prosrc, proacl::text FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY 1",
        "SELECT tenant_id, log_seq, leaf_hash FROM traces_event ORDER BY 1, 2",
        "SELECT tenant_id, log_seq, payload, salt FROM traces_event_body ORDER BY 1, 2",
    )
    with superuser(source) as before, superuser(target) as after:
        for statement in shape:
            assert before.execute(statement).fetchall() == after.execute(statement).fetchall(), statement
    # the control: what somebody changes in the restored database is named
    with superuser(target) as admin:
        admin.execute("ALTER TABLE traces_event_body DISABLE TRIGGER USER")
        admin.execute("UPDATE traces_event_body SET payload = replace(payload, 'Case', 'Cafe') WHERE log_seq = 1")
    with pytest.raises(StackError, match="trace_summary mismatch"):
        backup._manage(target, "check_restore", say=said.append)
    with superuser(target) as admin:
        admin.execute("ALTER TABLE traces_event DISABLE TRIGGER USER")
        admin.execute("DELETE FROM traces_event WHERE log_seq > 10")
    arguments = ["--manifest", str(kept / "manifest.json"), "--checkpoint", str(outside)]
    with pytest.raises(StackError) as refused:
        backup._manage(target, "check_log", *arguments, say=said.append)
    assert "log_seq 1: the payload is not the one that was hashed" in str(refused.value)
    assert "10 events, the manifest says" in str(refused.value)
    assert "the log was cut: a checkpoint kept outside has" in str(refused.value)
    figures(through_dump_and_restore="equal")


def test_only_into_an_empty_database(places: Places, kept: Path) -> None:
    with pytest.raises(StackError, match="not empty"):
        backup.restore(places[0], str(kept), "log", lambda _text: None)


def test_a_changed_dump_is_refused(places: Places, kept: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "database.dump"):
        (tmp_path / name).write_bytes((kept / name).read_bytes())
    with (tmp_path / "database.dump").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2")
    with pytest.raises(StackError, match="not the file that was written"):
        backup.restore(places[1], str(tmp_path), "log", lambda _text: None)
    with pytest.raises(StackError, match="is not a backup"):
        backup.restore(places[1], str(tmp_path / "nowhere"), "log", lambda _text: None)


def test_a_table_the_backup_would_not_see_stops_it(places: Places, tmp_path: Path) -> None:
    """Without this the table would be dumped empty, and nobody told."""
    with superuser(places[0]) as admin:
        admin.execute("ALTER POLICY backup ON traces_event USING (tenant_id > 1000000)")
        try:
            with pytest.raises(StackError, match="would not see all of traces_event"):
                backup.backup(places[0], str(tmp_path), lambda _text: None)
        finally:
            admin.execute("ALTER POLICY backup ON traces_event USING (true)")
    assert list(tmp_path.iterdir()) == []
