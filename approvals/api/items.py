"""Lists, single items, tickets; opening items and exceptions."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from approvals import selectors, services
from approvals.api import schemas
from approvals.domain import workflow
from approvals.models import Item
from approvals.services.people import person
from decisiongraph.core.api import ListQuery, Page, Query, body, decode_cursor, encode_cursor, openapi, query_params
from decisiongraph.core.api.openapi import array, obj
from decisiongraph.core.api.views import TenantAPIView
from tenants.access import Principal, TenantRequest
from tenants.models import Tenant

Status = Literal[
    "open", "all", "requested", "in_review", "changes_requested", "escalated", "approved", "rejected", "overridden",
    "withdrawn", "expired",
]  # fmt: skip
Priority = Literal["low", "normal", "high", "urgent"]
Ident = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=10_000)]


def key_of(request: TenantRequest) -> str | None:
    """The idempotency key of a request."""
    return request.headers.get("Idempotency-Key")


def answer(tenant: Tenant, principal: Principal, item: Item, *, status: int = 200) -> Response:
    """One item with everything, as a write leaves it."""
    found = selectors.items.details(tenant, str(item.pk), row=item)
    headers = {"Location": f"/api/v1/approvals/{item.pk}"} if status == 201 else {}
    return Response(selectors.items.details_json(found, person(principal)), status=status, headers=headers)


class InboxQuery(ListQuery):
    """Filters of the inbox."""

    status: Status = "open"
    assignee: str = Field(default="", max_length=300)
    overdue: bool | None = None
    trace_id: str = Field(default="", max_length=200)
    subject_type: str = Field(default="", max_length=200)


_STATUS = OpenApiParameter("status", {"type": "string", "enum": ["open", "all", *workflow.STATES], "default": "open"})
_FILTERS = [
    *openapi.LIST_PARAMETERS,
    _STATUS,
    OpenApiParameter("assignee", OpenApiTypes.STR, description="`me`, `user:<e-mail>`, `role:<role>`; holders too."),
    OpenApiParameter("overdue", OpenApiTypes.BOOL),
    OpenApiParameter("trace_id", OpenApiTypes.STR),
    OpenApiParameter("subject_type", OpenApiTypes.STR),
]


def listed(request: TenantRequest, subject_type: str = "") -> Response:
    """One page of items, the most urgent first."""
    query = query_params(request, InboxQuery)
    me = query.assignee == "me"
    wanted = selectors.items.Wanted(
        mine=request.principal.ident if me else "",
        assignee="" if me else query.assignee,
        status=query.status,
        overdue=query.overdue,
        trace_id=query.trace_id,
        subject_type=subject_type or query.subject_type,
    )
    rows = selectors.items.inbox(request.tenant, wanted, after=place(query.cursor), limit=query.limit)
    page = Page(
        rows,
        query.limit,
        item=selectors.items.item_json,
        cursor=lambda row: encode_cursor(row.sort_at.isoformat(), str(row.pk)),
    )
    return Response(page.as_json())


def place(cursor: str | None) -> selectors.items.Place | None:
    """The position a cursor stands for."""
    found = decode_cursor(cursor, datetime, uuid.UUID)
    return selectors.items.Place(*found) if found else None


class PolicyRef(BaseModel):
    """One version of a policy."""

    model_config = ConfigDict(extra="forbid")

    policy_id: Ident
    policy_version: Ident


class BoundAction(BaseModel):
    """The keys of an action that an approval binds to."""

    model_config = ConfigDict(extra="forbid")

    action_type: Ident
    target_system: Ident
    target_entity: dict[str, Any]
    changes: list[Any] = Field(max_length=5000)
    policy: PolicyRef | None = None


class OpenBody(BaseModel):
    """Body of ``POST /approvals``."""

    model_config = ConfigDict(extra="forbid")

    trace_id: Ident
    subject_type: Ident
    subject_id: Ident
    reason: Reason
    title: str = Field(default="", max_length=500)
    priority: Priority = "normal"
    policy: PolicyRef | None = None
    action: BoundAction | None = None
    evidence: list[Any] = Field(default=[], max_length=200)
    requested_by: dict[str, Any] | None = None


class Approvals(TenantAPIView):
    """``/approvals``"""

    permissions = {"GET": "read", "POST": ("review", "operate", "ingest", "admin")}

    @extend_schema(
        operation_id="listApprovals",
        tags=["operator", "agent"],
        summary="What waits for a decision",
        parameters=_FILTERS,
        responses=openapi.responses({200: (openapi.page(schemas.ITEM), "The most urgent first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Items by deadline, those without one last. Without `status` those that are not decided."""
        return listed(request)

    @extend_schema(
        operation_id="openApproval",
        tags=["operator", "agent"],
        summary="Ask people for a decision",
        parameters=[schemas.KEY],
        request={"application/json": schemas.OPEN_ITEM},
        responses=openapi.responses(
            {201: (schemas.DETAILS, "The open item; an equal request that was open before is answered too.")},
            refusals=(400, 401, 403, 404, 409, 415, 422),
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """Exceptions and proposals in the log open items by themselves; this is for everything else."""
        asked = body(request, OpenBody)
        item = services.open_item(
            request.tenant,
            principal=request.principal,
            trace_id=asked.trace_id,
            subject_type=asked.subject_type,
            subject_id=asked.subject_id,
            reason=asked.reason,
            title=asked.title,
            priority=asked.priority,
            policy=asked.policy.model_dump() if asked.policy else None,
            action=asked.action.model_dump(exclude_none=True) if asked.action else None,
            evidence=asked.evidence,
            requested_by=asked.requested_by,
            key=key_of(request),
        )
        return answer(request.tenant, request.principal, item, status=201)


class ExceptionBody(BaseModel):
    """Body of ``POST /exceptions``."""

    model_config = ConfigDict(extra="forbid")

    trace_id: Ident
    policy: PolicyRef
    reason: Reason
    exception_id: Ident | None = None
    priority: Priority = "normal"
    evidence: list[Any] = Field(default=[], max_length=200)
    requested_by: dict[str, Any] | None = None


class Exceptions(TenantAPIView):
    """``/exceptions``"""

    permissions = {"GET": "read", "POST": ("review", "operate", "ingest", "admin")}

    @extend_schema(
        operation_id="listExceptions",
        tags=["operator", "agent"],
        summary="Exceptions from policies",
        parameters=_FILTERS[:-1],
        responses=openapi.responses({200: (openapi.page(schemas.ITEM), "The most urgent first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Items whose subject is an exception."""
        return listed(request, "exception")

    @extend_schema(
        operation_id="openException",
        tags=["operator", "agent"],
        summary="Ask for an exception from a policy",
        parameters=[schemas.KEY],
        request={"application/json": schemas.OPEN_EXCEPTION},
        responses=openapi.responses(
            {201: (schemas.DETAILS, "The open item.")}, refusals=(400, 401, 403, 404, 409, 415, 422)
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """The request is written into the log, in the item's own review trace."""
        asked = body(request, ExceptionBody)
        item = services.open_item(
            request.tenant,
            principal=request.principal,
            trace_id=asked.trace_id,
            subject_type="exception",
            subject_id=asked.exception_id or f"{asked.policy.policy_id}@{asked.policy.policy_version}",
            reason=asked.reason,
            priority=asked.priority,
            policy=asked.policy.model_dump(),
            evidence=asked.evidence,
            requested_by=asked.requested_by,
            key=key_of(request),
        )
        return answer(request.tenant, request.principal, item, status=201)


class ExceptionsByPolicy(TenantAPIView):
    """``/exceptions/by-policy``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="exceptionsByPolicy",
        tags=["operator"],
        summary="How often each policy is excepted",
        responses=openapi.responses({200: (obj({"items": array(schemas.BY_POLICY)}), "The most excepted first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Open, granted, refused and expired exceptions per version of a policy; at most 500 rows."""
        query_params(request, Query)
        return Response({"items": [row.as_json() for row in selectors.items.exceptions_by_policy(request.tenant)]})


class ApprovalSummary(TenantAPIView):
    """``/approvals/summary``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="approvalSummary",
        tags=["operator"],
        summary="The inbox in figures",
        responses=openapi.responses({200: (schemas.SUMMARY, "What waits, what is late, and whether timers fire.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """`timers.ok` = no due timer is unfired for more than five seconds."""
        query_params(request, Query)
        return Response(selectors.items.summary(request.tenant).as_json())


class ApprovalDetail(TenantAPIView):
    """``/approvals/{id}``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getApproval",
        tags=["operator", "agent"],
        summary="One item with everything around it",
        responses=openapi.responses({200: (schemas.DETAILS, "The item.")}, refusals=(400, 401, 403, 404)),
    )
    def get(self, request: TenantRequest, approval_id: str) -> Response:
        """What will run, who decided what, the history, and what you may do now."""
        query_params(request, Query)
        found = selectors.items.details(request.tenant, approval_id)
        return Response(selectors.items.details_json(found, person(request.principal)))


class WaitQuery(Query):
    """How long to wait for a decision."""

    wait_ms: int = Field(default=0, ge=0, le=selectors.waiting.LONGEST_WAIT_MS)


class Ticket(TenantAPIView):
    """``/approvals/{id}/ticket``"""

    permissions = {"GET": ("read", "ingest")}

    @extend_schema(
        operation_id="getTicket",
        tags=["agent"],
        summary="May exactly this action run now?",
        parameters=[
            OpenApiParameter(
                "wait_ms",
                {"type": "integer", "minimum": 0, "maximum": selectors.waiting.LONGEST_WAIT_MS, "default": 0},
                description="How long to wait for a decision.",
            )
        ],
        responses=openapi.responses({200: (schemas.TICKET, "The ticket.")}, refusals=(400, 401, 403, 404)),
    )
    def get(self, request: TenantRequest, approval_id: str) -> Response:
        """Ask before you act; act only on `valid`, and commit with this id as `approval_id`."""
        query = query_params(request, WaitQuery)
        row = selectors.waiting.decided_ticket(request.tenant, approval_id, wait_ms=query.wait_ms)
        return Response(selectors.items.ticket_json(row))
