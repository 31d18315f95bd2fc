"""Which items wait for whom, in what order."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from approvals.domain import workflow
from approvals.models import Delegation, Item
from decisiongraph.core import clock
from decisiongraph.core.db import current_tenant_id, tenant_tx
from tenants.models import Tenant
from traces.domain.envelope import REVIEW_PREFIX

LARGE = ("action", "evidence", "sla")
"""Columns a list leaves out."""


class Place(NamedTuple):
    """A position in the inbox: of the last item seen."""

    sort_at: datetime
    ident: uuid.UUID


class Wanted(NamedTuple):
    """Which items of the inbox."""

    mine: str = ""
    """A person: what is assigned to them, held by them, sent back to them, names them as a reviewer, or they
    stand in for."""
    free_for: Sequence[str] = ()
    """Only items nobody holds, assigned to one of these or to nobody."""
    assignee: str = ""
    """Ident or ``role:<role>``: assigned to it or held by it."""
    status: str = "open"
    """One state, ``open`` for any undecided or ``all``."""
    overdue: bool | None = None
    """Only undecided items past their deadline (or only those that are not)."""
    trace_id: str = ""
    subject_type: str = ""
    policy: tuple[str, str] | None = None

    @property
    def undecided(self) -> bool:
        """Whether no decided item is asked for."""
        return self.status in ("", "open") or self.overdue is True


UNDECIDED = Wanted()


def inbox(tenant: Tenant, asked: Wanted = UNDECIDED, *, after: Place | None = None, limit: int = 100) -> list[Item]:
    """Items, most urgent first (by deadline, those without last), up to ``limit + 1``."""
    with tenant_tx(tenant):
        rows = _filtered(asked)
        if after is not None:
            rows = rows.filter(Q(sort_at__gt=after.sort_at) | Q(sort_at=after.sort_at, id__gt=after.ident))
            rows = rows.filter(sort_at__gte=after.sort_at)  # lets the index begin there
        return _first(rows, _ways(asked), limit + 1)


def count(tenant: Tenant, asked: Wanted = UNDECIDED, *, most: int = 1000) -> int:
    """How many items `inbox` would answer, counted up to ``most``."""
    with tenant_tx(tenant):
        rows, ways = _filtered(asked), _ways(asked)
        if ways == [Q()]:
            return rows.order_by()[:most].count()
        return len({ident for way in ways for ident in rows.filter(way).values_list("pk", flat=True)[:most]})


def _filtered(asked: Wanted) -> QuerySet[Item]:
    """All but whose they are."""
    rows = Item.objects.all()
    if asked.status in ("", "open"):
        rows = rows.filter(status__in=workflow.OPEN)
    elif asked.status != "all":
        rows = rows.filter(status=asked.status)
    if asked.overdue is True:
        rows = rows.filter(status__in=workflow.OPEN, sort_at__lt=clock.now())
    elif asked.overdue is False:
        rows = rows.filter(sort_at__gte=clock.now())
    if asked.free_for:
        rows = rows.filter(holder="", assignee__in=["", *asked.free_for])
    if asked.trace_id:
        rows = rows.filter(trace_id=asked.trace_id)
    if asked.subject_type:
        rows = rows.filter(subject_type=asked.subject_type)
    if asked.policy is not None:
        rows = rows.filter(policy_id=asked.policy[0])
        if asked.policy[1]:
            rows = rows.filter(policy_version=asked.policy[1])
    return rows


def _ways(asked: Wanted) -> list[Q | RawSQL]:
    """How an item can be somebody's, each along an index of its own."""
    if asked.assignee:
        return [Q(assignee=asked.assignee), Q(holder=asked.assignee)]
    if not asked.mine:
        return [Q()]
    now = clock.now()
    stood = Delegation.objects.filter(delegate=asked.mine, starts_at__lte=now, ends_at__gt=now)
    ways: list[Q | RawSQL] = [
        Q(assignee=asked.mine),
        Q(holder=asked.mine),
        Q(opened_by=asked.mine, status="changes_requested"),
        _naming(asked.mine) if asked.undecided else Q(reviewers__contains=[asked.mine]),
    ]
    idents = list(stood.values_list("item_id", flat=True))
    return [*ways, Q(id__in=idents)] if idents else ways


def _naming(person: str) -> RawSQL:
    """Undecided items that name somebody as a reviewer: looked up once, whatever the planner expects."""
    named = "approvals_item.id = ANY(ARRAY(SELECT n.item_id FROM dg_items_naming(%s, %s) AS n))"
    return RawSQL(named, [current_tenant_id(), person], output_field=BooleanField())


def _first(rows: QuerySet[Item], ways: list[Q | RawSQL], most: int) -> list[Item]:
    """The most urgent of what comes along any of these ways. One OR over them would read whatever is open."""
    found = {row.pk: row for way in ways for row in rows.filter(way).order_by("sort_at", "id").defer(*LARGE)[:most]}
    return sorted(found.values(), key=lambda row: (row.sort_at, row.pk))[:most]


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
