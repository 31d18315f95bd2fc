"""Pages of the doors: sign in, first run, one-time links, settings of people, tokens and the audit log."""

from tenants.console.audit import audit, audit_export
from tenants.console.frame import SECTIONS
from tenants.console.keys import create_token, revoke_token, rotate_token, tokens
from tenants.console.members import (
    change_role,
    deactivate,
    end_member_sessions,
    invite,
    member_link,
    members,
    reset_factor,
    settings_home,
)
from tenants.console.signing import (
    back_from_elsewhere,
    join,
    landing,
    reauth,
    sign_in,
    sign_in_code,
    sign_in_elsewhere,
    sign_out,
)
from tenants.console.you import (
    change_password,
    confirm_factor,
    end_others,
    end_session,
    remove_factor,
    renew_codes,
    start_factor,
    you,
)

__all__ = [
    "SECTIONS",
    "audit",
    "audit_export",
    "back_from_elsewhere",
    "change_password",
    "change_role",
    "confirm_factor",
    "create_token",
    "deactivate",
    "end_member_sessions",
    "end_others",
    "end_session",
    "invite",
    "join",
    "landing",
    "member_link",
    "members",
    "reauth",
    "remove_factor",
    "renew_codes",
    "reset_factor",
    "revoke_token",
    "rotate_token",
    "settings_home",
    "sign_in",
    "sign_in_code",
    "sign_in_elsewhere",
    "sign_out",
    "start_factor",
    "tokens",
    "you",
]
