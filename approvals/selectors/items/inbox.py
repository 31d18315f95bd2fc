"""Which items wait for whom, in what order."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q, QuerySet

from approvals.domain import workflow
from approvals.models import Delegation, Item
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tenants.models import Tenant
from traces.domain.envelope import REVIEW_PREFIX

LARGE = ("action", "evidence", "sla")
"""Columns a list leaves out."""


class Place(NamedTuple):
    """A position in the inbox: of the last item seen."""

    sort_at: datetime
    ident: uuid.UUID


def inbox(
    tenant: Tenant,
    *,
    mine: Sequence[str] = (),
    free_for: Sequence[str] = (),
    assignee: str = "",
    status: str = "",
    overdue: bool | None = None,
    trace_id: str = "",
    subject_type: str = "",
    policy: tuple[str, str] | None = None,
    after: Place | None = None,
    limit: int = 100,
) -> list[Item]:
    """Items, most urgent first (by deadline, those without last), up to ``limit + 1``.

    Args:
        mine: assignees that mean me: my ident, ``role:<my role>``; or items I hold or stand in for.
        free_for: only items nobody holds, assigned to one of these or to nobody.
        status: one state, ``open`` for any undecided (the default) or ``all``.
        overdue: only open items past their deadline (or only those that are not).
    """
    with tenant_tx(tenant):
        rows = _filtered(mine, free_for, assignee, status, overdue, trace_id, subject_type, policy)
        if after is not None:
            rows = rows.filter(Q(sort_at__gt=after.sort_at) | Q(sort_at=after.sort_at, id__gt=after.ident))
            rows = rows.filter(sort_at__gte=after.sort_at)  # lets the index begin there
        return list(rows.order_by("sort_at", "id").defer(*LARGE)[: limit + 1])


def count(tenant: Tenant, *, mine: Sequence[str] = (), free_for: Sequence[str] = (), most: int = 1000) -> int:
    """How many undecided items `inbox` would answer, counted up to ``most``."""
    with tenant_tx(tenant):
        return _filtered(mine, free_for, "", "open", None, "", "", None).order_by()[:most].count()


def _filtered(
    mine: Sequence[str],
    free_for: Sequence[str],
    assignee: str,
    status: str,
    overdue: bool | None,
    trace_id: str,
    subject_type: str,
    policy: tuple[str, str] | None,
) -> QuerySet[Item]:
    rows = Item.objects.all()
    if status in ("", "open"):
        rows = rows.filter(status__in=workflow.OPEN)
    elif status != "all":
        rows = rows.filter(status=status)
    if overdue is True:
        rows = rows.filter(status__in=workflow.OPEN, sort_at__lt=clock.now())
    elif overdue is False:
        rows = rows.filter(sort_at__gte=clock.now())
    if mine:
        stood = Delegation.objects.filter(delegate__in=mine, starts_at__lte=clock.now(), ends_at__gt=clock.now())
        me = Q(assignee__in=mine) | Q(holder__in=mine) | Q(id__in=stood.values("item_id"))
        rows = rows.filter(me | Q(reviewers__overlap=list(mine)))
    if free_for:
        rows = rows.filter(holder="", assignee__in=["", *free_for])
    if assignee:
        rows = rows.filter(Q(assignee=assignee) | Q(holder=assignee))
    if trace_id:
        rows = rows.filter(trace_id=trace_id)
    if subject_type:
        rows = rows.filter(subject_type=subject_type)
    if policy is not None:
        rows = rows.filter(policy_id=policy[0])
        if policy[1]:
            rows = rows.filter(policy_version=policy[1])
    return rows


def items_of_trace(tenant: Tenant, trace_id: str, *, limit: int = 50) -> list[Item]:
    """Everything that was asked about a trace, the newest first."""
    with tenant_tx(tenant):
        return list(Item.objects.filter(trace_id=trace_id).order_by("-opened_at").defer(*LARGE)[:limit])


def reviewed_in(tenant: Tenant, trace_id: str) -> list[Item]:
    """The item a review trace belongs to; empty for any other trace."""
    if not trace_id.startswith(REVIEW_PREFIX):
        return []
    try:
        ident = uuid.UUID(trace_id.removeprefix(REVIEW_PREFIX).partition(".")[0])
    except ValueError:
        return []
    with tenant_tx(tenant):
        return list(Item.objects.filter(pk=ident).defer(*LARGE))


def open_exceptions(tenant: Tenant) -> int:
    """Exceptions nobody has decided."""
    with tenant_tx(tenant):
        return Item.objects.filter(status__in=workflow.OPEN, subject_type="exception").count()


def superseded(tenant: Tenant, row: Item) -> Item | None:
    """The item that this one took the place of, because another action was proposed."""
    with tenant_tx(tenant):
        return Item.objects.filter(trace_id=row.trace_id, superseded_by=row.pk).order_by("-opened_at").first()
