"""Who is on a page right now: leases in Redis, renewed by the socket, gone by themselves.

A hint and nothing more: decisions are protected by the item's version. Nothing here is kept anywhere
else, so a flushed broker forgets everybody until their next heartbeat, a few seconds later.
"""

from __future__ import annotations

from dataclasses import dataclass

from redis import RedisError

from approvals.selectors import presence
from decisiongraph.core import bus
from decisiongraph.core.telemetry import log
from tenants.models import Tenant


@dataclass(slots=True)
class Stay:
    """One person on one page through one socket."""

    tenant: Tenant
    page: str
    ident: str
    label: str
    socket: str
    doing: str = presence.VIEWING
    told: str = ""
    """What the page was last told about it; empty: nothing."""


def renew(stay: Stay) -> None:
    """Hold the lease for another while; says so where that is news. Blocking, never raises for Redis."""
    try:
        fresh = presence.lease(stay.tenant, stay.page, stay.ident, stay.label, stay.socket, stay.doing)
    except RedisError as error:
        log.debug("presence.not_renewed", error=type(error).__name__)
        return
    if fresh or stay.told != stay.doing:
        stay.told = stay.doing
        _tell(stay)


def leave(stay: Stay) -> None:
    """Give the lease back; without this it ends by itself. Blocking."""
    try:
        presence.release(stay.tenant, stay.page, stay.ident, stay.label, stay.socket)
    except RedisError as error:
        log.debug("presence.not_released", error=type(error).__name__)
        return
    _tell(stay)


def _tell(stay: Stay) -> None:
    bus.publish(stay.tenant, "presence", "presence.changed", ident=stay.page)
