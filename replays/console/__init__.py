"""Pages of the replays: start one, watch it, read what it found."""

from replays.console.erasures import act_on_erasure, ask_erasure, erasures
from replays.console.pages import cancel, replay, replays, start

__all__ = ["act_on_erasure", "ask_erasure", "cancel", "erasures", "replay", "replays", "start"]
