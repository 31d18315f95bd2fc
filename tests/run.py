"""``make test``: find or install a browser, then run pytest on all processors.

python -m tests.run [pytest arguments]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
FALLBACK = ("apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core")


def main(arguments: list[str]) -> int:
    """Run the tests; pytest's exit code."""
    browser = installed() or playwrights_own() or from_the_distribution()
    if browser is None:
        print(
            "The end-to-end tests need a browser and none could be installed. "
            "Install chromium, or name one: make test DG_BROWSER=/path/to/chrome",
            file=sys.stderr,
        )
        return 1
    environ = os.environ | {"DG_BROWSER": browser}
    if not any(argument.startswith(("-n", "--numprocesses")) for argument in arguments):
        arguments = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *arguments]
    argv = [sys.executable, "-m", "pytest", *arguments]
    print(f"browser: {browser}", flush=True)
    return subprocess.run(argv, env=environ).returncode


def installed() -> str | None:
    """A browser of this machine."""
    for name in (os.environ.get("DG_BROWSER", ""), *BROWSERS):
        found = shutil.which(name) if name else None
        if found and works(found):
            return found
    return None


def playwrights_own() -> str | None:
    """The browser playwright brings, downloaded if it can be."""
    found = playwright_path()
    if not found:
        print("no browser installed; trying playwright's own", flush=True)
        quietly(sys.executable, "-m", "playwright", "install", "chromium", seconds=120)
        found = playwright_path()
    return found if found and works(found) else None


def playwright_path() -> str | None:
    """Where playwright keeps its browser, if it has one."""
    code = "from playwright.sync_api import sync_playwright as p\nwith p() as q: print(q.chromium.executable_path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    path = done.stdout.strip()
    return path if done.returncode == 0 and Path(path).exists() else None


def from_the_distribution() -> str | None:
    """Debian's browser, when we may install it."""
    apt = shutil.which("apt-get")
    if not apt:
        return None
    prefix = () if os.geteuid() == 0 else ("sudo", "-n")
    print("installing the distribution's chromium", flush=True)
    for argv in (("apt-get", "update", "-q"), FALLBACK):
        quietly(*prefix, *argv, seconds=600)
    return installed()


def quietly(*argv: str, seconds: float) -> None:
    """Run an installer; when it fails the next way is tried, its last words are shown."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as failed:
        print(f"  {failed}", flush=True)
        return
    if done.returncode != 0:
        print("  " + (done.stderr or done.stdout).strip()[-400:].replace("\n", "\n  "), flush=True)


def works(browser: str) -> bool:
    """Whether the program starts at all (a leftover wrapper of a removed package does not)."""
    try:
        return subprocess.run([browser, "--version"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
