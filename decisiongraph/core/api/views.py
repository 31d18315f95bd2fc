"""The base of every API view.

A module of its own: the REST framework imports the package above while its own views still load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from decisiongraph.core.errors import Problem, not_authenticated


class TenantAPIView(APIView):
    """A view whose request has ``tenant`` and ``principal``, checked against ``permissions``."""

    permissions: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}
    """Permission needed per HTTP method, for example ``{"GET": "read"}``; of several any one is
    enough. A method that is not listed needs ``admin``, so that forgetting one closes the door."""

    wanted: str = "read"
    """The permission of this request, once `initial` has asked for it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse before the handler runs."""
        super().initial(request, *args, **kwargs)
        principal = getattr(request, "principal", None)
        if principal is None:
            raise not_authenticated()
        method = (request.method or "GET").upper()
        if method == "OPTIONS":
            return
        wanted = self.permissions.get("GET" if method == "HEAD" else method, "admin")
        any_of = (wanted,) if isinstance(wanted, str) else wanted
        self.wanted = any_of[-1]
        if not any(principal.may(permission) for permission in any_of):
            principal.require(any_of[0])

    def handle_exception(self, exc: Exception) -> Response:
        """A refusal of somebody we know is theirs to write down; then the one handler answers."""
        principal = getattr(self.request, "principal", None)
        if isinstance(exc, Problem) and principal is not None:
            principal.note_refusal(self.wanted, (self.request.method or "GET").upper(), exc)
        return super().handle_exception(exc)
