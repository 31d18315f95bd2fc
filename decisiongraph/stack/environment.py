"""Create .venv with pinned, hash-checked packages: ``python3 decisiongraph/stack/environment.py base|dev``.

Runs under the machine's own interpreter, so it uses the standard library only and copes with what
distributions leave out: ensurepip (Debian without python3-venv), the venv module, or pip. Work is done
only when a requirement file, the interpreter or the checkout's place changed.

An interpreter compiled on the spot without profile-guided optimization is often the first ``python3`` of
PATH and takes a fifth longer for everything. So, unless one was named (``PYTHON=...``, a third argument
``named``), the fastest ``python3`` of PATH is taken, by a measurement of half a second.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 14)
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements"
BOOTSTRAP = VENV / "bootstrap"

FASTER = 0.9
"""Share of our time within which another interpreter must do the same work to be taken instead."""
PROBE = """
import sys, time
def work():
    seen = {}
    for number in range(20_000):
        name = f"k{number % 500}"
        seen[name] = [*seen.get(name, ())[-3:], (number, name)]
    return seen
best = 9.0
for _ in range(9):
    started = time.perf_counter()
    work()
    best = min(best, time.perf_counter() - started)
print(*sys.version_info[:2], best, sys.executable)
"""


def main() -> int:
    """Bring .venv up to date for ``base`` or ``dev``; the exit code."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "base"
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return with_better_python()
    with (REQUIREMENTS / f"{kind}.txt").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not usable():
            shutil.rmtree(VENV, ignore_errors=True)
            create([sys.executable] if "named" in sys.argv[2:] else interpreters())
        if not fresh(kind):
            note(f"installing {kind} packages")
            install(kind)
            stamp(kind).write_text(fingerprint(kind))
            if kind == "dev":
                stamp("base").write_text(fingerprint("base"))
    return 0


def note(text: str) -> None:
    """One line on the console."""
    print(f"environment: {text}", flush=True)


def with_better_python() -> int:
    """Start again under a newer interpreter of this machine, or say that there is none."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return subprocess.call([found, *sys.argv])
    print(
        f"DecisionGraph needs Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}; "
        f"this is {sys.version.split()[0]} ({sys.executable}). Name another one: make run PYTHON=/path/to/python3",
        file=sys.stderr,
    )
    return 1


def interpreters() -> list[str]:
    """This interpreter, behind the fastest other ``python3`` of PATH if that is much faster."""
    here = probe(sys.executable)
    others: dict[str, float] = {}
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        found = probe(str(Path(folder) / "python3"))
        if here and found and os.path.realpath(found[0]) != os.path.realpath(sys.executable):
            others[found[0]] = found[1] / here[1]
    fastest = min(others, key=others.__getitem__, default="")
    return [fastest, sys.executable] if fastest and others[fastest] < FASTER else [sys.executable]


def probe(python: str) -> tuple[str, float] | None:
    """Its own path and seconds for a piece of work; None for what is no usable interpreter."""
    if not os.access(python, os.X_OK):
        return None
    try:
        done = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=20)
        major, minor, seconds, path = done.stdout.split(maxsplit=3)
        if done.returncode or not OLDEST <= (int(major), int(minor)) <= NEWEST:
            return None
        return path.strip(), float(seconds)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def stamp(kind: str) -> Path:
    """Remembers what was installed."""
    return VENV / f".{kind}.stamp"


def fingerprint(kind: str) -> str:
    """Changes with the pinned packages, the interpreter and the place of the checkout."""
    pinned = hashlib.sha256((REQUIREMENTS / f"{kind}.txt").read_bytes()).hexdigest()
    return f"{pinned} {VENV}\n"


def fresh(kind: str) -> bool:
    """Whether this kind is installed as pinned."""
    try:
        return stamp(kind).read_text() == fingerprint(kind)
    except OSError:
        return False


def usable() -> bool:
    """Whether .venv has a working interpreter, was made in this place, and can be changed by us."""
    try:
        subprocess.run([str(PYTHON), "-c", ""], check=True, capture_output=True)
        made_for = [path.read_text().split()[1] for path in VENV.glob(".*.stamp")]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return False
    return all(place == str(VENV) for place in made_for) and os.access(VENV, os.W_OK)


def create(pythons: list[str]) -> None:
    """Make .venv with uv inside, from the first of these interpreters and by the first way that works."""
    reasons = []
    for python in pythons:
        note(f"creating {VENV.name} with {python}")
        for way in (with_venv_and_pip, with_venv_without_pip, with_pip_alone):
            try:
                way(python)
                return
            except (OSError, subprocess.CalledProcessError) as failed:
                said = getattr(failed, "stderr", None) or getattr(failed, "stdout", None) or b""
                reasons.append(f"{way.__name__}: {failed}\n{said.decode(errors='replace').strip()[-600:]}")
                shutil.rmtree(VENV, ignore_errors=True)
    sys.exit(
        "The environment cannot be created: this Python brings neither a working venv nor pip.\n"
        "On Debian and Ubuntu: apt-get install python3-venv\n\n" + "\n".join(reasons)
    )


def quietly(*argv: str) -> None:
    """Run a program; its words are shown only if it fails."""
    subprocess.run(argv, check=True, capture_output=True, cwd=str(ROOT))


def pinned_uv(*where: str) -> tuple[str, ...]:
    """Arguments that let pip install the pinned uv."""
    return (
        "install",
        "--quiet",
        "--require-hashes",
        "--only-binary",
        ":all:",
        *where,
        "-r",
        str(REQUIREMENTS / "uv.txt"),
    )


def with_venv_and_pip(python: str) -> None:
    """The usual way: venv and ensurepip are there."""
    quietly(python, "-m", "venv", str(VENV))
    quietly(str(PYTHON), "-m", "pip", *pinned_uv())


def with_venv_without_pip(python: str) -> None:
    """Debian without python3-venv: venv works if it is not asked for pip; the machine's pip brings uv."""
    quietly(python, "-m", "venv", "--without-pip", str(VENV))
    quietly(python, "-m", "pip", *pinned_uv("--target", str(BOOTSTRAP)))


def with_pip_alone(python: str) -> None:
    """No venv module: uv makes the environment, pip brings uv."""
    scratch = ROOT / ".venv-bootstrap"
    try:
        quietly(python, "-m", "pip", *pinned_uv("--target", str(scratch)))
        quietly(str(scratch / "bin" / "uv"), "venv", "--no-config", "--python", python, str(VENV))
        scratch.rename(BOOTSTRAP)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def install(kind: str) -> None:
    """Install the pinned packages; every file's hash is checked."""
    file = str(REQUIREMENTS / f"{kind}.txt")
    for uv in (VENV / "bin" / "uv", BOOTSTRAP / "bin" / "uv"):
        if uv.exists():
            argv = [str(uv), "pip", "install", "--quiet", "--require-hashes", "--python", str(PYTHON), "-r", file]
            break
    else:
        argv = [str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", file]
    done = subprocess.run(argv, cwd=str(ROOT))
    if done.returncode != 0:
        sys.exit(f"Installing the packages of {file} failed; see above.")


if __name__ == "__main__":
    sys.exit(main())
