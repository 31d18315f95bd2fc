"""Workers that are killed again and again (run as a script).

crew.py KIND SLUG IDENT WORKERS KILLS SEED

Imports everything once and forks, so that a kill costs milliseconds. Prints what happened as JSON.
KIND is ``project`` (follow the tenant's log in batches of 20), ``replay`` (slices of replay IDENT) or
``victims`` (the same, but whoever started this does the killing).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import django

django.setup()

from projections import engine  # noqa: E402
from replays import services as replays  # noqa: E402
from replays.services import run  # noqa: E402
from tenants.models import Tenant  # noqa: E402

BATCH = 20
LEASE = 1
"""Seconds: a dead worker's job is taken over after this."""
REST = 0.002


def project(slug: str, _ident: str) -> None:
    """Follow the log to its end."""
    tenant = Tenant.objects.get(slug=slug)
    while engine.catch_up(tenant, batch=BATCH).more or set(engine.positions(tenant)[1].values()) != {
        engine.positions(tenant)[0]
    }:
        time.sleep(REST)


def replay(slug: str, ident: str) -> None:
    """Slices of one batch each, until the replay is over."""
    engine.REBUILD_BATCH, run.NEAR, run.LEASE_SECONDS = BATCH, 0, LEASE
    run.Job.beat.__kwdefaults__["lease"] = LEASE
    tenant = Tenant.objects.get(slug=slug)
    while True:
        view = replays_view(tenant, ident)
        if view not in ("queued", "running", "stalled"):
            return
        if not replays.run_slice(tenant, ident, budget=0.0):
            time.sleep(0.02)


def replays_view(tenant: Tenant, ident: str) -> str:
    """The state an operator sees."""
    from replays import selectors

    return selectors.replay(tenant, ident).row.status


def fork(work: object, *arguments: str) -> int:
    """A worker; its process number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work(*arguments)  # type: ignore[operator]
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def main(kind: str, slug: str, ident: str, workers: int, kills: int, seed: int) -> None:
    """Kill until there were enough, then let them finish."""
    rng = random.Random(seed)
    work = {"project": project, "replay": replay, "victims": replay}[kind]
    crew = [fork(work, slug, ident) for _ in range(workers)]
    killed = early = failed = 0
    while kind == "victims" and killed < kills:
        pid, status = os.wait()
        if not os.WIFSIGNALED(status):  # the work was done before there were enough
            crew.remove(pid)
            failed += os.waitstatus_to_exitcode(status) != 0
            break
        killed += 1
        crew[crew.index(pid)] = fork(work, slug, ident)
    while kind != "victims" and killed < kills:
        time.sleep(0.01 + rng.random() * 0.06)
        victim = rng.randrange(workers)
        pid, status = os.waitpid(crew[victim], os.WNOHANG)
        if pid == 0:
            os.kill(crew[victim], signal.SIGKILL)
            os.waitpid(crew[victim], 0)
            killed += 1
        else:
            early += os.waitstatus_to_exitcode(status) == 0
            failed += os.waitstatus_to_exitcode(status) != 0
            if early > 3 * workers:  # the work is done
                del crew[victim]
                break
        crew[victim] = fork(work, slug, ident)
    for pid in crew:
        failed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
    print(json.dumps({"kills": killed, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
