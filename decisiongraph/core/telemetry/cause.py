"""On whose behalf this runs: request ids that go along with every hint, from HTTP to task to socket.

A hint is coalesced, so it may have several causes. It carries the first few of them; the log lines of
whoever hears it name the first as ``request_id`` and all as ``requests``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import structlog

MOST = 8
"""Causes that one hint names; a burst of appends has hundreds."""


class Cause(NamedTuple):
    """What made something happen."""

    requests: tuple[str, ...] = ()
    """Request ids, the oldest first."""
    parent: str = ""
    """The span that asked, as W3C ``traceparent``; empty without tracing."""

    def joined(self, other: Cause) -> Cause:
        """Both, as far as there is room; the first span stays the parent."""
        if other.requests == self.requests or len(self.requests) >= MOST:
            return self if self.parent or not other.parent else self._replace(parent=other.parent)
        merged = tuple(dict.fromkeys((*self.requests, *other.requests)))[:MOST]
        return Cause(merged, self.parent or other.parent)


NOBODY = Cause()
_requests: ContextVar[tuple[str, ...]] = ContextVar("dg_requests", default=())


def requests() -> tuple[str, ...]:
    """The requests on whose behalf this runs; empty for what the clock started."""
    return _requests.get()


@contextmanager
def on_behalf_of(ids: Iterable[str]) -> Iterator[None]:
    """Everything inside happens because of these requests; log lines carry them."""
    wanted = tuple(ids)[:MOST]
    if not wanted:
        yield
        return
    token = _requests.set(wanted)
    names: dict[str, object] = {"request_id": wanted[0]}
    if len(wanted) > 1:
        names["requests"] = wanted
    try:
        with structlog.contextvars.bound_contextvars(**names):
            yield
    finally:
        _requests.reset(token)
