"""HTTP operations on who may do what: me, members, tokens, audit, socket tickets."""

from tenants.api.keys import AuditView, SocketTicketsView, TokenRevokeView, TokensView
from tenants.api.people import MemberDeactivateView, MemberLinkView, MembersView, MemberView, MeView
from tenants.api.shapes import link_url

__all__ = [
    "AuditView",
    "MeView",
    "MemberDeactivateView",
    "MemberLinkView",
    "MemberView",
    "MembersView",
    "SocketTicketsView",
    "TokenRevokeView",
    "TokensView",
    "link_url",
]
