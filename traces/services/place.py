"""Giving an event its place in the log, under the tenant's lock (SEMANTICS 4).

The order of the checks is the contract: known key, trace, finish, sequence, event id, insert.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from decisiongraph.core import clock
from tenants.models import Tenant
from traces import selectors, store
from traces.domain import canonical
from traces.domain.content import differing_fields, leaf_of_draft
from traces.domain.draft import Draft
from traces.domain.violations import Violation
from traces.services.prepare import Prepared
from traces.services.results import Receipt, Refused, Result, refuse

Key = tuple[str, str]
"""Producer id and idempotency key."""


class Placing:
    """One append call under the lock: what the log knows, and what this call adds to it."""

    def __init__(
        self, tenant: Tenant, seen: store.Seen, *, origin: str, principal: str, now: datetime, atomic: bool
    ) -> None:
        self.tenant, self.origin, self.principal = tenant, origin, principal
        self.head = seen.head.log_seq
        self.now = now
        self.atomic = atomic
        self.rows: list[store.NewEvent] = []
        self.touched: dict[str, bool] = {}
        """Traces that get events, and whether they are finished now."""
        self._recorded_at = clock.rfc3339(now)
        self._ms = int(now.timestamp() * 1000)
        self._known, self._taken, self._traces = seen.known, seen.taken, seen.traces
        self._bodies = store.bodies(event.log_seq for event in seen.known.values())
        self._made: dict[Key, tuple[Prepared, Receipt]] = {}
        self._broken: set[str] = set()

    def place(self, item: Prepared | Refused) -> Result:
        """The receipt of one event, or why it is refused."""
        if isinstance(item, Refused):
            self._broken.add(item.trace_id)
            return item
        draft = item.draft
        key = (draft.producer_id, draft.idempotency_key)
        if key in self._known or key in self._made:
            again = self._again(item, self._known[key]) if key in self._known else self._again_in_call(item, key)
            if isinstance(again, Refused):
                self._broken.add(draft.trace_id)
            return again
        if self.atomic and draft.trace_id in self._broken:
            # What follows a refused event in its trace cannot be judged, only that event is named.
            return Receipt("valid", None, draft.trace_id, None, None, None, None)
        refused = self._refusal(draft)
        if refused is not None:
            self._broken.add(draft.trace_id)
            return refused._replace(producer_id=draft.producer_id, trace_id=draft.trace_id)
        return self._add(item, key)

    def _refusal(self, draft: Draft) -> Refused | None:
        state = self._traces.get(draft.trace_id)
        if state is None:
            if draft.event_type != "TraceStarted":
                return refuse(
                    "trace.not_found",
                    404,
                    f"There is no trace {draft.trace_id!r} in this tenant. Send its TraceStarted first.",
                    path="trace_id",
                )
        elif draft.event_type == "TraceStarted":
            return refuse(
                "trace.already_started",
                409,
                "This trace has started already. Use another trace_id, or the first key to resend it.",
                path="event_type",
            )
        elif state.finished:
            return refuse("trace.finished", 409, "This trace is finished and takes no more events.", path="trace_id")
        expected = state.last_seq + 1 if state is not None else 0
        if draft.trace_seq is not None and draft.trace_seq != expected:
            return refuse(
                "trace.sequence_conflict",
                409,
                f"The next trace_seq of this trace is {expected}. Send that, or leave it out.",
                path="trace_seq",
                expected_trace_seq=expected,
            )
        if draft.event_id is not None and draft.event_id in self._taken:
            return refuse(
                "event.id_conflict",
                409,
                "Another event has this event_id. Send another one, or leave it out.",
                path="event_id",
            )
        return None

    def _add(self, item: Prepared, key: Key) -> Receipt:
        draft, payload, content, salt, commitment, payload_hash, _seed = item
        trace_id = draft.trace_id
        state = self._traces.get(trace_id)
        trace_seq = state.last_seq + 1 if state is not None else 0
        event_id = draft.event_id or canonical.uuid7(self._ms, item.seed)
        occurred_at = draft.occurred_at or self._recorded_at
        self.head = log_seq = self.head + 1
        leaf = leaf_of_draft(
            draft,
            log_seq=log_seq,
            event_id=event_id,
            trace_seq=trace_seq,
            occurred_at=occurred_at,
            recorded_at=self._recorded_at,
            origin=self.origin,
            principal=self.principal,
            commitment=commitment,
        )
        self.rows.append(
            store.NewEvent(
                log_seq,
                event_id,
                trace_id,
                trace_seq,
                draft.event_type,
                draft.schema_version,
                occurred_at,
                draft.occurred_instant or self.now,
                draft.producer_id,
                draft.system,
                draft.subsystem,
                draft.actor_type,
                draft.actor_id,
                draft.idempotency_key,
                draft.correlation_id,
                draft.causation_event_id,
                array_literal(draft.tags),
                commitment,
                leaf,
                payload.decode(),
                salt,
                payload_hash,
                canonical.content_hmac(salt, content),
            )
        )
        finished = draft.event_type == "TraceFinished"
        self._traces[trace_id] = store.TraceState(trace_seq, finished)
        self.touched[trace_id] = finished
        if draft.event_id is not None:
            self._taken.add(event_id)
        receipt = Receipt(
            "created", event_id, trace_id, trace_seq, log_seq, "sha256:" + payload_hash.hex(), "sha256:" + leaf.hex()
        )
        self._made[key] = (item, receipt)
        return receipt

    def _again(self, item: Prepared, stored: store.KnownEvent) -> Result:
        """A known key: the stored event again, or a conflict that names what differs.

        After an erasure there is nothing left to compare with, so any resend is the same event.
        """
        body = self._bodies.get(stored.log_seq)
        if body is not None and canonical.content_hmac(body.salt, item.content) != body.content_hmac:
            event = selectors.event_at(self.tenant, stored.log_seq)
            return _conflict(item.draft, differing_fields(item.draft, event))
        return Receipt(
            "replayed",
            stored.event_id,
            stored.trace_id,
            stored.trace_seq,
            stored.log_seq,
            None if body is None else "sha256:" + body.payload_hash.hex(),
            "sha256:" + stored.leaf_hash.hex(),
        )

    def _again_in_call(self, item: Prepared, key: Key) -> Result:
        first, receipt = self._made[key]
        if first.content == item.content:
            return receipt._replace(status="replayed")
        differing = [name for name, parts in _PARTS.items() if _differ(parts, first, item)]
        return _conflict(item.draft, differing + ["payload"] * (first.payload != item.payload))


_PARTS: dict[str, tuple[str, ...]] = {
    "trace_id": ("trace_id",),
    "event_type": ("event_type",),
    "schema_version": ("sent_schema_version",),
    "occurred_at": ("occurred_at",),
    "source": ("system", "subsystem"),
    "actor": ("actor_type", "actor_id"),
    "correlation_id": ("correlation_id",),
    "causation_event_id": ("causation_event_id",),
    "tags": ("sent_tags",),
}
"""What of a draft makes which field of the content; the payload is compared as canonical bytes."""


def _differ(attributes: tuple[str, ...], one: Prepared, other: Prepared) -> bool:
    return any(getattr(one.draft, name) != getattr(other.draft, name) for name in attributes)


def _conflict(draft: Draft, differing: list[str]) -> Refused:
    """The refusal of a known key. Without a visible difference it is one between absent and default."""
    fields = differing or ["schema_version", "occurred_at", "tags"]
    named = ", ".join(fields)
    return Refused(
        tuple(
            Violation(
                field,
                "event.idempotency_conflict",
                f"Another event has the key {draft.idempotency_key!r}; it differs in {named}. "
                "Resend exactly what was sent first, or use a new key.",
                409,
            )
            for field in fields
        ),
        extra={"differing_fields": fields},
        producer_id=draft.producer_id,
        trace_id=draft.trace_id,
    )


def array_literal(values: Sequence[str]) -> str:
    """Texts as a PostgreSQL array literal (an array of arrays cannot be unnested row by row)."""
    if not values:
        return "{}"
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
