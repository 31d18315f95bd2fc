"""When to look and when to speak: pure arithmetic over a clock that is passed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Turn:
    """When one subscription is read next, and why. Times are monotonic seconds.

    ``interval`` is the least time between two readings (0 for log topics, which must not wait).
    """

    interval: float = 0.0
    due: bool = True
    told: bool = False
    """Whether a doorbell asked for the reading; otherwise it is a look."""
    since: float = 0.0
    """The reading must have begun at this moment or later to count."""
    not_before: float = 0.0
    messages: set[str] = field(default_factory=set)

    def ring(self, now: float, messages: Iterable[str] = (), *, told: bool = True) -> None:
        """A doorbell: what is read must be read from now on."""
        self.due = True
        self.told = self.told or told
        self.since = now
        self.messages.update(messages)

    def look(self, now: float, tolerance: float) -> None:
        """A look: an answer somebody else got within ``tolerance`` is good enough."""
        if not self.due:
            self.due = True
            self.told = False
            self.since = now - tolerance

    def postpone(self, now: float, seconds: float) -> None:
        """Not now, but soon: the reading could not be made."""
        self.due = True
        self.not_before = now + seconds

    def ready(self, now: float) -> bool:
        """Whether to read now."""
        return self.due and now >= self.not_before

    def wait(self, now: float) -> float | None:
        """Seconds until `ready`, None when nothing is due."""
        return max(0.0, self.not_before - now) if self.due else None

    def begin(self, now: float) -> tuple[bool, float, set[str]]:
        """Take the turn: ``told``, ``since`` and the messages. A doorbell during the reading asks again."""
        taken = (self.told, self.since, self.messages)
        self.due = self.told = False
        self.messages = set()
        self.not_before = now + self.interval
        return taken


def next_wait(turns: Iterable[Turn], now: float, at_most: float) -> float:
    """How long a pump may sleep before one of the turns is ready."""
    waits = [wait for turn in turns if (wait := turn.wait(now)) is not None]
    return min([*waits, at_most])


@dataclass(slots=True)
class Bucket:
    """At most ``burst`` frames at once and ``rate`` a second in the long run."""

    rate: float
    burst: float
    level: float = field(default=-1.0)
    at: float = 0.0

    def take(self, now: float) -> bool:
        """One more; False when it is too many."""
        if self.level < 0:
            self.level = self.burst
        else:
            self.level = min(self.burst, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True
