"""Live topic: how the read models follow the log."""

from __future__ import annotations

from typing import Any

from projections import selectors
from tenants.models import Tenant
from traces.topics import Message, StateTopic, Topic

CURSOR_ADVANCED = "projection.cursor_advanced"
STALE_DETECTED = "projection.stale_detected"
REPLAY_STARTED = "projection.replay_started"
REPLAY_PROGRESS = "projection.replay_progress"
REPLAY_FINISHED = "projection.replay_finished"
DIGEST_MISMATCH = "projection.digest_mismatch"


def _health(tenant: Tenant, ident: str) -> dict[str, Any]:
    return selectors.health(tenant).as_json()


TOPICS: tuple[Topic, ...] = (
    StateTopic(
        name="projection_health",
        with_id=False,
        permission="read",
        meaning="the tenant's health, as `GET /projections/health` answers it but for its list of running replays",
        messages=(
            Message(CURSOR_ADVANCED, "engine", "a projection applied events, or health changed"),
            Message(STALE_DETECTED, "reconciler", "a projection stopped following"),
            Message(REPLAY_STARTED, "replays", "a replay began"),
            Message(REPLAY_PROGRESS, "replays", "a running replay moved"),
            Message(REPLAY_FINISHED, "replays", "a replay completed, failed or was cancelled"),
            Message(DIGEST_MISMATCH, "replays, scrub", "rows differ from what the log says"),
        ),
        read=_health,
        interval=0.25,
    ),
)
