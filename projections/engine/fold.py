"""Folding a batch of events into the rows to write. Reads rows and history, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from projections.domain.digest import Buckets, key_sha, row_hasher, sha_once
from projections.domain.rule import Merge, Put, Row, RowId
from projections.engine.tables import BoundRule, Change, Found
from traces.domain.envelope import Said

History = Callable[[Iterable[Said], frozenset[str]], Mapping[int, Sequence[Said]]]
"""For events (by ``log_seq``): the earlier events of these types of the same trace."""


_BY_SHA = itemgetter(Change._fields.index("key_sha"))
_BY_HASH = itemgetter(Change._fields.index("row_hash"))


class Parked(NamedTuple):
    """A trace whose rule failed in this batch."""

    event: Said
    error: str
    waiting: int
    """Events of the trace in this batch from the failed one on."""


class Folded(NamedTuple):
    """What a batch makes."""

    changes: dict[str, list[Change]]
    """By table, each key once."""
    before: dict[RowId, Found]
    """Rows as they were, for tables whose rows are replaced."""
    parked: list[Parked]
    waiting: dict[str, int]
    """Further events of traces that were parked before: trace id -> how many."""
    folded: int
    """Events that reached the rule."""


class Batch:
    """One batch of one projection, folded against one generation."""

    def __init__(
        self,
        bound: BoundRule,
        generation: int,
        *,
        secret: bytes,
        history: History,
        parked: Iterable[str] = (),
        skipped: frozenset[int] = frozenset(),
    ) -> None:
        self._bound = bound
        self._generation = generation
        self._secret = secret
        self._history = history
        self._parked_before = frozenset(parked)
        self._skipped = skipped
        self._parked: dict[str, Parked] = {}
        self._unreadable: dict[int, Exception] = {}
        self._waiting: dict[str, int] = {}
        self._state: dict[RowId, Row] = {}
        self._before: dict[RowId, Found] = {}
        self._puts: dict[str, dict[str, Put]] = {name: {} for name in bound.tables}
        self._first = frozenset(name for name, table in bound.tables.items() if table.table.merge is Merge.FIRST)
        self._replace = frozenset(name for name, table in bound.tables.items() if table.table.merge is Merge.REPLACE)

    def fold(self, events: Sequence[Said]) -> Folded:
        """Fold the events in the order given. An exception of the rule parks the event's trace."""
        todo = [event for event in events if event.log_seq not in self._skipped] if self._skipped else events
        if self._bound.reads_rows:
            self._load_state(todo)
        history: Mapping[int, Sequence[Said]] = {}
        if self._bound.wants_history:
            history = self._load_history(todo)
        rule_fold = self._bound.rule.fold
        nothing: tuple[Said, ...] = ()
        folded = 0
        for event in todo:
            trace_id = event.trace_id
            if trace_id in self._parked:
                known = self._parked[trace_id]
                self._parked[trace_id] = known._replace(waiting=known.waiting + 1)
                continue
            if trace_id in self._parked_before:
                self._waiting[trace_id] = self._waiting.get(trace_id, 0) + 1
                continue
            try:
                if event.log_seq in self._unreadable:
                    raise self._unreadable[event.log_seq]
                puts = tuple(rule_fold(event, self._state, history.get(event.log_seq, nothing)))
            except MemoryError:
                raise
            except Exception as error:
                self._park(event, error)
                continue
            folded += 1
            if puts:
                self._apply(puts)
        return Folded(
            {name: self._changes(name) for name in self._puts},
            self._before,
            list(self._parked.values()),
            self._waiting,
            folded,
        )

    def _park(self, event: Said, error: Exception) -> None:
        self._parked[event.trace_id] = Parked(event, f"{type(error).__name__}: {error}"[:2000], 1)

    def _apply(self, puts: tuple[Put, ...]) -> None:
        for put in puts:
            table = put.table
            rows = self._puts[table]
            if table in self._first:
                before = rows.get(put.key)
                if before is None or put.log_seq < before.log_seq:
                    rows[put.key] = put
                continue
            if table in self._replace:
                self._state[table, put.key] = put.row
            rows[put.key] = put

    def _load_state(self, events: Sequence[Said]) -> None:
        """Every row some event of the batch will want to see."""
        wanted: dict[str, set[str]] = {}
        reads = self._bound.rule.reads
        for event in events:
            if event.trace_id in self._parked_before:
                continue
            try:
                for table, key in reads(event):
                    wanted.setdefault(table, set()).add(key)
            except Exception as error:  # parks the trace when its turn comes
                self._unreadable[event.log_seq] = error
        for table, keys in wanted.items():
            for key, found in self._bound.tables[table].load(self._generation, sorted(keys)).items():
                self._before[table, key] = found
                self._state[table, key] = found.row

    def _load_history(self, events: Sequence[Said]) -> Mapping[int, Sequence[Said]]:
        asking = []
        history_trace = self._bound.rule.history_trace
        for event in events:
            try:
                trace_id = history_trace(event)
            except Exception as error:  # parks the trace when its turn comes
                self._unreadable[event.log_seq] = error
                continue
            if trace_id is not None and trace_id not in self._parked_before:
                asking.append(event)
        if not asking:
            return {}
        found = self._history(asking, self._bound.rule.history_types)
        if not self._skipped:
            return found
        return {
            log_seq: [event for event in earlier if event.log_seq not in self._skipped]
            for log_seq, earlier in found.items()
        }

    def _changes(self, name: str) -> list[Change]:
        table = self._bound.tables[name].table
        hashed = row_hasher(self._secret, table)
        sha = sha_once if table.merge is Merge.APPEND else key_sha
        found = [
            Change(key, sha(key), hashed(key, put.log_seq, put.row), put.log_seq, put.row)
            for key, put in self._puts[name].items()
        ]
        # In the order of the index: the pages one row goes to are then still in the processor's caches
        # for the next.
        found.sort(key=_BY_SHA)
        return found


def count(bound: BoundRule, folded: Folded, new_keys: Mapping[str, set[bytes] | None]) -> tuple[Buckets, set[int]]:
    """What the written rows add to the live digest, and which buckets they touch."""
    delta = Buckets()
    touched: set[int] = set()
    for name, changes in folded.changes.items():
        merge = bound.tables[name].table.merge
        new = new_keys[name] if merge is Merge.FIRST else None
        written = changes if new is None else [change for change in changes if change.key_sha in new]
        if merge is Merge.REPLACE:
            for change in written:
                before = folded.before.get((name, change.key))
                if before is not None:
                    delta.remove(change.key_sha, before.row_hash)
        touched |= delta.add_all(list(map(_BY_SHA, written)), list(map(_BY_HASH, written)))
    return delta, touched
