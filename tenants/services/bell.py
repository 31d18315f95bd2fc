"""The bell that says: permissions changed, ask the database again."""

from __future__ import annotations

from typing import NamedTuple

from decisiongraph.core import bus

TOPIC = "access"
MESSAGE = "access.changed"


class _Platform(NamedTuple):
    """Stands where `bus.publish` expects a tenant: the bell is heard by every process.

    It names neither tenant nor token; whoever hears it forgets what it remembered.
    """

    pk: int = 0
    slug: str = "platform"


PLATFORM = _Platform()


def public_topic() -> str:
    """The topic as the channel layer spells it; never open to clients."""
    return bus.public_topic(PLATFORM.slug, TOPIC)


def ring() -> None:
    """After commit: drop remembered tokens everywhere, look at open sockets again."""
    bus.publish(PLATFORM, TOPIC, MESSAGE)
