"""A projection without a database: folds events into a dict the way the engine folds them into
tables, and makes events to fold."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from projections.domain.digest import Buckets, CanonicalDigest, key_sha, row_hash
from projections.domain.rule import Merge, Put, Row, RowId, Rule
from traces.domain.envelope import StoredEvent

SECRET = b"a digest key for tests"


class Fold:
    """State of one projection after the events fed so far, in whatever order they came."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.tables = {table.name: table for table in rule.tables}
        self.rows: dict[RowId, Row] = {}
        self.log_seqs: dict[RowId, int] = {}
        self.buckets = Buckets()
        self.history: dict[str, list[StoredEvent]] = {}

    def feed(self, *events: StoredEvent) -> Fold:
        """Fold events; returns the fold itself."""
        for event in events:
            wanted = dict.fromkeys(self.rule.reads(event))
            state = {ident: self.rows[ident] for ident in wanted if ident in self.rows}
            trace = self.rule.history_trace(event)
            history: list[StoredEvent] = []
            if trace is not None:
                history = [
                    item
                    for item in self.history.get(trace, [])
                    if item.trace_seq < event.trace_seq and item.event_type in self.rule.history_types
                ]
            for put in self.rule.fold(event, state, history):
                self._write(put, wanted)
            self.history.setdefault(event.trace_id, []).append(event)
        return self

    def _write(self, put: Put, wanted: Collection[RowId]) -> None:
        table, ident = self.tables[put.table], (put.table, put.key)
        assert set(put.row) == set(table.columns), f"{put.table} has other columns"
        before = self.rows.get(ident)
        if table.merge is Merge.APPEND:
            assert before is None, f"{ident} was made twice"
        elif table.merge is Merge.REPLACE:
            assert ident in wanted, f"{ident} was changed without being read"
        elif before is not None and self.log_seqs[ident] <= put.log_seq:
            return
        if before is not None:
            self.buckets.remove(key_sha(put.key), self._hash(ident))
        self.rows[ident] = put.row
        self.log_seqs[ident] = put.log_seq
        self.buckets.add(key_sha(put.key), self._hash(ident))

    def _hash(self, ident: RowId) -> bytes:
        table, key = ident
        log_seq = self.log_seqs[ident]
        return row_hash(SECRET, self.tables[table], key, log_seq, self.rows[ident])

    def table(self, name: str) -> dict[str, Row]:
        """Key -> row of one table."""
        return {key: row for (table, key), row in self.rows.items() if table == name}

    def content(self) -> dict[RowId, tuple[int, Row]]:
        """Everything a reader can see."""
        return {ident: (self.log_seqs[ident], row) for ident, row in self.rows.items()}

    def canonical(self) -> str:
        """The canonical digest of all rows."""
        digest = CanonicalDigest()
        for ident in sorted(self.rows):
            table, key = ident
            digest.feed(self.tables[table], key, self.log_seqs[ident], self.rows[ident])
        return digest.digest()


def make(
    log_seq: int,
    event_type: str,
    payload: dict[str, Any] | None,
    *,
    trace_id: str = "t-1",
    trace_seq: int | None = None,
    event_id: str | None = None,
    origin: str = "ingest",
    occurred_at: str | None = None,
    actor: tuple[str, str] = ("agent", "bot"),
) -> StoredEvent:
    """One event; what is not said follows from ``log_seq``."""
    return StoredEvent(
        log_seq=log_seq,
        event_id=event_id or f"e-{log_seq}",
        trace_id=trace_id,
        trace_seq=log_seq - 1 if trace_seq is None else trace_seq,
        event_type=event_type,
        schema_version=1,
        occurred_at=occurred_at or f"2026-01-01T00:{log_seq // 60 % 60:02}:{log_seq % 60:02}Z",
        recorded_at="2026-01-02T00:00:00.000000Z",
        producer_id="producer",
        system="desk",
        subsystem=None,
        actor_type=actor[0],
        actor_id=actor[1],
        idempotency_key=f"k-{log_seq}",
        correlation_id=None,
        causation_event_id=None,
        tags=(),
        origin=origin,
        principal="token:12345678",
        leaf_hash="sha256:0",
        payload_hash=None,
        payload=payload,
    )


def log(steps: Iterable[tuple[str, str, dict[str, Any] | None]]) -> list[StoredEvent]:
    """A log from (trace id, event type, payload): numbered in order, per log and per trace.

    Events of traces named ``review:...`` come from the platform, as they do in a real log.
    """
    counts: dict[str, int] = {}
    events = []
    for position, (trace_id, event_type, payload) in enumerate(steps, start=1):
        seq = counts.get(trace_id, 0)
        counts[trace_id] = seq + 1
        review = trace_id.startswith("review:")
        events.append(
            make(
                position,
                event_type,
                payload,
                trace_id=trace_id,
                trace_seq=seq,
                origin="platform" if review else "ingest",
                actor=("system", "decisiongraph") if review else ("agent", "bot"),
            )
        )
    return events
