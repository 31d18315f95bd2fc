"""Addresses of the doors."""

from __future__ import annotations

from django.urls import path

from tenants import api, console

api_urls = [
    path("me", api.MeView.as_view(), name="me"),
    path("members", api.MembersView.as_view(), name="members"),
    path("members/<str:member_id>", api.MemberView.as_view(), name="member"),
    path(
        "members/<str:member_id>/deactivate",
        api.MemberDeactivateView.as_view(),
        name="member-deactivate",
    ),
    path("members/<str:member_id>/link", api.MemberLinkView.as_view(), name="member-link"),
    path("tokens", api.TokensView.as_view(), name="tokens"),
    path("tokens/<str:token_id>/revoke", api.TokenRevokeView.as_view(), name="token-revoke"),
    path("audit", api.AuditView.as_view(), name="audit"),
    path("socket-tickets", api.SocketTicketsView.as_view(), name="socket-tickets"),
]
"""Below ``/api/v1/``."""

console_urls = [
    path("settings", console.settings_home, name="settings"),
    path("settings/members", console.members, name="settings-members"),
    path("settings/members/invite", console.invite, name="settings-invite"),
    path("settings/members/<int:member_id>/role", console.change_role, name="settings-role"),
    path("settings/members/<int:member_id>/link", console.member_link, name="settings-link"),
    path(
        "settings/members/<int:member_id>/deactivate",
        console.deactivate,
        name="settings-deactivate",
    ),
    path("settings/tokens", console.tokens, name="settings-tokens"),
    path("settings/tokens/create", console.create_token, name="settings-token-create"),
    path("settings/tokens/<str:token_id>/revoke", console.revoke_token, name="settings-revoke"),
    path("settings/audit", console.audit, name="settings-audit"),
    path("settings/audit.csv", console.audit_export, name="settings-audit-export"),
]
"""Below ``/t/{slug}/``."""

root_urls = [
    path("", console.landing, name="landing"),
    path("signin", console.sign_in, name="sign-in"),
    path("signout", console.sign_out, name="sign-out"),
    path("join/<str:text>", console.join, name="join"),
]
"""At the root."""
