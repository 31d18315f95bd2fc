"""Members of a tenant: invitation, role, one-time link, deactivation; and platform accounts."""

from __future__ import annotations

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.password_validation import validate_password
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem, invalid, not_found
from tenants import selectors
from tenants.domain.principal import Actor
from tenants.domain.roles import ROLES
from tenants.models import ApiToken, Membership, Session, Tenant, User
from tenants.services import bell
from tenants.services.audit import record_audit, require
from tenants.services.passwords import word_problem
from tenants.services.sessions import forgive, note_about, throttle
from tenants.services.tenants import place_in_group

LINK_SECONDS = 7 * 24 * 3600
_LINK_SALT = "tenants.one-time-link"


def find_or_create_user(email: str, *, name: str = "") -> User:
    """The person with this e-mail, made without a usable password when new."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise invalid("email", "user.email_invalid", f"{email!r} is not an e-mail address.") from None
    if len(name) > 150 or "\x00" in name:
        raise invalid("name", "user.name_invalid", "A name has at most 150 characters.")
    user, created = User.objects.get_or_create(email=email, defaults={"name": name.strip()})
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def password_problem(user: User, password: str, again: str, *, joins: Tenant | None = None) -> Problem | None:
    """What is wrong with a password somebody chose, or ``None``; ``joins`` is where they are no member yet."""
    if password != again:
        return Problem("user.password_differs", 422, "The two passwords differ. Type them again.")
    if len(password) > 1000 or "\x00" in password:
        return Problem("user.password_weak", 422, "A password has at most 1,000 characters.")
    said = [word_problem(password, joins)] if joins is not None else []
    try:
        validate_password(password, user)
    except ValidationError as error:
        said += error.messages
    said = [text for text in dict.fromkeys(said) if text]
    if not said:
        return None
    return Problem(
        "user.password_weak",
        422,
        "Choose another password.",
        errors=[{"path": "password", "code": "user.password_weak", "detail": text} for text in said],
    )


def set_password(user: User, password: str, *, joins: Tenant | None = None) -> None:
    """Check a new password, store it, end every session of the person."""
    refused = password_problem(user, password, password, joins=joins)
    if refused is not None:
        raise refused
    user.set_password(password)
    user.session_epoch += 1
    user.save(update_fields=["password", "session_epoch"])
    Session.objects.filter(user=user).delete()
    bell.ring()


def change_password(request: HttpRequest, user: User, *, current: str, password: str, again: str) -> None:
    """A person chooses another password for themselves; their other sessions end, this one goes on."""
    throttle(user.email, "account")
    if not user.check_password(current):
        note_about(user, "login.refused", after={"by": "password"})
        raise Problem("auth.password_wrong", 401, "The present password is not right.")
    forgive("account", user.email)
    refused = password_problem(user, password, again)
    if refused is not None:
        raise refused
    set_password(user, password)
    update_session_auth_hash(request, user)
    note_about(user, "user.password_changed", principal=_as_actor(None, user))


def add_member(tenant: Tenant, *, principal: Actor, user: User, role: str) -> Membership:
    """Make a person an active member at once (commands, seeding, platform administration)."""
    _check_role(role)
    with tenant_tx(tenant):
        if Membership.objects.filter(user=user).exists():
            raise _already(user.email)
        member = Membership.objects.create(tenant_id=tenant.pk, user=user, role=role)
        place_in_group(tenant, user, role)
        record_audit(
            tenant,
            principal=principal,
            action="member.added",
            target=f"user:{user.email}",
            after={"role": role, "status": member.status},
        )
    return member


def invite_member(tenant: Tenant, *, principal: Actor, email: str, role: str, name: str = "") -> tuple[Membership, str]:
    """Invite by e-mail; the membership and the text of its one-time link (shown once).

    The answer is the same whether the platform knows the address or not. Nothing is active before
    the link is used, and a link never sets the password of somebody who has one.
    """
    require(principal, "admin")
    _check_role(role)
    with tenant_tx(tenant):
        user = find_or_create_user(email, name=name)
        member = Membership.objects.select_for_update().filter(user=user).first()
        if member is not None and member.status == Membership.ACTIVE:
            raise _already(user.email)
        before = _shape(member) if member else None
        if member is None:
            member = Membership(tenant_id=tenant.pk, user=user)
        member.role, member.status = role, Membership.INVITED
        member.link_serial += 1
        member.save()
        record_audit(
            tenant,
            principal=principal,
            action="member.invited",
            target=f"user:{user.email}",
            before=before,
            after=_shape(member),
        )
        return member, _link(tenant, member)


def reset_link(tenant: Tenant, *, principal: Actor, member_id: int) -> tuple[Membership, str]:
    """A new one-time link: for an invited person to join, for a member to choose a new password.

    Refused for people who are active elsewhere too, and for platform superusers: an admin of one
    tenant must not get hold of an account that opens another.
    """
    require(principal, "admin")
    with tenant_tx(tenant):
        member = guarded_member(tenant, member_id)
        member.link_serial += 1
        member.save(update_fields=["link_serial"])
        record_audit(
            tenant,
            principal=principal,
            action="member.link_issued",
            target=f"user:{member.user.email}",
            after={"status": member.status},
        )
        return member, _link(tenant, member)


def open_link(text: str) -> tuple[Tenant, Membership]:
    """The tenant and membership of a one-time link. 404 for a used, old or foreign one."""
    dead = Problem("link.not_found", 404, "This link was used already or is too old. Ask an admin for a new one.")
    try:
        tenant_id, member_id, serial = signing.loads(text, salt=_LINK_SALT, max_age=LINK_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        raise dead from None
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        raise dead
    with tenant_tx(tenant):
        member = Membership.objects.select_related("user").filter(pk=member_id, link_serial=serial).first()
    if member is None or member.status == Membership.DEACTIVATED or not member.user.is_active:
        raise dead
    return tenant, member


def use_link(text: str, *, password: str, signed_in: User | None = None) -> tuple[Tenant, User]:
    """Join or choose a new password by a one-time link; afterwards the link is dead.

    An invited person who already has a password must be signed in as themselves and sets none:
    otherwise two tenants that invite one address could take over each other's member.
    """
    tenant, seen = open_link(text)
    with tenant_tx(tenant):
        member = _locked(seen.pk)
        if member.link_serial != seen.link_serial or member.status != seen.status:
            raise Problem("link.not_found", 404, "This link was used already. Ask for a new one.")
        user = User.objects.select_for_update().get(pk=member.user_id)
        joining = member.status == Membership.INVITED
        if joining and user.has_usable_password():
            if signed_in is None or signed_in.pk != user.pk:
                raise Problem("link.sign_in_first", 403, f"Sign in as {user.email}, then open the link again.")
        elif not joining and _opens_more(tenant, user):
            raise _foreign_account()
        else:
            set_password(user, password, joins=tenant)
        member.status = Membership.ACTIVE
        member.link_serial += 1
        member.save(update_fields=["status", "link_serial"])
        place_in_group(tenant, user, member.role)
        record_audit(
            tenant,
            principal=_as_actor(tenant, user),
            action="member.joined" if joining else "member.password_reset",
            target=f"user:{user.email}",
            after=_shape(member),
        )
        bell.ring()
    return tenant, user


def change_role(tenant: Tenant, *, principal: Actor, member_id: int, role: str) -> Membership:
    """Give a member another role. The last admin keeps theirs."""
    require(principal, "admin")
    _check_role(role)
    with tenant_tx(tenant):
        _hold_admins()
        member = _locked(member_id)
        if member.role == role:
            return member
        _keep_one_admin(member)
        before = _shape(member)
        member.role = role
        member.save(update_fields=["role"])
        if member.active:
            place_in_group(tenant, member.user, role)
        record_audit(
            tenant,
            principal=principal,
            action="member.role_changed",
            target=f"user:{member.user.email}",
            before=before,
            after=_shape(member),
        )
        bell.ring()
    return member


def deactivate_member(tenant: Tenant, *, principal: Actor, member_id: int, reason: str = "") -> Membership:
    """End a membership: permissions at once, their tokens and open sockets within a second.

    Somebody without another membership is signed out everywhere.
    """
    require(principal, "admin")
    with tenant_tx(tenant):
        _hold_admins()
        member = _locked(member_id)
        if member.status == Membership.DEACTIVATED:
            return member
        _keep_one_admin(member)
        before = _shape(member)
        member.status = Membership.DEACTIVATED
        member.link_serial += 1
        member.save(update_fields=["status", "link_serial"])
        place_in_group(tenant, member.user, None)
        issued = ApiToken.objects.filter(created_by=member.user, revoked_at=None)
        tokens = sorted(issued.values_list("id", flat=True))
        issued.update(revoked_at=clock.now())
        if not selectors.other_tenant_ids(tenant, member.user):
            User.objects.filter(pk=member.user_id).update(session_epoch=member.user.session_epoch + 1)
            Session.objects.filter(user=member.user).delete()
        record_audit(
            tenant,
            principal=principal,
            action="member.deactivated",
            target=f"user:{member.user.email}",
            reason=reason,
            before=before,
            after=_shape(member) | {"tokens_revoked": tokens},
        )
        bell.ring()
    return member


def end_member_sessions(tenant: Tenant, *, principal: Actor, member_id: int, reason: str) -> tuple[Membership, int]:
    """An admin signs a member out everywhere, with their sockets; how many sessions that were.

    They may sign in again. Refused for accounts that open more than this tenant, as a new password is.
    """
    require(principal, "admin")
    if not reason.strip():
        raise invalid("reason", "member.reason_missing", "Say why; it is kept in the audit log.", status=422)
    with tenant_tx(tenant):
        member = guarded_member(tenant, member_id)
        count = selectors.living_sessions().filter(user=member.user).count()
        User.objects.filter(pk=member.user_id).update(session_epoch=member.user.session_epoch + 1)
        Session.objects.filter(user=member.user).delete()
        record_audit(
            tenant,
            principal=principal,
            action="member.sessions_ended",
            target=f"user:{member.user.email}",
            reason=reason,
            after={"sessions": count},
        )
        bell.ring()
    return member, count


def set_user_active(user: User, *, principal: Actor, active: bool) -> None:
    """Platform superusers: lock a person out of every tenant, or let them in again."""
    with transaction.atomic():
        user.is_active = active
        user.session_epoch += 1
        user.save(update_fields=["is_active", "session_epoch"])
        Session.objects.filter(user=user).delete()
    for tenant in Tenant.objects.filter(pk__in=selectors.tenant_ids(user)):
        record_audit(
            tenant,
            principal=principal,
            action="user.activated" if active else "user.locked",
            target=f"user:{user.email}",
        )
    bell.ring()


def guarded_member(tenant: Tenant, member_id: int) -> Membership:
    """A member whose credentials an admin of this tenant may renew, locked.

    Not the ones of an account that opens more: they would open that too.
    """
    member = _locked(member_id)
    if member.status == Membership.DEACTIVATED:
        raise Problem("member.deactivated", 409, "This member is deactivated. Invite them again.")
    if member.status == Membership.ACTIVE and _opens_more(tenant, member.user):
        raise _foreign_account()
    return member


def _as_actor(tenant: Tenant | None, user: User) -> Actor:
    number = tenant.pk if tenant else 0
    return Actor("user", f"user:{user.email}", user.label, frozenset(), user_id=user.pk, tenant_id=number)


def _link(tenant: Tenant, member: Membership) -> str:
    return signing.dumps([tenant.pk, member.pk, member.link_serial], salt=_LINK_SALT)


def _shape(member: Membership) -> dict[str, str]:
    return {"role": member.role, "status": member.status}


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise invalid("role", "member.role_unknown", f"There is no role {role!r}. Roles: {', '.join(ROLES)}.")


def _locked(member_id: int) -> Membership:
    member = Membership.objects.select_for_update(of=("self",)).select_related("user").filter(pk=member_id).first()
    if member is None:
        raise not_found("member", str(member_id))
    return member


def _hold_admins() -> None:
    """Lock the admins' rows in one order, so that two demotions cannot both see another admin."""
    list(
        Membership.objects.select_for_update()
        .filter(role="admin", status=Membership.ACTIVE)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def _keep_one_admin(member: Membership) -> None:
    if member.role != "admin" or not member.active:
        return
    others = Membership.objects.filter(role="admin", status=Membership.ACTIVE, user__is_active=True)
    if not others.exclude(pk=member.pk).exists():
        raise Problem("member.last_admin", 409, "This is the tenant's last admin. Make somebody else admin first.")


def _opens_more(tenant: Tenant, user: User) -> bool:
    return user.is_superuser or bool(selectors.other_tenant_ids(tenant, user))


def _already(email: str) -> Problem:
    return Problem("member.exists", 409, f"{email} is a member already. Change the role instead.")


def _foreign_account() -> Problem:
    return Problem(
        "member.account_shared",
        409,
        "This account opens more than your tenant. A platform administrator has to reset it.",
    )
