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
    path(
        "members/<str:member_id>/end-sessions",
        api.MemberEndSessionsView.as_view(),
        name="member-end-sessions",
    ),
    path("members/<str:member_id>/link", api.MemberLinkView.as_view(), name="member-link"),
    path("tokens", api.TokensView.as_view(), name="tokens"),
    path("tokens/<str:token_id>/revoke", api.TokenRevokeView.as_view(), name="token-revoke"),
    path("tokens/<str:token_id>/rotate", api.TokenRotateView.as_view(), name="token-rotate"),
    path("audit", api.AuditView.as_view(), name="audit"),
    path("audit/export", api.AuditExportView.as_view(), name="audit-export"),
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
    path("settings/members/<int:member_id>/sessions", console.end_member_sessions, name="settings-member-sessions"),
    path("settings/members/<int:member_id>/factor", console.reset_factor, name="settings-factor-reset"),
    path("settings/you", console.you, name="settings-you"),
    path("settings/you/password", console.change_password, name="settings-password"),
    path("settings/you/factor", console.start_factor, name="settings-factor"),
    path("settings/you/factor/confirm", console.confirm_factor, name="settings-factor-confirm"),
    path("settings/you/factor/codes", console.renew_codes, name="settings-factor-codes"),
    path("settings/you/factor/remove", console.remove_factor, name="settings-factor-remove"),
    path("settings/you/sessions/end", console.end_others, name="settings-sessions-end"),
    path("settings/you/sessions/<str:mark>/end", console.end_session, name="settings-session-end"),
    path("settings/tokens", console.tokens, name="settings-tokens"),
    path("settings/tokens/create", console.create_token, name="settings-token-create"),
    path("settings/tokens/<str:token_id>/revoke", console.revoke_token, name="settings-revoke"),
    path("settings/tokens/<str:token_id>/rotate", console.rotate_token, name="settings-rotate"),
    path("settings/audit", console.audit, name="settings-audit"),
    path("settings/audit.csv", console.audit_export, {"format": "csv"}, name="settings-audit-export"),
    path("settings/audit.ndjson", console.audit_export, {"format": "ndjson"}, name="settings-audit-ndjson"),
]
"""Below ``/t/{slug}/``."""

root_urls = [
    path("", console.landing, name="landing"),
    path("signin", console.sign_in, name="sign-in"),
    path("signin/code", console.sign_in_code, name="sign-in-code"),
    path("signin/sso", console.sign_in_elsewhere, name="sign-in-sso"),
    path("signin/sso/back", console.back_from_elsewhere, name="sign-in-sso-back"),
    path("reauth", console.reauth, name="reauth"),
    path("signout", console.sign_out, name="sign-out"),
    path("join/<str:text>", console.join, name="join"),
]
"""At the root."""
