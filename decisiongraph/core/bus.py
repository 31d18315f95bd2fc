"""The one way out for live messages: after commit, as a hint, never in the request's way.

`publish` marks a topic dirty once the transaction has committed. One sender thread per process,
with kept connections, sends coalesced doorbells: at most 20 a second per
topic, each within 200 ms, with a pause after a failure. A doorbell carries no data; whoever hears
it reads the database from its own cursor, so a lost one delays and never misleads.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Protocol

from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from django.db import transaction
from django.dispatch import Signal
from django.utils.module_loading import import_string
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from decisiongraph.core.telemetry import NOBODY, Cause, cause, log, metrics

published = Signal()
"""Rung in this process after commit with ``tenant_id, slug, topic, ident, message``: the one bell
by which a lower floor wakes a higher one without importing it."""

TOPIC_INTERVAL = 0.05
JOB_INTERVAL = 0.2
LONGEST_NAP = 0.05
ROUND = 0.02
"""Doorbells go out in rounds at least so far apart: many marks, one trip to the broker."""
SEND_TIMEOUT = 0.2
PAUSE_AFTER_FAILURE = 1.0
MAX_DIRTY = 20_000
LAST_WORDS = 0.5
"""How long the end of a process waits for the doorbells it still owes, seconds."""


class HasSlug(Protocol):
    """What `publish` needs of a tenant."""

    @property
    def pk(self) -> Any:
        """The tenant number."""
        ...

    @property
    def slug(self) -> str:
        """The public name used in topics."""
        ...


def public_topic(slug: str, topic: str, ident: str = "") -> str:
    """``tenant:{slug}:{topic}`` or ``tenant:{slug}:{topic}:{ident}``."""
    return f"tenant:{slug}:{topic}:{ident}" if ident else f"tenant:{slug}:{topic}"


def group_name(topic: str) -> str:
    """The Channels group of a public topic.

    Group names allow only ASCII letters, digits, hyphens, underscores and periods, and fewer than
    100 characters; a trace id may hold anything, so the name is a digest.
    """
    return "dg." + hashlib.sha256(topic.encode()).hexdigest()


def publish(tenant: HasSlug, topic: str, message: str, *, ident: str = "") -> None:
    """Say that something happened, once the current transaction has committed."""
    transaction.on_commit(partial(_announce, int(tenant.pk), tenant.slug, topic, ident, message), robust=True)


def _announce(tenant_id: int, slug: str, topic: str, ident: str, message: str) -> None:
    sender().ring(public_topic(slug, topic, ident), message, cause())
    published.send(sender=None, tenant_id=tenant_id, slug=slug, topic=topic, ident=ident, message=message)


def _ring(doorbells: dict[str, dict[str, Any]]) -> None:
    """Send each group its message; raises when the broker does not answer in time."""
    layer = get_channel_layer()
    if isinstance(layer, RedisPubSubChannelLayer):
        # What its `group_send` does, for all groups in one trip and without an event loop: a doorbell
        # through the loop cost a request of ingest as much as its own work.
        declared: Any = settings.CHANNEL_LAYERS
        config = declared["default"]["CONFIG"]
        trip = _broker(config["hosts"][0], os.getpid()).pipeline(transaction=False)
        for group, message in doorbells.items():
            trip.publish(f"{config['prefix']}__group__{group}", layer.serialize(message))
        trip.execute()
    else:
        asyncio.run(_ring_through(layer, doorbells))


async def _ring_through(layer: Any, doorbells: dict[str, dict[str, Any]]) -> None:
    for group, message in doorbells.items():
        await asyncio.wait_for(layer.group_send(group, message), SEND_TIMEOUT)


def broker(address: str, *, seconds: float, **more: Any) -> Redis:
    """A client that says within so many seconds that the broker is away.

    Left to itself redis-py tries four times with growing pauses, three seconds in all. A connection of
    before a restart is noticed without that, when it is taken out of the pool.
    """
    retry = Retry(NoBackoff(), 0)
    return Redis.from_url(address, socket_timeout=seconds, socket_connect_timeout=seconds, retry=retry, **more)


def kept_broker(address: str, *, seconds: float, **more: Any) -> Redis:
    """The same for as long as the process lives.

    Nobody closes its pool: a client that closes it when the interpreter ends waits for ever for a lock that a
    thread held when it was stopped.
    """
    client = broker(address, seconds=seconds, **more)
    client.auto_close_connection_pool = False
    return client


@cache
def _broker(address: str, _pid: int) -> Redis:
    """The sender's own connection to where the layer lives, one per process."""
    return kept_broker(address, seconds=SEND_TIMEOUT)


