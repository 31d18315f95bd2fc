"""``python -m tests.bench [ingest] [history] [live] [workflow]``: measure, print a Markdown table."""

from __future__ import annotations

import sys

from tests.bench import history, ingest, live, workflow
from tests.bench.figures import Figure, machine, table
from tests.bench.stack import running

PARTS = {"ingest": ingest.measure, "live": live.measure, "history": history.measure, "workflow": workflow.measure}


def main(names: list[str]) -> int:
    """Exit 1 when a figure misses its target."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    print(machine(), flush=True)
    for name in names or PARTS:
        with running() as stack:
            for figure in PARTS[name](stack):
                figures.append(figure)
                print(table([figure]).splitlines()[-1], flush=True)
    print()
    print(table(figures))
    return 1 if any(figure.met is False for figure in figures) else 0


sys.exit(main(sys.argv[1:]))
