"""The live topic of the projections."""

from __future__ import annotations

from typing import Any

from projections import selectors
from tenants.models import Tenant
from traces.topics import Message, StateTopic, Topic


def _health(tenant: Tenant, ident: str) -> Any:
    return selectors.health(tenant).as_json()


TOPICS: tuple[Topic, ...] = (
    StateTopic(
        name="projection_health",
        with_id=False,
        permission="read",
        meaning="how far every projection has come, and how well it does",
        messages=(
            Message("projection.cursor_advanced", "engine", "events were applied"),
            Message("projection.stale_detected", "reconciler", "a projection is behind and does not move"),
            Message("projection.digest_mismatch", "replays, scrub", "rows differ from what the log says"),
            Message("projection.replay_started", "replays", "a replay began"),
            Message("projection.replay_progress", "replays", "a replay came further"),
            Message("projection.replay_finished", "replays", "a replay ended"),
        ),
        read=_health,
        interval=0.25,
    ),
)
