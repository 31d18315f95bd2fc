"""The base of every API view.

A module of its own: the REST framework imports the package above while its own views still load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.views import APIView

from decisiongraph.core.errors import not_authenticated


class TenantAPIView(APIView):
    """A view whose request has ``tenant`` and ``principal``, checked against ``permissions``."""

    permissions: ClassVar[Mapping[str, str]] = {}
    """Permission needed per HTTP method, for example ``{"GET": "read"}``; a method that is not
    listed needs ``admin``, so that forgetting one closes the door."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse before the handler runs."""
        super().initial(request, *args, **kwargs)
        principal = getattr(request, "principal", None)
        if principal is None:
            raise not_authenticated()
        method = (request.method or "GET").upper()
        if method not in ("OPTIONS", "HEAD"):
            principal.require(self.permissions.get(method, "admin"))
        elif method == "HEAD":
            principal.require(self.permissions.get("GET", "admin"))
