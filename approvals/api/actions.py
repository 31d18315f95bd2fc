"""One address for every action on an item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.response import Response

from approvals import services
from approvals.api import schemas
from approvals.api.items import Reason, answer, key_of
from approvals.models import Item
from decisiongraph.core.api import body, openapi
from decisiongraph.core.api.openapi import WHEN, JsonSchema, array, obj
from decisiongraph.core.api.views import TenantAPIView
from decisiongraph.core.clock import Moment
from tenants.access import TenantRequest
from tenants.services import reauth

_REFUSALS = (400, 401, 403, 404, 409, 412, 415, 422)
_TO: JsonSchema = {"type": "string", "maxLength": 300, "description": "`user:<e-mail>` or `role:<role>`."}
_WORDS: JsonSchema = {"type": "string", "maxLength": 10_000}


def _describe(operation: str, summary: str, request: JsonSchema, tags: list[str] | None = None) -> Any:
    return extend_schema(
        operation_id=operation,
        tags=tags or ["operator"],
        summary=summary,
        parameters=[schemas.KEY],
        request={"application/json": request},
        responses=openapi.responses({200: (schemas.DETAILS, "The item afterwards.")}, refusals=_REFUSALS),
    )


def _do(request: TenantRequest, approval_id: str, act: Callable[..., Item], asked: BaseModel) -> Response:
    """Every field of a body is an argument of its service."""
    item = act(
        request.tenant, principal=request.principal, item_id=approval_id, key=key_of(request), **asked.model_dump()
    )
    return answer(request.tenant, request.principal, item)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=2**31 - 1)


class ReasonBody(_Body):
    """An action with its reason."""

    reason: Reason


class WordsBody(_Body):
    """An action that needs no reason but may have one."""

    reason: str = Field(default="", max_length=10_000)


class DecideBody(ReasonBody):
    """Body of ``decide``."""

    decision: Literal["approved", "rejected"]


class Decide(TenantAPIView):
    """``/approvals/{id}/decide``"""

    permissions = {"POST": "review"}

    @_describe(
        "decide",
        "Approve or reject",
        obj({"decision": schemas.DECISION, "reason": schemas.REASON, "version": schemas.VERSION}),
    )
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """Refused to whoever asked for it. With a quorum the item is decided by the last vote needed."""
        return _do(request, approval_id, services.decide, body(request, DecideBody))


class Claim(TenantAPIView):
    """``/approvals/{id}/claim``"""

    permissions = {"POST": "review"}

    @_describe("claim", "Take an item into review", obj({"version": schemas.VERSION}))
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """Others see who has it; they may still decide."""
        return _do(request, approval_id, services.claim, body(request, _Body))


_MAYBE_REASON = obj({"version": schemas.VERSION, "reason": _WORDS}, optional=("reason",))
_WITH_REASON = obj({"version": schemas.VERSION, "reason": schemas.REASON})


class Release(TenantAPIView):
    """``/approvals/{id}/release``"""

    permissions = {"POST": ("review", "admin")}

    @_describe("release", "Give a claimed item back", _MAYBE_REASON)
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """For whoever holds it, and for admins."""
        return _do(request, approval_id, services.release, body(request, WordsBody))


class RequestChanges(TenantAPIView):
    """``/approvals/{id}/request-changes``"""

    permissions = {"POST": "review"}

    @_describe("requestChanges", "Send it back to whoever asked", _WITH_REASON)
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """The reason says what is missing."""
        return _do(request, approval_id, services.request_changes, body(request, ReasonBody))


class ResubmitBody(ReasonBody):
    """Body of ``resubmit``."""

    evidence: list[Any] | None = Field(default=None, max_length=200)


class Resubmit(TenantAPIView):
    """``/approvals/{id}/resubmit``"""

    permissions = {"POST": ("ingest", "read")}

    @_describe(
        "resubmit",
        "Ask again after changes were requested",
        obj(
            {"version": schemas.VERSION, "reason": schemas.REASON, "evidence": array({})},
            optional=("evidence",),
        ),
        ["agent", "operator"],
    )
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """For whoever asked. Another action is proposed in the log instead and supersedes this item."""
        return _do(request, approval_id, services.resubmit, body(request, ResubmitBody))


class EscalateBody(ReasonBody):
    """Body of ``escalate``."""

    to: str = Field(default="role:admin", min_length=1, max_length=300)


class Escalate(TenantAPIView):
    """``/approvals/{id}/escalate``"""

    permissions = {"POST": "review"}

    @_describe(
        "escalate",
        "Ask the next level",
        obj({"version": schemas.VERSION, "reason": schemas.REASON, "to": _TO}, optional=("to",)),
    )
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """Timers escalate by themselves; this is for people who cannot wait."""
        return _do(request, approval_id, services.escalate, body(request, EscalateBody))


class OverrideBody(ReasonBody):
    """Body of ``override``."""

    confirmation: str = Field(max_length=1000)


class Override(TenantAPIView):
    """``/approvals/{id}/override``"""

    permissions = {"POST": "admin"}

    @_describe(
        "override",
        "Let it through without the quorum",
        obj(
            {
                "version": schemas.VERSION,
                "reason": schemas.REASON,
                "confirmation": {"type": "string", "description": "The subject's id, typed."},
            }
        ),
    )
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """For admins, and never for whoever asked."""
        asked = body(request, OverrideBody)
        reauth.demand(request)
        return _do(request, approval_id, services.override, asked)


class Withdraw(TenantAPIView):
    """``/approvals/{id}/withdraw``"""

    permissions = {"POST": ("ingest", "read", "admin")}

    @_describe("withdraw", "Take the request back", _WITH_REASON, ["agent", "operator"])
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """For whoever asked, and for admins."""
        return _do(request, approval_id, services.withdraw, body(request, ReasonBody))


class CommentBody(BaseModel):
    """Body of ``comment``."""

    model_config = ConfigDict(extra="forbid")

    text: Reason
    version: int | None = Field(default=None, ge=1, le=2**31 - 1)


class CommentOn(TenantAPIView):
    """``/approvals/{id}/comment``"""

    permissions = {"POST": "read"}

    @_describe(
        "comment",
        "Say something about an item",
        obj({"text": schemas.REASON, "version": schemas.VERSION}, optional=("version",)),
    )
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """In any state. Needs no version: a comment contradicts nobody."""
        return _do(request, approval_id, services.comment, body(request, CommentBody))


class ReassignBody(WordsBody):
    """Body of ``reassign``."""

    to: str = Field(max_length=300)


class Reassign(TenantAPIView):
    """``/approvals/{id}/reassign``"""

    permissions = {"POST": "review"}

    @_describe(
        "reassign",
        "Put it on somebody's desk",
        obj({"version": schemas.VERSION, "to": _TO, "reason": _WORDS}, optional=("reason",)),
    )
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """An empty `to` makes it everybody's again."""
        return _do(request, approval_id, services.reassign, body(request, ReassignBody))


class DelegateBody(ReasonBody):
    """Body of ``delegate``."""

    to: str = Field(min_length=1, max_length=300)
    ends_at: Moment
    starts_at: Moment | None = None


class Delegate(TenantAPIView):
    """``/approvals/{id}/delegate``"""

    permissions = {"POST": "review"}

    @_describe(
        "delegate",
        "Let a colleague stand in for you",
        obj(
            {
                "version": schemas.VERSION,
                "to": _TO,
                "ends_at": WHEN,
                "starts_at": WHEN,
                "reason": schemas.REASON,
            },
            optional=("starts_at",),
        ),
    )
    def post(self, request: TenantRequest, approval_id: str) -> Response:
        """Between two moments, on this item. The two of you have one vote."""
        return _do(request, approval_id, services.delegate, body(request, DelegateBody))
