"""Live topics: jobs that run a projection again, and the health they are part of."""

from __future__ import annotations

from typing import Any

from projections.topics import (
    DIGEST_MISMATCH,
    HEALTH_MESSAGES,
    REPLAY_FINISHED,
    REPLAY_PROGRESS,
    REPLAY_STARTED,
)
from replays import selectors
from tenants.models import Tenant
from traces.topics import Message, StateTopic, Topic

SHOWN = 50
"""Replays in the state of the topic `replays`."""

MESSAGES = (
    Message(REPLAY_PROGRESS, "replays", "a running replay moved, at most twice a second"),
    Message(REPLAY_STARTED, "replays", "a replay began"),
    Message(REPLAY_FINISHED, "replays", "a replay completed, failed or was cancelled"),
)


def _health(tenant: Tenant, ident: str) -> Any:
    return selectors.health(tenant)


def _replays(tenant: Tenant, ident: str) -> Any:
    return [replay.as_json() for replay in selectors.replays(tenant, limit=SHOWN)]


def _replay(tenant: Tenant, ident: str) -> Any:
    return selectors.replay(tenant, ident).as_json()


TOPICS: tuple[Topic, ...] = (
    StateTopic(
        name="projection_health",
        with_id=False,
        permission="read",
        meaning="the tenant's health, as `GET /projections/health` answers it",
        messages=HEALTH_MESSAGES,
        read=_health,
        interval=0.25,
    ),
    StateTopic(
        name="replays",
        with_id=False,
        permission="read",
        meaning=f"the {SHOWN} newest replays, newest first",
        messages=MESSAGES,
        read=_replays,
        interval=0.5,
    ),
    StateTopic(
        name="replay",
        with_id=True,
        permission="read",
        meaning="one replay, as `GET /replays/{id}` answers it",
        messages=(*MESSAGES, Message(DIGEST_MISMATCH, "replays", "its rows differ from what the log says")),
        read=_replay,
        interval=0.5,
    ),
)
