"""Pages of the replays: start one, watch it, read what it found."""

from replays.console.pages import cancel, replay, replays, start

__all__ = ["cancel", "replay", "replays", "start"]
