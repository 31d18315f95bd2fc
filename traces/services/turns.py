"""Single appends that wait for the same turn take it together (group commit).

A tenant's appends take turns (SEMANTICS 4). While one transaction of this process has the turn, the
single appends behind it gather, and the first of them then stores all in one transaction: one lock,
one insert, one flush of the disk for many answers. Nothing is kept back: an append that finds nobody
before it starts at once, and everybody is answered after the commit that stored their event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError

from decisiongraph.core.telemetry import on_behalf_of, requests

MOST = 64
"""Appends in one transaction; more wait for the next one."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Waiter(Generic[Item, Result]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.requests = requests()
        """Whoever does the work does it on behalf of all of them."""
        self.group: list[_Waiter[Item, Result]] | None = None
        """Set for the one who has to do the work: whose, its own first."""
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.woken = threading.Event()


class Turns(Generic[Item, Result]):
    """Who waits for which turn in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[Hashable, list[_Waiter[Item, Result]]] = {}
        """Everybody behind the one who works, by turn; a turn nobody works on has no entry."""

    def take(self, turn: Hashable, item: Item, work: Callable[[list[Item]], list[Result]]) -> Result:
        """The result of ``item``, by a call of ``work`` of this thread or of another one.

        Whoever comes under the same ``turn`` must bring the same ``work``. A lost database fails
        everybody of a call (nothing was stored, each client repeats); any other exception has one
        culprit, so each is then done alone.
        """
        own = _Waiter[Item, Result](item)
        with self._guard:
            behind = self._waiting.get(turn)
            if behind is None:
                self._waiting[turn] = []
                own.group = [own]
            else:
                behind.append(own)
        if own.group is None:
            own.woken.wait()
        if own.group is not None:
            try:
                _do(own.group, work)
            finally:
                self._hand_over(turn)
                for waiter in own.group:
                    waiter.woken.set()
        if own.error is not None:
            raise own.error
        assert own.result is not None
        return own.result

    def _hand_over(self, turn: Hashable) -> None:
        with self._guard:
            behind = self._waiting[turn]
            if not behind:
                del self._waiting[turn]
                return
            group, self._waiting[turn] = behind[:MOST], behind[MOST:]
            group[0].group = group
        group[0].woken.set()


def _for_all(group: list[_Waiter[Item, Result]]) -> AbstractContextManager[None]:
    """Hints of a shared transaction name the requests of everybody in it."""
    if len(group) == 1:
        return nullcontext()
    return on_behalf_of(dict.fromkeys(request for waiter in group for request in waiter.requests))


def _do(group: list[_Waiter[Item, Result]], work: Callable[[list[Item]], list[Result]]) -> None:
    try:
        with _for_all(group):
            results = work([waiter.item for waiter in group])
        for waiter, result in zip(group, results, strict=True):
            waiter.result = result
    except (OperationalError, InterfaceError) as error:
        for waiter in group:
            waiter.error = error
    except BaseException as error:
        if len(group) == 1 or not isinstance(error, Exception):
            for waiter in group:
                waiter.error = error
        else:
            for waiter in group:
                _do([waiter], work)