class _Wanted:
    """A dirty topic: what is to be said, and who made it dirty."""

    __slots__ = ("cause", "messages")

    def __init__(self) -> None:
        self.messages: set[str] = set()
        self.cause = NOBODY

    def doorbell(self, topic: str) -> dict[str, Any]:
        """The message that goes out; it names causes only when there are some."""
        told: dict[str, Any] = {"type": "doorbell", "topic": topic, "messages": sorted(self.messages)}
        if self.cause.requests:
            told["requests"] = list(self.cause.requests)
        if self.cause.parent:
            told["traceparent"] = self.cause.parent
        return told


class Sender:
    """Marks in, doorbells and job messages out, from one daemon thread."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._topics: dict[str, _Wanted] = {}
        self._jobs: dict[tuple[str, str], Cause] = {}
        self._last_sent: dict[str, float] = {}
        self._jobs_sent: dict[tuple[str, str], float] = {}
        self._paused_until = 0.0
        self._jobs_paused_until = 0.0
        self._job_in_flight = False
        self._asleep = False
        self._ending = False
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dg-jobs")
        self._thread = threading.Thread(target=self._run, name="dg-sender", daemon=True)
        self._thread.start()

    def ring(self, topic: str, message: str, why: Cause = NOBODY) -> None:
        """Mark a topic dirty. Never blocks on the broker."""
        with self._condition:
            if topic not in self._topics and len(self._topics) >= MAX_DIRTY:
                metrics.hints_lost.inc()
                return
            wanted = self._topics.get(topic)
            if wanted is None:
                wanted = self._topics[topic] = _Wanted()
            wanted.messages.add(message)
            wanted.cause = wanted.cause.joined(why)
            self._wake()

    def job(self, name: str, arguments: dict[str, Any], why: Cause = NOBODY) -> None:
        """Mark a background job wanted; the same job with the same arguments is sent once."""
        with self._condition:
            if len(self._jobs) >= MAX_DIRTY:
                metrics.hints_lost.inc()
                return
            key = (name, json.dumps(arguments, sort_keys=True))
            self._jobs[key] = self._jobs.get(key, NOBODY).joined(why)
            self._wake()

    def _wake(self) -> None:
        """Only out of a long sleep: who naps between two rounds looks by itself. Holds the condition."""
        if self._asleep:
            self._asleep = False
            self._condition.notify()

    def _due(self, now: float) -> tuple[dict[str, _Wanted], dict[tuple[str, str], Cause], float]:
        """What may be sent now, and how long to wait for the rest. Holds the condition."""
        topics: dict[str, _Wanted] = {}
        wait = 3600.0
        if self._topics:
            if now < self._paused_until:
                wait = self._paused_until - now
            else:
                for topic in list(self._topics):
                    due = self._last_sent.get(topic, 0.0) + TOPIC_INTERVAL
                    if due <= now:
                        topics[topic] = self._topics.pop(topic)
                        self._last_sent[topic] = now
                    else:
                        wait = min(wait, due - now)
        jobs: dict[tuple[str, str], Cause] = {}
        if self._jobs:
            if now < self._jobs_paused_until:
                wait = min(wait, self._jobs_paused_until - now)
            elif not self._job_in_flight:
                # The same job is sent at most so often: every append asks for a catch-up, and one
                # message wakes a worker as well as fifty.
                for key in list(self._jobs):
                    due = self._jobs_sent.get(key, 0.0) + JOB_INTERVAL
                    if due <= now:
                        jobs[key] = self._jobs.pop(key)
                        self._jobs_sent[key] = now
                    else:
                        wait = min(wait, due - now)
            else:
                wait = min(wait, SEND_TIMEOUT)
        return topics, jobs, wait

    def _run(self) -> None:
        while True:
            with self._condition:
                topics, jobs, wait = self._due(time.monotonic())
                if not topics and not jobs:
                    if self._ending and not self._topics:
                        return
                    self._asleep = wait > LONGEST_NAP
                    self._condition.wait(wait)
                    self._asleep = False
                    continue
                if len(self._last_sent) > MAX_DIRTY:
                    self._last_sent.clear()
                if len(self._jobs_sent) > MAX_DIRTY:
                    self._jobs_sent.clear()
            if jobs:
                self._job_in_flight = True
                try:
                    self._pool.submit(self._send_jobs, jobs)
                except RuntimeError:  # the process is ending; beat finds the work in the database
                    self._ending = True
            if topics:
                self._send_doorbells(topics)
                self._paused_until = max(self._paused_until, time.monotonic() + ROUND)

    def _send_doorbells(self, topics: dict[str, _Wanted]) -> None:
        try:
            _ring({group_name(topic): wanted.doorbell(topic) for topic, wanted in topics.items()})
            metrics.hints_sent.inc(len(topics))
        except Exception as error:  # the broker is away: keep the marks, try again after a pause
            metrics.hint_failures.inc()
            log.warning("bus.doorbell_failed", error=type(error).__name__, waiting=len(topics))
            with self._condition:
                self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE
                for topic, wanted in topics.items():
                    meanwhile = self._topics.setdefault(topic, wanted)
                    if meanwhile is not wanted:
                        meanwhile.messages |= wanted.messages
                        meanwhile.cause = wanted.cause.joined(meanwhile.cause)

    def close(self) -> None:
        """Send what is still owed, for `LAST_WORDS` at most: a command that revokes a token ends at once."""
        with self._condition:
            self._ending = True
            self._condition.notify()
        self._thread.join(LAST_WORDS)

    def alive(self) -> bool:
        """Whether the thread still sends."""
        return self._thread.is_alive()

    def _send_jobs(self, jobs: dict[tuple[str, str], Cause]) -> None:
        app = import_string(settings.JOBS_APP)
        waiting = list(jobs)
        try:
            while waiting:
                name, arguments = waiting[0]
                why = jobs[waiting[0]]
                headers = {"dg_requests": list(why.requests), "dg_traceparent": why.parent} if why != NOBODY else None
                app.send_task(name, kwargs=json.loads(arguments), retry=False, headers=headers)
                waiting.pop(0)
        except Exception as error:  # beat finds the work in the database again; this only delays
            metrics.hint_failures.inc()
            log.warning("bus.job_failed", error=type(error).__name__, waiting=len(waiting))
            with self._condition:
                self._jobs_paused_until = time.monotonic() + PAUSE_AFTER_FAILURE
                for key in waiting:
                    self._jobs[key] = jobs[key].joined(self._jobs.get(key, NOBODY))
        finally:
            with self._condition:
                self._job_in_flight = False
                self._condition.notify()


_sender: Sender | None = None
_sender_pid = 0
_guard = threading.Lock()


def sender() -> Sender:
    """The sender of this process; made anew after a fork, because threads do not survive one."""
    global _sender, _sender_pid
    if _sender is None or _sender_pid != os.getpid():
        with _guard:
            if _sender is None or _sender_pid != os.getpid():
                _sender = Sender()
                _sender_pid = os.getpid()
    return _sender


@atexit.register
def _last_words() -> None:
    if _sender is not None and _sender_pid == os.getpid():
        _sender.close()


def sending() -> bool:
    """Whether hints of this process get out; one that never had any counts."""
    return _sender is None or _sender_pid != os.getpid() or _sender.alive()
