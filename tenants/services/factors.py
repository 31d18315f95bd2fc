"""The second factor: an authenticator app (RFC 6238) and recovery codes for the day it is lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings
from django.db import transaction

from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from decisiongraph.core.errors import Problem
from tenants.domain.principal import Actor
from tenants.models import RecoveryCode, SecondFactor, Tenant, User
from tenants.selectors import second_factor
from tenants.services import bell, vault
from tenants.services.audit import record_audit, require
from tenants.services.people import guarded_member
from tenants.services.sessions import forgive, note_about, throttle
from tenants.services.visits import as_person

STEP = 30
DIGITS = 6
"""What every authenticator app understands; so is SHA-1, whose weakness HMAC does not share."""
WINDOW = 1
"""Steps before and after now whose code is taken: clocks of phones differ, and people type slowly."""
RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_PURPOSE = "decisiongraph.second-factor/1:"


class Enrolment(NamedTuple):
    """What the person gives to their app, by picture or by hand."""

    address: str
    """``otpauth://totp/...``, for the QR code."""
    secret: str
    """The same secret for typing, in groups of four."""


def start_factor(user: User) -> Enrolment:
    """A new secret for a person who has no second factor; it counts once a code of it was shown."""
    if second_factor(user) is not None:
        raise Problem("factor.exists", 409, "There is a second factor already. Remove it first.")
    secret = secrets.token_bytes(20)
    SecondFactor.objects.update_or_create(
        user=user,
        defaults={"secret": _seal(user, secret), "created_at": clock.now(), "confirmed_at": None, "last_step": 0},
    )
    return _enrolment(user, secret)


def pending_factor(user: User) -> Enrolment | None:
    """The enrolment that waits for its first code."""
    row = SecondFactor.objects.filter(user=user, confirmed_at=None).first()
    return _enrolment(user, _unseal(row)) if row else None


def confirm_factor(user: User, *, code: str) -> list[str]:
    """Turn the second factor on with the app's first code; the recovery codes, shown once."""
    throttle(user.email, "code")
    with transaction.atomic():
        row = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at=None).first()
        if row is None:
            raise Problem("factor.not_started", 409, "Start again: there is no second factor to confirm.")
        step = _step_of(_unseal(row), code)
        if step is None:
            raise Problem("auth.code_wrong", 422, "The app shows another code now. Check its clock and try again.")
        row.confirmed_at, row.last_step = clock.now(), step
        row.save(update_fields=["confirmed_at", "last_step"])
        codes = _new_codes(user)
    forgive("code", user.email)
    note_about(user, "factor.enrolled", principal=as_person(user))
    return codes


def check_code(user: User, *, code: str, address: str = "") -> str:
    """``totp`` or ``recovery``, whichever this code is; each counts once. 401 for anything else.

    Throttled per account, and per address where one is given, before the code is looked at.
    """
    throttle(user.email, "code", address=address)
    row = second_factor(user)
    if row is None:
        raise Problem("factor.not_found", 409, "There is no second factor. Sign in with the password.")
    how = _taken(row, code) or _recovered(user, code)
    if not how:
        note_about(user, "login.refused", address=address, after={"by": "code"})
        raise Problem("auth.code_wrong", 401, "This code is not right, or was used already.")
    forgive("code", user.email)
    if how == "recovery":
        left = RecoveryCode.objects.filter(user=user, used_at=None).count()
        note_about(user, "factor.recovery_used", principal=as_person(user), after={"left": left})
    return how


def try_code(user: User, *, code: str, address: str) -> str | Problem:
    """`check_code` for the form that shows a refusal beside its field."""
    try:
        return check_code(user, code=code, address=address)
    except Problem as problem:
        return problem


def renew_recovery_codes(user: User) -> list[str]:
    """New recovery codes; the old ones open nothing any more."""
    if second_factor(user) is None:
        raise Problem("factor.not_found", 409, "Recovery codes need a second factor first.")
    with transaction.atomic():
        codes = _new_codes(user)
    note_about(user, "factor.codes_renewed", principal=as_person(user))
    return codes


def remove_factor(user: User) -> None:
    """A person takes away their own second factor."""
    if _drop(user):
        note_about(user, "factor.removed", principal=as_person(user))


def drop_factor(user: User, *, principal: Actor, reason: str = "") -> bool:
    """The platform takes away a person's second factor; whether there was one."""
    had = _drop(user)
    if had:
        note_about(user, "factor.reset", principal=principal, reason=reason)
        bell.ring()
    return had


def reset_factor(tenant: Tenant, *, principal: Actor, member_id: int, reason: str = "") -> User:
    """An admin takes away a member's second factor, whose phone and codes are lost.

    Refused for accounts that open more than this tenant, as a new password is.
    """
    require(principal, "admin")
    with tenant_tx(tenant):
        member = guarded_member(tenant, member_id)
        had = _drop(member.user)
        if had:
            record_audit(
                tenant, principal=principal, action="factor.reset", target=f"user:{member.user.email}", reason=reason
            )
            bell.ring()
    return member.user


def _drop(user: User) -> bool:
    with transaction.atomic():
        RecoveryCode.objects.filter(user=user).delete()
        count, _ = SecondFactor.objects.filter(user=user).delete()
    return bool(count)


def _taken(row: SecondFactor, code: str) -> str:
    step = _step_of(_unseal(row), code)
    if step is None:
        return ""
    # One statement decides: of two who show the same code at once, one gets in.
    fresh = SecondFactor.objects.filter(pk=row.pk, confirmed_at__isnull=False, last_step__lt=step)
    return "totp" if fresh.update(last_step=step) else ""


def _recovered(user: User, code: str) -> str:
    plain = re.sub(r"[\s-]", "", code).lower()
    unused = RecoveryCode.objects.filter(user=user, digest=_digest(user, plain), used_at=None)
    return "recovery" if len(plain) == 10 and unused.update(used_at=clock.now()) else ""


def _step_of(secret: bytes, code: str) -> int | None:
    """The time step this is the code of, within the window."""
    plain = re.sub(r"\s", "", code)
    if not (plain.isascii() and plain.isdigit() and len(plain) == DIGITS):
        return None
    now = int(clock.now().timestamp()) // STEP
    right = [
        step
        for step in range(now - WINDOW, now + WINDOW + 1)
        if hmac.compare_digest(_totp(secret).generate(step * STEP), plain.encode())
    ]
    return right[-1] if right else None


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP)


def _enrolment(user: User, secret: bytes) -> Enrolment:
    text = base64.b32encode(secret).decode()
    return Enrolment(
        _totp(secret).get_provisioning_uri(user.email, "DecisionGraph"),
        " ".join(text[at : at + 4] for at in range(0, len(text), 4)),
    )


def _new_codes(user: User) -> list[str]:
    RecoveryCode.objects.filter(user=user).delete()
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=_digest(user, code)) for code in codes)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _digest(user: User, code: str) -> str:
    """A code has 49 random bits and few attempts; under the key of the platform its digest tells nothing."""
    key = hashlib.sha256(b"tenants.recovery-code:" + settings.SECRET_KEY.encode()).digest()
    return hmac.new(key, f"{user.pk}:{code}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _seal(user: User, secret: bytes) -> bytes:
    return vault.seal(f"{_PURPOSE}{user.pk}", secret)


def _unseal(row: SecondFactor) -> bytes:
    try:
        return vault.unseal(f"{_PURPOSE}{row.user_id}", row.secret)
    except vault.Unreadable:
        raise Problem(
            "factor.unreadable",
            409,
            "The platform's secret key has changed: this second factor has to be reset by an admin.",
        ) from None
