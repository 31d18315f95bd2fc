"""People, tenants, memberships, tokens, the audit log."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from decisiongraph.core import clock
from decisiongraph.core.db import TenantModel
from tenants.domain.roles import MEANING, PERMISSIONS, ROLES, SCOPES

SLUG = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?\Z",
    "Use 1 to 50 lower-case letters, digits and hyphens, not at the ends.",
)


class UserManager(BaseUserManager["User"]):
    """Finds people by e-mail, whatever the case."""

    def create_superuser(self, email: str, password: str | None = None, **extra: object) -> User:
        """A platform superuser, for ``manage.py createsuperuser``."""
        user = self.model(email=email.strip().lower(), is_superuser=True, is_staff=True, **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        """The person with this e-mail."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Signs in with the e-mail; what they may do is in their memberships."""

    id = models.AutoField(primary_key=True)
    email = models.EmailField("e-mail", unique=True, max_length=254)
    name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=clock.now, editable=False)
    session_epoch = models.PositiveIntegerField(default=0, editable=False)
    """Part of the session hash: one more ends every session of this person."""

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="tenants_user_email_lower")
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def label(self) -> str:
        """The name, or the e-mail of somebody without one."""
        return self.name or self.email

    def get_full_name(self) -> str:
        """Name for Django's own pages."""
        return self.label

    def get_short_name(self) -> str:
        """Name for Django's own pages."""
        return self.label

    def get_session_auth_hash(self) -> str:
        """Changes with the password and with ``session_epoch``; a session with another one ends."""
        return self._hash(None)

    def get_session_auth_fallback_hash(self):
        """The same under retired secret keys."""
        from django.conf import settings

        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._hash(secret)

    def _hash(self, secret: str | bytes | None) -> str:
        value = f"{self.password}:{self.session_epoch}"
        return salted_hmac("tenants.session", value, secret=secret, algorithm="sha256").hexdigest()


class Tenant(models.Model):
    """An organisation with its own log. ``id`` is the tenant number of locks and policies."""

    id = models.AutoField(primary_key=True)
    slug = models.CharField(max_length=50, unique=True, validators=[SLUG])
    name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    limits = models.JSONField(default=dict, blank=True, editable=False)
    """Where this tenant differs from the settings: ``{"token": "600/60", "tenant": "0"}``."""

    class Meta:
        default_permissions = ()
        permissions: ClassVar = [(name, f"May {MEANING[name]}") for name in PERMISSIONS]
        ordering: ClassVar = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class Membership(TenantModel):
    """A person's role in a tenant. ``invited`` becomes ``active`` by the one-time link."""

    INVITED, ACTIVE, DEACTIVATED = "invited", "active", "deactivated"
    STATUSES: ClassVar = [(s, s) for s in (INVITED, ACTIVE, DEACTIVATED)]

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=16, choices=[(r, r) for r in ROLES])
    status = models.CharField(max_length=16, choices=STATUSES, default=ACTIVE)
    link_serial = models.PositiveIntegerField(default=0)
    """Number of one-time links given out and used: a link carries it and dies when it moves on."""
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "user"], name="tenants_membership_user"),
            models.CheckConstraint(condition=models.Q(role__in=ROLES), name="tenants_membership_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.role}"

    @property
    def active(self) -> bool:
        """Whether the role counts."""
        return self.status == self.ACTIVE


class ApiToken(TenantModel):
    """A program's key. Only an HMAC of the secret is kept."""

    id = models.CharField(primary_key=True, max_length=8)
    name = models.CharField(max_length=100)
    secret_hmac = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    producers = models.JSONField(null=True, blank=True)
    """Producer ids the token may speak for; ``None`` = any."""
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", editable=False)
    created_by_label = models.CharField(max_length=254, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    """To the minute."""
    revoked_at = models.DateTimeField(null=True, editable=False)
    replaced_by = models.CharField(max_length=8, blank=True, editable=False)
    """The token that took over when this one was rotated; until it expires both open the door."""

    SCOPES: ClassVar = SCOPES

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "-created_at", "id"], name="tenants_apitoken_list")]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"

    @property
    def state(self) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= clock.now():
            return "expired"
        return "active"


