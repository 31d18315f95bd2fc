"""Incidents over HTTP."""

from __future__ import annotations

from typing import Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from approvals import selectors, services
from approvals.api import schemas
from approvals.api.items import Ident, key_of, place
from approvals.domain import incident as rules
from decisiongraph.core.api import ListQuery, Page, Query, body, encode_cursor, openapi, query_params
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.errors import Problem
from tenants.access import TenantRequest

Severity = Literal["low", "medium", "high", "critical"]


class IncidentQuery(ListQuery):
    """Filters of the list."""

    status: Literal["", "unresolved", "open", "acknowledged", "mitigated", "resolved"] = ""
    severity: Literal["", "low", "medium", "high", "critical"] = ""
    assignee: str = Field(default="", max_length=300)
    cause: str = Field(default="", max_length=200)
    trace_id: str = Field(default="", max_length=200)


class Link(BaseModel):
    """What else it has to do with."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["trace", "approval", "incident", "replay", "finding"]
    id: Ident


class OpenIncidentBody(BaseModel):
    """Body of ``POST /incidents``."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=500)
    severity: Severity
    text: str = Field(default="", max_length=10_000)
    trace_id: Ident | None = None
    links: list[Link] = Field(default=[], max_length=50)


class Incidents(TenantAPIView):
    """``/incidents``"""

    permissions = {"GET": "read", "POST": ("operate", "review", "admin")}

    @extend_schema(
        operation_id="listIncidents",
        tags=["operator"],
        summary="What needs people",
        parameters=[
            *openapi.LIST_PARAMETERS,
            OpenApiParameter("status", {"type": "string", "enum": ["unresolved", *rules.STATES]}),
            OpenApiParameter("severity", {"type": "string", "enum": list(rules.SEVERITIES)}),
            OpenApiParameter("assignee", OpenApiTypes.STR),
            OpenApiParameter("cause", OpenApiTypes.STR),
            OpenApiParameter("trace_id", OpenApiTypes.STR, description="Of this trace, or linked to it."),
        ],
        responses=openapi.responses({200: (openapi.page(schemas.INCIDENT), "The newest first.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Incidents, the newest first."""
        query = query_params(request, IncidentQuery)
        found = place(query.cursor)
        rows = selectors.incidents.incidents(
            request.tenant,
            status=query.status,
            severity=query.severity,
            assignee=query.assignee,
            cause=query.cause,
            trace_id=query.trace_id,
            before=None if found is None else (found.sort_at, found.ident),
            limit=query.limit,
        )
        page = Page(
            rows,
            query.limit,
            item=selectors.incidents.incident_json,
            cursor=lambda row: encode_cursor(row.opened_at.isoformat(), str(row.pk)),
        )
        return Response(page.as_json())

    @extend_schema(
        operation_id="openIncident",
        tags=["operator"],
        summary="Report an incident",
        parameters=[schemas.KEY],
        request={"application/json": schemas.OPEN_INCIDENT},
        responses=openapi.responses(
            {201: (schemas.INCIDENT_DETAILS, "Opened.")}, refusals=(400, 401, 403, 404, 409, 415, 422)
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """By hand. Most open by themselves: see docs/workflow.md."""
        asked = body(request, OpenIncidentBody)
        row = services.open_incident(
            request.tenant,
            principal=request.principal,
            title=asked.title,
            severity=asked.severity,
            text=asked.text,
            trace_id=asked.trace_id,
            links=[(link.kind, link.id) for link in asked.links],
            key=key_of(request),
        )
        found = selectors.incidents.details(request.tenant, str(row.pk))
        return Response(
            selectors.incidents.details_json(found), status=201, headers={"Location": f"/api/v1/incidents/{row.pk}"}
        )


class IncidentDetail(TenantAPIView):
    """``/incidents/{id}``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="getIncident",
        tags=["operator"],
        summary="One incident with its timeline",
        responses=openapi.responses({200: (schemas.INCIDENT_DETAILS, "The incident.")}, refusals=(400, 401, 403, 404)),
    )
    def get(self, request: TenantRequest, incident_id: str) -> Response:
        """Everything that happened, in order; nothing of it is ever rewritten."""
        query_params(request, Query)
        return Response(selectors.incidents.details_json(selectors.incidents.details(request.tenant, incident_id)))


class ActBody(BaseModel):
    """Body of an action on an incident."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(default=None, ge=1, le=2**31 - 1)
    text: str = Field(default="", max_length=10_000)
    assignee: str = Field(default="", max_length=300)
    severity: Severity | None = None
    link: Link | None = None


class IncidentAction(TenantAPIView):
    """``/incidents/{id}/{action}``"""

    permissions = {"POST": ("operate", "review", "admin")}

    @extend_schema(
        operation_id="actOnIncident",
        tags=["operator"],
        summary="Work on an incident",
        parameters=[
            schemas.KEY,
            OpenApiParameter("action", {"type": "string", "enum": list(rules.TABLE)}, OpenApiParameter.PATH),
        ],
        request={"application/json": schemas.INCIDENT_ACT},
        responses=openapi.responses(
            {200: (schemas.INCIDENT_DETAILS, "The incident afterwards.")},
            refusals=(400, 401, 403, 404, 409, 412, 415, 422),
        ),
    )
    def post(self, request: TenantRequest, incident_id: str, action: str) -> Response:
        """acknowledge, mitigate, resolve, reopen, assign, rate, link or comment."""
        if action not in rules.TABLE:
            raise Problem("route.not_found", 404, "There is nothing at this address.")
        asked = body(request, ActBody)
        services.act_on_incident(
            request.tenant,
            principal=request.principal,
            incident_id=incident_id,
            action=action,
            version=asked.version,
            text=asked.text,
            assignee=asked.assignee,
            severity=asked.severity or "",
            link=(asked.link.kind, asked.link.id) if asked.link else None,
            key=key_of(request),
        )
        return Response(selectors.incidents.details_json(selectors.incidents.details(request.tenant, incident_id)))
