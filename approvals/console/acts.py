"""What people do with an item: one address per action, each one call of a service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_POST

from approvals import selectors, services
from approvals.console import words
from approvals.domain import workflow
from approvals.models import Item
from approvals.services.acts import Since
from decisiongraph.core.console import toasted
from decisiongraph.core.errors import Problem, invalid
from decisiongraph.core.templatetags.dg.words import clock_time
from tenants.access import console_view
from tenants.services import reauth

DECISIONS = ("approved", "rejected", "request_changes")


@console_view("read")
@require_POST
def act(request: Any, approval_id: str, action: str) -> HttpResponse:
    """Do it and say what is true afterwards. The services refuse what is not allowed."""
    if action not in ACTS:
        raise Problem("page.not_found", 404, "There is no page at this address.")
    tenant = request.tenant
    row, said = ACTS[action](request, selectors.items.item(tenant, approval_id))
    return toasted(request, said, words.item_url(tenant, row.pk))


def _version(request: Any) -> Since:
    text = request.POST.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("version", "approval.version_missing", "Load the page again: it does not say its version.")
    return Since(text)


def _common(request: Any, item: Item) -> dict[str, Any]:
    return {
        "principal": request.principal,
        "item_id": str(item.pk),
        "version": _version(request),
        "key": request.POST.get("key") or None,
    }


def _reason(request: Any) -> str:
    return str(request.POST.get("reason", ""))


def _decide(request: Any, item: Item) -> tuple[Item, str]:
    decision = request.POST.get("decision", "")
    if decision not in DECISIONS:
        raise invalid("decision", "approval.unknown_decision", "Approve, reject or request changes.", status=422)
    common = _common(request, item) | {"reason": _reason(request)}
    if decision == "request_changes":
        row = services.request_changes(request.tenant, **common)
        return row, f"Changes are asked of {words.asker(row, request.people)}."
    row = services.decide(request.tenant, decision=decision, **common)
    if row.open:
        return row, "Your vote counts. The quorum is not met yet."
    if row.status in workflow.GRANTED and row.ticket_expires_at is not None:
        return row, f"Approved. The ticket is valid until {_moment(row.ticket_expires_at)}."
    return row, f"{row.status.capitalize()}."


def _moment(moment: datetime) -> str:
    return f"{moment:%d %b} {clock_time(moment)[:5]} UTC"


def _claim(request: Any, item: Item) -> tuple[Item, str]:
    return services.claim(request.tenant, **_common(request, item)), "It is on your desk."


def _release(request: Any, item: Item) -> tuple[Item, str]:
    row = services.release(request.tenant, **_common(request, item), reason=_reason(request))
    return row, "It is free again."


def _resubmit(request: Any, item: Item) -> tuple[Item, str]:
    row = services.resubmit(request.tenant, **_common(request, item), reason=_reason(request))
    return row, f"Asked again. Round {row.round} begins."


def _escalate(request: Any, item: Item) -> tuple[Item, str]:
    to = request.POST.get("to", "") or "role:admin"
    row = services.escalate(request.tenant, **_common(request, item), reason=_reason(request), to=to)
    return row, f"Escalated to {words.who(to, request.people)}."


def _override(request: Any, item: Item) -> tuple[Item, str]:
    reauth.demand(request)
    row = services.override(
        request.tenant,
        **_common(request, item),
        reason=_reason(request),
        confirmation=request.POST.get("confirm", "").strip(),
    )
    return row, "Let through without the quorum. The audit log says by whom."


def _withdraw(request: Any, item: Item) -> tuple[Item, str]:
    row = services.withdraw(request.tenant, **_common(request, item), reason=_reason(request))
    return row, "Withdrawn. Nobody decides it any more."


def _comment(request: Any, item: Item) -> tuple[Item, str]:
    common = _common(request, item) | {"version": None}
    return services.comment(request.tenant, **common, text=_reason(request)), "Your comment is in the history."


def _reassign(request: Any, item: Item) -> tuple[Item, str]:
    to = request.POST.get("to", "")
    row = services.reassign(request.tenant, **_common(request, item), to=to, reason=_reason(request))
    return row, f"It is for {words.who(to, request.people)} now." if to else "It is for whoever may review now."


def _delegate(request: Any, item: Item) -> tuple[Item, str]:
    to, text = request.POST.get("to", ""), request.POST.get("ends_at", "")
    ends_at = _local(text)
    row = services.delegate(request.tenant, **_common(request, item), to=to, ends_at=ends_at, reason=_reason(request))
    return row, f"{words.who(to, request.people)} stands in for you until {_moment(ends_at)}."


def _local(text: str) -> datetime:
    """What a datetime field holds, in UTC."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid("ends_at", "approval.delegation_invalid", "Say until when, in UTC.", status=422) from None


ACTS: dict[str, Callable[[Any, Item], tuple[Item, str]]] = {
    "decide": _decide,
    "claim": _claim,
    "release": _release,
    "resubmit": _resubmit,
    "escalate": _escalate,
    "override": _override,
    "withdraw": _withdraw,
    "comment": _comment,
    "reassign": _reassign,
    "delegate": _delegate,
}
"""Last part of the address -> what is done."""
