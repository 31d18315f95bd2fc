"""How the schema describes the doors.

Apart from `http`, because the REST framework imports that one while it is itself being imported.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiAuthenticationScheme(OpenApiAuthenticationExtension):
    """How the schema describes the two ways in."""

    target_class = "tenants.access.http.ApiAuthentication"
    name = ["token", "session"]
    match_subclasses = True

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        """One scheme per name."""
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "dg_<id>_<secret>",
                "description": "An API token. It carries its tenant.",
            },
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": "A signed-in person, with X-Tenant and, for writes, X-CSRFToken.",
            },
        ]
