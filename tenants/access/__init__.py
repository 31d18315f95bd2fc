"""The only doors: who asks, in which tenant, with which permissions.

Programs come with a token, people with a session, both over HTTP and over sockets. Whatever comes
through has a `Principal`; everything above asks it and nothing else.
"""

from tenants.access.http import ApiAuthentication, Needs, TenantRequest, client_address
from tenants.access.pages import console_view, frame, to_sign_in
from tenants.access.principal import Principal, system_principal
from tenants.access.sockets import (
    NOT_A_MEMBER,
    RECHECK_SECONDS,
    UNAUTHENTICATED,
    Visitor,
    access_group,
    authenticate_socket,
    own_origin,
    still_allowed,
    visitor_still_allowed,
)
from tenants.access.users import enter

__all__ = [
    "NOT_A_MEMBER",
    "RECHECK_SECONDS",
    "UNAUTHENTICATED",
    "ApiAuthentication",
    "Needs",
    "Principal",
    "TenantRequest",
    "Visitor",
    "access_group",
    "authenticate_socket",
    "client_address",
    "console_view",
    "enter",
    "frame",
    "own_origin",
    "still_allowed",
    "system_principal",
    "to_sign_in",
    "visitor_still_allowed",
]
