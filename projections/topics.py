"""What the live topic `projection_health` says. Replays speak there too and are part of its state, so
the topic itself is declared one floor up, in `replays.topics`."""

from __future__ import annotations

from traces.topics import Message

CURSOR_ADVANCED = "projection.cursor_advanced"
STALE_DETECTED = "projection.stale_detected"
REPLAY_STARTED = "projection.replay_started"
REPLAY_PROGRESS = "projection.replay_progress"
REPLAY_FINISHED = "projection.replay_finished"
DIGEST_MISMATCH = "projection.digest_mismatch"

HEALTH_MESSAGES = (
    Message(CURSOR_ADVANCED, "engine", "a projection applied events, or health changed"),
    Message(STALE_DETECTED, "reconciler", "a projection stopped following"),
    Message(REPLAY_STARTED, "replays", "a replay began"),
    Message(REPLAY_PROGRESS, "replays", "a running replay moved"),
    Message(REPLAY_FINISHED, "replays", "a replay completed, failed or was cancelled"),
    Message(DIGEST_MISMATCH, "replays, scrub", "rows differ from what the log says"),
)
