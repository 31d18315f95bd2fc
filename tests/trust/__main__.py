"""``make trust``: every row once; with ``LONG=1`` again and again for half an hour, with new seeds,
the first time with the whole load of the rows that ten minutes do not hold.

python -m tests.trust [ROW ...] [pytest arguments]
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.trust.rows import ROWS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "test-results"
LONG_SECONDS = 30 * 60


def main(arguments: list[str]) -> int:
    """The exit code: 0 when every row passed in every round."""
    rows = [argument for argument in arguments if argument in ROWS]
    rest = [argument for argument in arguments if argument not in ROWS]
    RESULTS.mkdir(exist_ok=True)
    if os.environ.get("LONG", "0") in ("", "0"):
        return one_round(rows, rest, os.environ.get("TRUST_SEED", ""))
    until, failed, level = time.monotonic() + LONG_SECONDS, 0, "whole"
    with (RESULTS / "trust-seeds.txt").open("a") as seeds:
        while time.monotonic() < until:
            seed = str(random.SystemRandom().randrange(2**31))
            code = one_round(rows, rest, seed, level)
            failed += code != 0
            word = "failed" if code else "passed"
            seeds.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {seed} {level} {word}\n")
            seeds.flush()
            again = f"; again: TRUST={level} TRUST_SEED={seed} make trust" if code else ""
            print(f"seed {seed}, {level}: {word}{again}", flush=True)
            level = "load"
    return 1 if failed else 0


def one_round(rows: list[str], rest: list[str], seed: str, level: str = os.environ.get("TRUST", "load")) -> int:
    """All rows, or those named, with the load of a level (`tests.trust.sizes`)."""
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if wanted(path.read_text(), rows)]
    environ = os.environ | {"TRUST": level, "TRUST_RESULTS": str(RESULTS / "trust.json")}
    environ |= {"TRUST_SEED": seed} if seed else {}
    environ |= {} if rows or rest else {"TRUST_ALL": "1"}
    environ |= {"TRUST_ROWS": ",".join(rows)} if rows else {}
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "trust",
        "-q",
        "-p",
        "no:randomly",
        "--no-header",
        "--disable-warnings",
    ]
    argv += ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-rfE", "--show-capture=no", *rest]
    return subprocess.run([*argv, *map(str, files)], cwd=ROOT, env=environ).returncode


def wanted(text: str, rows: list[str]) -> bool:
    """Whether a file has tests of the suite (of these rows)."""
    return any(f'mark.trust("{row}"' in text for row in rows or ROWS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
