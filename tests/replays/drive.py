"""Running replays without workers."""

from __future__ import annotations

from typing import Any

from decisiongraph.core.db import tenant_tx
from replays import selectors, services
from replays.models import Replay
from replays.selectors import ReplayView
from tests.projections.desk import Desk


def start(desk: Desk, projection: str = "trace_summary", mode: str = "verify", **options: Any) -> Replay:
    """Queue a replay."""
    return services.start_replay(
        desk.tenant, principal=desk.principal, projection=projection, mode=mode, reason="a test", **options
    )


def drive(desk: Desk, replay: Replay, *, slices: int = 500, **options: Any) -> ReplayView:
    """Work on a replay until it is over."""
    for _ in range(slices):
        view = selectors.replay(desk.tenant, str(replay.pk))
        if view.row.status not in ("queued", "running"):
            return view
        for child in view.children or (view,):
            services.run_slice(desk.tenant, str(child.row.pk), **options)
    raise AssertionError(f"still {view.status} at {view.position} of {view.target}: {view.row.error}")


def run(desk: Desk, projection: str = "trace_summary", mode: str = "verify", **options: Any) -> ReplayView:
    """Start a replay and bring it to its end."""
    return drive(desk, start(desk, projection, mode, **options))


def row(desk: Desk, replay: Replay) -> Replay:
    """The job row as it is now."""
    with tenant_tx(desk.tenant):
        return Replay.objects.get(pk=replay.pk)
