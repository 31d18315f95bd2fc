"""Writes of the replays: start, cancel, work, end, clear away."""

from django.db import connection

from decisiongraph.core import jobs
from replays.services.erase import run_erasure
from replays.services.erasing import MOST_EVENTS, ask_erasure, confirm_erasure, retry_erasure, withdraw_erasure
from replays.services.finish import sweep
from replays.services.run import Fenced, claim, run_slice
from replays.services.start import cancel_replay, start_replay

__all__ = [
    "MOST_EVENTS",
    "Fenced",
    "ask_erasure",
    "cancel_replay",
    "claim",
    "confirm_erasure",
    "retry_erasure",
    "run_erasure",
    "run_slice",
    "start_replay",
    "sweep",
    "tick",
    "withdraw_erasure",
]


def tick() -> int:
    """What beat does every second: wake workers for jobs nobody has, and for generations to delete."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id, replay_id FROM dg_waiting_replays()")
        waiting = cursor.fetchall()
        cursor.execute("SELECT dg_retired_generations()")
        retired = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT tenant_id, erasure_id FROM dg_waiting_erasures()")
        erasing = cursor.fetchall()
    for tenant_id, replay_id in waiting:
        jobs.enqueue("replays.run", tenant_id=tenant_id, replay_id=str(replay_id))
    for tenant_id in retired:
        jobs.enqueue("replays.sweep", tenant_id=tenant_id)
    for tenant_id, erasure_id in erasing:
        jobs.enqueue("replays.erase", tenant_id=tenant_id, erasure_id=str(erasure_id))
    return len(waiting)
