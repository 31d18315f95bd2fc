"""Asking for an erasure, confirming it, taking it back: two people, a reason, audit lines."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

import orjson

from decisiongraph.core import clock, jobs
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from replays.domain import erasure as life
from replays.models import Erasure
from tenants.access import Principal
from tenants.models import Tenant
from tenants.services import record_audit, vault
from traces import selectors as log

MOST_EVENTS = 5_000
MOST_TEXTS = 100
LONGEST_TEXT = 2_000
TASK = "replays.erase"


def ask_erasure(
    tenant: Tenant,
    *,
    principal: Principal,
    reason: str,
    events: Sequence[int] = (),
    trace_id: str = "",
    texts: Iterable[str] = (),
) -> Erasure:
    """Ask that the payloads of these events (or of a whole trace) go, and that these texts are nowhere then.

    Nothing is erased yet: a worker looks where the texts are, then another person confirms. Raises 422 for
    events that do not exist or were erased before, 409 ``erasure.active`` while another one is open.
    """
    principal.require("admin")
    user = _person(principal)
    named = sorted({text.strip() for text in texts if text.strip()})
    _check(reason, named)
    with tenant_tx(tenant):
        wanted = sorted(set(events))
        if trace_id:
            found = log.read_trace(tenant, trace_id, limit=MOST_EVENTS + 1)
            if not found:
                raise not_found("trace", trace_id)
            wanted = sorted({*wanted, *(event.log_seq for event in found)})
        if not 0 < len(wanted) <= MOST_EVENTS:
            said = f"Name 1 to {MOST_EVENTS:,} events, or a trace of at most that many."
            raise invalid("events", "erasure.no_events", said, status=422)
        stored = log.events_at(tenant, wanted)
        missing = [seq for seq in wanted if seq not in stored or (stored[seq].payload is None and not trace_id)]
        if missing:
            said = f"There is nothing to erase at log_seq {', '.join(map(str, missing[:10]))}."
            raise invalid("events", "erasure.nothing_there", said, status=422)
        if Erasure.objects.filter(status__in=sorted(life.OPEN)).exists():
            raise Problem("erasure.active", 409, "Another erasure is not over. Confirm it, or take it back first.")
        row = Erasure.objects.create(
            tenant_id=tenant.pk,
            reason=reason.strip(),
            events=[seq for seq in wanted if stored[seq].payload is not None],
            wanted=vault.seal(purpose(tenant), orjson.dumps(named)),
            texts=len(named),
            asked_by=principal.ident,
            asked_user=user,
        )
        _audit(tenant, principal, "erasure.asked", row, after={"events": len(row.events), "texts": len(named)})
        jobs.enqueue(TASK, tenant_id=tenant.pk, erasure_id=str(row.pk))
    return row


def confirm_erasure(tenant: Tenant, *, principal: Principal, erasure_id: str) -> Erasure:
    """The second person. From here on it cannot be stopped: the first bodies go within a second."""
    principal.require("admin")
    user = _person(principal)
    with tenant_tx(tenant):
        row = _locked(erasure_id)
        if row.status == "surveying":
            raise Problem("erasure.not_ready", 409, "It is still being looked where the texts are. Wait a moment.")
        if row.status != "waiting":
            raise Problem("erasure.over", 409, f"This erasure is {row.status} already.")
        if user == row.asked_user:
            raise Problem("erasure.same_person", 403, "Whoever asked for it cannot confirm it. Another admin has to.")
        if row.elsewhere:
            places = ", ".join(map(str, row.elsewhere[:10]))
            raise Problem(
                "erasure.said_elsewhere",
                409,
                f"Other events say a text you named, at log_seq {places}. Take this back and ask for those as well.",
                extra={"events": row.elsewhere},
            )
        row.status, row.step = "running", life.STEPS[0]
        row.confirmed_by, row.confirmed_at, row.moved_at = principal.ident, clock.now(), clock.now()
        row.save()
        _audit(tenant, principal, "erasure.confirmed", row, after={"events": len(row.events)})
        jobs.enqueue(TASK, tenant_id=tenant.pk, erasure_id=str(row.pk))
    return row


def retry_erasure(tenant: Tenant, *, principal: Principal, erasure_id: str) -> Erasure:
    """Clean and search again, after somebody removed by hand what the search had found."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = _locked(erasure_id)
        if row.status != "incomplete":
            raise Problem("erasure.over", 409, f"This erasure is {row.status}; there is nothing to do again.")
        row.status, row.step, row.left, row.error = "running", life.STEPS[0], [], ""
        row.replay_id, row.copies, row.finished_at, row.moved_at = None, [], None, clock.now()
        row.save()
        _audit(tenant, principal, "erasure.retried", row)
        jobs.enqueue(TASK, tenant_id=tenant.pk, erasure_id=str(row.pk))
    return row


def withdraw_erasure(tenant: Tenant, *, principal: Principal, erasure_id: str) -> Erasure:
    """Take back one that nobody has confirmed."""
    principal.require("admin")
    with tenant_tx(tenant):
        row = _locked(erasure_id)
        if row.status not in ("surveying", "waiting"):
            raise Problem("erasure.over", 409, f"This erasure is {row.status}; it cannot be taken back.")
        row.status, row.wanted, row.finished_at = "withdrawn", None, clock.now()
        row.save()
        _audit(tenant, principal, "erasure.withdrawn", row)
    return row


def purpose(tenant: Tenant) -> str:
    """What the texts of an erasure are encrypted for."""
    return f"decisiongraph.erasure/1:{tenant.pk}"


def _locked(erasure_id: str) -> Erasure:
    try:
        ident = uuid.UUID(erasure_id)
    except ValueError:
        raise not_found("erasure", erasure_id) from None
    row = Erasure.objects.select_for_update().filter(pk=ident).first()
    if row is None:
        raise not_found("erasure", erasure_id)
    return row


def _person(principal: Principal) -> int:
    """The person behind it: their own session, or a token they issued."""
    if principal.user_id is None:
        raise Problem("erasure.person_required", 403, "An erasure is asked for and confirmed by people.")
    return principal.user_id


def _check(reason: str, named: list[str]) -> None:
    if not 0 < len(reason.strip()) <= 2_000:
        raise invalid("reason", "erasure.reason_missing", "Say why, in at most 2,000 characters.", status=422)
    if len(named) > MOST_TEXTS or any(not life.SHORTEST_TOLD <= len(text) <= LONGEST_TEXT for text in named):
        said = f"Name at most {MOST_TEXTS} texts of {life.SHORTEST_TOLD} to {LONGEST_TEXT:,} characters."
        raise invalid("texts", "erasure.text_invalid", said, status=422)
    if any(text in reason for text in named):
        said = "The reason stays for ever. Do not repeat in it what is to be erased."
        raise invalid("reason", "erasure.reason_repeats", said, status=422)


def _audit(tenant: Tenant, principal: Principal, action: str, row: Erasure, after: object = None) -> None:
    record_audit(tenant, principal=principal, action=action, target=f"erasure:{row.pk}", reason=row.reason, after=after)
