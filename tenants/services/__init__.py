"""The only writers of people, tenants, tokens and the audit log."""

from tenants.services.audit import record_audit, record_refusal
from tenants.services.people import (
    add_member,
    change_role,
    deactivate_member,
    find_or_create_user,
    invite_member,
    open_link,
    password_problem,
    reset_link,
    set_password,
    set_user_active,
    use_link,
)
from tenants.services.sessions import forget_attempts, sign_in, try_sign_in
from tenants.services.tenants import create_tenant, rename_tenant, sync_groups
from tenants.services.tokens import (
    consume_ticket,
    create_token,
    issue_ticket,
    note_token_use,
    revoke_token,
)

__all__ = [
    "add_member",
    "change_role",
    "consume_ticket",
    "create_tenant",
    "create_token",
    "deactivate_member",
    "find_or_create_user",
    "forget_attempts",
    "invite_member",
    "issue_ticket",
    "note_token_use",
    "open_link",
    "password_problem",
    "record_audit",
    "record_refusal",
    "rename_tenant",
    "reset_link",
    "revoke_token",
    "set_password",
    "set_user_active",
    "sign_in",
    "sync_groups",
    "try_sign_in",
    "use_link",
]
