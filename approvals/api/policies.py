"""Service levels over HTTP, and trying them on the past."""

from __future__ import annotations

import uuid
from typing import Literal

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from approvals import selectors, services
from approvals.api import schemas
from approvals.domain.sla import Match, Policy
from approvals.models import SlaPolicy
from decisiongraph.core.api import ListQuery, Page, Query, body, decode_cursor, encode_cursor, openapi, query_params
from decisiongraph.core.api.openapi import STR, array, obj
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.clock import Moment
from decisiongraph.core.errors import invalid, not_found
from tenants.access import TenantRequest
from tenants.models import Tenant


class CreateSla(BaseModel):
    """Body of ``POST /sla-policies``."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    definition: Policy
    applies: Match = Match()
    active: bool = True


class ChangeSla(BaseModel):
    """Body of ``PATCH /sla-policies/{id}``."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=2**31 - 1)
    name: str | None = Field(default=None, min_length=1, max_length=100)
    definition: Policy | None = None
    applies: Match | None = None
    active: bool | None = None


class SlaPolicies(TenantAPIView):
    """``/sla-policies``"""

    permissions = {"GET": "read", "POST": "admin"}

    @extend_schema(
        operation_id="listSlaPolicies",
        tags=["operator"],
        summary="Service levels",
        parameters=openapi.LIST_PARAMETERS,
        responses=openapi.responses({200: (openapi.page(schemas.SLA), "By name.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """Where none applies the built-in one does; docs/workflow.md shows it."""
        query = query_params(request, ListQuery)
        found = decode_cursor(query.cursor, str)
        rows = selectors.policies.policies(request.tenant, after=found[0] if found else "", limit=query.limit)
        page = Page(rows, query.limit, item=selectors.policies.as_json, cursor=lambda row: encode_cursor(row.name))
        return Response(page.as_json())

    @extend_schema(
        operation_id="createSlaPolicy",
        tags=["operator"],
        summary="A new service level",
        request={"application/json": schemas.CREATE_SLA},
        responses=openapi.responses({201: (schemas.SLA, "Made.")}, refusals=(400, 401, 403, 409, 415, 422)),
    )
    def post(self, request: TenantRequest) -> Response:
        """It holds for items that open from now on."""
        asked = body(request, CreateSla)
        row = services.create_policy(
            request.tenant,
            principal=request.principal,
            name=asked.name,
            definition=asked.definition,
            applies=asked.applies,
            active=asked.active,
        )
        return Response(
            selectors.policies.as_json(row), status=201, headers={"Location": f"/api/v1/sla-policies/{row.pk}"}
        )


class SlaPolicyDetail(TenantAPIView):
    """``/sla-policies/{id}``"""

    permissions = {"GET": "read", "PATCH": "admin", "DELETE": "admin"}

    @extend_schema(
        operation_id="getSlaPolicy",
        tags=["operator"],
        summary="One service level",
        responses=openapi.responses({200: (schemas.SLA, "The policy.")}, refusals=(400, 401, 403, 404)),
    )
    def get(self, request: TenantRequest, policy_id: str) -> Response:
        """As it is now; items keep the one they were opened with."""
        query_params(request, Query)
        return Response(selectors.policies.as_json(_stored(request.tenant, policy_id)))

    @extend_schema(
        operation_id="changeSlaPolicy",
        tags=["operator"],
        summary="Change a service level",
        request={"application/json": schemas.CHANGE_SLA},
        responses=openapi.responses(
            {200: (schemas.SLA, "Changed.")}, refusals=(400, 401, 403, 404, 409, 412, 415, 422)
        ),
    )
    def patch(self, request: TenantRequest, policy_id: str) -> Response:
        """Open items keep what they were opened with."""
        asked = body(request, ChangeSla)
        row = services.change_policy(
            request.tenant,
            principal=request.principal,
            policy_id=policy_id,
            version=asked.version,
            name=asked.name,
            definition=asked.definition,
            applies=asked.applies,
            active=asked.active,
        )
        return Response(selectors.policies.as_json(row))

    @extend_schema(
        operation_id="deleteSlaPolicy",
        tags=["operator"],
        summary="Forget a service level",
        responses=openapi.responses({200: (schemas.SLA, "As it was.")}, refusals=(401, 403, 404)),
    )
    def delete(self, request: TenantRequest, policy_id: str) -> Response:
        """Open items keep their copy."""
        row = services.delete_policy(request.tenant, principal=request.principal, policy_id=policy_id)
        return Response(selectors.policies.as_json(row))


def _stored(tenant: Tenant, policy_id: str) -> SlaPolicy:
    try:
        found = selectors.policies.policy(tenant, str(uuid.UUID(policy_id)))
    except ValueError:
        found = None
    if found is None:
        raise not_found("sla_policy", policy_id)
    return found


class TryBody(BaseModel):
    """Body of ``POST /sla-policies/try``."""

    model_config = ConfigDict(extra="forbid")

    definition: Policy | None = None
    policy_id: str | None = Field(default=None, max_length=100)
    over: Literal["items", "traces"]
    since: Moment | None = None
    until: Moment | None = None
    workflow: str = Field(default="", max_length=2000)


class TrySla(TenantAPIView):
    """``/sla-policies/try``"""

    permissions = {"POST": "read"}

    @extend_schema(
        operation_id="trySlaPolicy",
        tags=["operator"],
        summary="Try a service level on the past",
        request={"application/json": schemas.TRY},
        responses=openapi.responses(
            {200: (schemas.TRIAL, "What would have been.")}, refusals=(400, 401, 403, 404, 409, 415, 422)
        ),
    )
    def post(self, request: TenantRequest) -> Response:
        """Changes nothing. Over items the clock runs from opening to decision, over traces it is the policy's."""
        asked = body(request, TryBody)
        if (asked.definition is None) == (asked.policy_id is None):
            raise invalid(
                "definition", "sla.definition_missing", "Send either a definition or the id of a policy.", status=422
            )
        policy, applies = asked.definition, None
        if asked.policy_id is not None:
            row = _stored(request.tenant, asked.policy_id)
            policy, applies = Policy.model_validate(row.definition), Match.model_validate(row.applies)
        assert policy is not None
        workflow = asked.workflow or (applies.workflow if applies is not None and applies.workflow else "")
        found = selectors.trial.try_policy(
            request.tenant,
            policy,
            over=asked.over,
            since=asked.since,
            until=asked.until,
            workflow=workflow,
            applies=applies or Match(workflow=workflow or None),
        )
        return Response(found.as_json())


class WatchBody(BaseModel):
    """Body of ``PUT /producer-watches/{producer_id}``."""

    model_config = ConfigDict(extra="forbid")

    seconds: int = Field(ge=10, le=366 * 86_400)


class ProducerWatches(TenantAPIView):
    """``/producer-watches``"""

    permissions = {"GET": "read"}

    @extend_schema(
        operation_id="listProducerWatches",
        tags=["operator"],
        summary="How long producers may be silent",
        responses=openapi.responses({200: (obj({"items": array(schemas.WATCH)}), "By producer.")}),
    )
    def get(self, request: TenantRequest) -> Response:
        """A producer silent for longer opens an incident."""
        query_params(request, Query)
        return Response({"items": selectors.policies.watches(request.tenant)})


class ProducerWatchDetail(TenantAPIView):
    """``/producer-watches/{producer_id}``"""

    permissions = {"PUT": "admin", "DELETE": "admin"}

    @extend_schema(
        operation_id="watchProducer",
        tags=["operator"],
        summary="Say how long a producer may be silent",
        request={"application/json": obj({"seconds": {"type": "integer", "minimum": 10, "maximum": 366 * 86_400}})},
        responses=openapi.responses({200: (schemas.WATCH, "Set.")}, refusals=(400, 401, 403, 415, 422)),
    )
    def put(self, request: TenantRequest, producer_id: str) -> Response:
        """Counted from its last event, or from now."""
        asked = body(request, WatchBody)
        services.watch_producer(
            request.tenant, principal=request.principal, producer_id=producer_id, seconds=asked.seconds
        )
        found = selectors.policies.watches(request.tenant)
        return Response(next(row for row in found if row["producer_id"] == producer_id))

    @extend_schema(
        operation_id="unwatchProducer",
        tags=["operator"],
        summary="Let a producer be silent",
        responses=openapi.responses(
            {200: (obj({"producer_id": STR}), "It may be silent for ever.")}, refusals=(401, 403)
        ),
    )
    def delete(self, request: TenantRequest, producer_id: str) -> Response:
        """Asking again changes nothing."""
        services.watch_producer(request.tenant, principal=request.principal, producer_id=producer_id, seconds=None)
        return Response({"producer_id": producer_id})
