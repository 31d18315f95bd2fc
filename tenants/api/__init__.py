"""HTTP operations on who may do what: me, members, tokens, audit, socket tickets."""

from tenants.api.keys import AuditExportView, AuditView, SocketTicketsView, TokenRevokeView, TokenRotateView, TokensView
from tenants.api.people import (
    MemberDeactivateView,
    MemberEndSessionsView,
    MemberLinkView,
    MembersView,
    MemberView,
    MeView,
)
from tenants.api.shapes import link_url

__all__ = [
    "AuditExportView",
    "AuditView",
    "MeView",
    "MemberDeactivateView",
    "MemberEndSessionsView",
    "MemberLinkView",
    "MemberView",
    "MembersView",
    "SocketTicketsView",
    "TokenRevokeView",
    "TokenRotateView",
    "TokensView",
    "link_url",
]