class AuditEntry(TenantModel):
    """One privileged action, or the refusal of one. Never changed, never deleted."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=clock.now)
    actor = models.CharField(max_length=300)
    on_behalf_of = models.CharField(max_length=300, blank=True)
    """For a token: the person who issued it."""
    action = models.CharField(max_length=100)
    target = models.CharField(max_length=300, blank=True)
    reason = models.TextField(blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=100, blank=True)
    address = models.CharField(max_length=64, blank=True)

    class Meta(TenantModel.Meta):
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-id"], name="tenants_audit_list"),
            models.Index(fields=["tenant", "action", "-id"], name="tenants_audit_action"),
            models.Index(fields=["tenant", "actor", "-id"], name="tenants_audit_actor"),
            models.Index(fields=["tenant", "target", "id"], name="tenants_audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"


class SigningKey(TenantModel):
    """An Ed25519 key of the tenant: exports and checkpoints of the log are signed with it.

    The newest signs; older ones stay, for what they have signed.
    """

    id = models.BigAutoField(primary_key=True)
    key_id = models.TextField()
    """Sixteen hex digits of the public key's SHA-256."""
    public_key = models.BinaryField()
    private_key = models.BinaryField()
    """Encrypted (`tenants.services.vault`); never leaves the process."""
    created_at = models.DateTimeField(default=clock.now)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "key_id"], name="tenants_signing_key")]

    def __str__(self) -> str:
        return self.key_id


class SocketTicket(TenantModel):
    """Right to open one socket within a minute. Deleted when used."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=64)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    token_id = models.CharField(max_length=8, blank=True)
    expires_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "digest"], name="tenants_ticket_digest")]

    def __str__(self) -> str:
        return f"ticket {self.pk}"


class LoginThrottle(models.Model):
    """Attempts to sign in, per account and per address, in the current window.

    ``key`` is an HMAC, so the table shows neither e-mails that do not exist nor addresses.
    """

    key = models.CharField(max_length=64, primary_key=True)
    window_start = models.DateTimeField()
    attempts = models.PositiveIntegerField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["window_start"], name="tenants_throttle_age")]

    def __str__(self) -> str:
        return f"{self.attempts} since {self.window_start}"


class Session(AbstractBaseSession):
    """A signed-in browser. ``session_key`` is a digest: who reads the table opens no session."""

    session_key = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    last_seen_at = models.DateTimeField(default=clock.now)
    """When the person last did something, to the minute; a page that refreshes itself does not count."""
    address = models.CharField(max_length=64, blank=True)
    device = models.CharField(max_length=300, blank=True)
    """What the browser says it is."""

    def __str__(self) -> str:
        return f"session of {self.user_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """What the session holds changes; when it began and from where it is used does not."""
        if kwargs.get("force_update"):
            kwargs["update_fields"] = ("session_data", "expire_date", "user")
        super().save(*args, **kwargs)


class SecondFactor(models.Model):
    """A person's authenticator app. Counts once ``confirmed_at`` is set."""

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="+")
    secret = models.BinaryField()
    """Encrypted under a key derived from ``SECRET_KEY``."""
    created_at = models.DateTimeField(default=clock.now)
    confirmed_at = models.DateTimeField(null=True)
    last_step = models.BigIntegerField(default=0)
    """The time step of the last code that was taken: no code counts twice."""

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class RecoveryCode(models.Model):
    """Opens once what the authenticator app would open."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "digest"], name="tenants_recovery_code")]

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class Identity(models.Model):
    """Who a person is at an identity provider; tied at the first sign-in from there."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=300)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name_plural = "identities"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="tenants_identity_subject"),
            models.UniqueConstraint(fields=["user", "issuer"], name="tenants_identity_user"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
