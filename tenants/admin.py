"""Django's admin: one tenant at a time; reads are scoped by the database, writes go through services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse

from decisiongraph.core.db import tenant_tx
from tenants import selectors, services
from tenants.access import Principal, client_address
from tenants.access.http import admit
from tenants.access.pages import to_sign_in
from tenants.access.users import no_such_tenant, principal_of
from tenants.models import ApiToken, AuditEntry, Membership, SigningKey, Tenant, User
from tenants.services.audit import note_request

SESSION_KEY = "admin_tenant"
UNUSED = frozenset({"password_change", "password_change_done", "view_on_site"})
"""Django's own pages that would go around our services or show objects of another tenant."""


def tenants_for(user: object) -> QuerySet[Tenant]:
    """The tenants whose admin pages somebody may open: where they are admin; superusers all."""
    if not isinstance(user, User) or not user.is_active:
        return Tenant.objects.none()
    if user.is_superuser:
        return Tenant.objects.order_by("name", "pk")
    return selectors.tenants_of(user, "admin")


class PlatformAdmin(admin.AdminSite):
    """The site at ``/admin/``. Every page of tenant data runs inside the chosen tenant's transaction."""

    site_title = "DecisionGraph admin"
    site_header = "DecisionGraph"
    index_title = "Administration"
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Only pages that know tenants; Django's own page of groups, for one, would show everybody's."""
        if admin_class is not None and issubclass(admin_class, Audited):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Platform superusers, and admins of at least one tenant."""
        user = request.user
        if not isinstance(user, User) or not user.is_active:
            return False
        return user.is_superuser or tenants_for(user).exists()

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """Enter the tenant before the page, and render inside: the admin's lists are lazy."""
        owner = getattr(view, "__self__", None)

        def scoped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            note_request(client_address(request), f"{request.method} {request.path}"[:300])
            tenant = choose(request)
            if tenant is None or isinstance(owner, PlatformModelAdmin):
                return rendered(view(request, *args, **kwargs))
            with tenant_tx(tenant):
                return rendered(view(request, *args, **kwargs))

        return super().admin_view(scoped, cacheable)

    def get_urls(self) -> list[Any]:
        """Django's pages without those of `UNUSED`, and the switch."""
        kept = [each for each in super().get_urls() if getattr(each, "name", None) not in UNUSED]
        switch = path("tenant/<slug:slug>/", self.admin_view(self.switch), name="switch_tenant")
        return [switch, *kept]

    def switch(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Choose the tenant of the following pages; 404 for one that is not theirs."""
        if not tenants_for(request.user).filter(slug=slug).exists():
            raise no_such_tenant(slug)
        request.session[SESSION_KEY] = slug
        return HttpResponseRedirect(reverse("admin:index"))

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The console's own sign-in: it throttles."""
        request.get_full_path = lambda *_a, **_k: request.GET.get("next") or reverse("admin:index")  # type: ignore[method-assign]
        return to_sign_in(request)

    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The console's own sign-out page."""
        return HttpResponseRedirect("/")

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Also the tenant, and those to switch to."""
        tenant = getattr(request, "tenant", None)
        return super().each_context(request) | {
            "admin_tenant": tenant,
            "admin_tenants": list(tenants_for(request.user)),
            "site_header": f"DecisionGraph: {tenant.name}" if tenant else self.site_header,
            "has_permission": True,
        }


_site = PlatformAdmin(name="admin")


def platform_site() -> PlatformAdmin:
    """The one site. A function, because Django asks for it again while this module is being read."""
    return _site


def choose(request: HttpRequest) -> Tenant | None:
    """The tenant of this admin request, put on it together with the principal."""
    mine = tenants_for(request.user)
    tenant = mine.filter(slug=request.session.get(SESSION_KEY, "")).first() or mine.first()
    user = request.user
    if tenant is None or not isinstance(user, User):
        return None
    principal = principal_of(tenant, user)
    if user.is_superuser and (principal is None or not principal.may("admin")):
        principal = Principal(
            "user",
            f"user:{user.email}",
            user.label,
            frozenset({"read", "admin"}),
            user_id=user.pk,
            tenant_id=tenant.pk,
        )
    if principal is None:
        return None
    admit(request, tenant, principal)
    return tenant


def rendered(response: HttpResponse) -> HttpResponse:
    """Template responses are rendered later by default; here it must happen inside the transaction."""
    render = getattr(response, "render", None)
    return render() if callable(render) else response


class Audited(admin.ModelAdmin):
    """Nothing may be done by default; Django's own change log stays empty, ours says who did what."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Services write the audit line."""

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Services write the audit line."""

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Nothing is deleted here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: nothing of this platform is deleted by hand."""
        return False

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """The audit log is the history."""
        return HttpResponseRedirect(reverse("admin:tenants_auditentry_changelist"))


class TenantModelAdmin(Audited):
    """Base of every page of tenant data, in every app: read-only, for admins of the tenant."""

    show_full_result_count = False
    list_per_page = 50

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the app is listed."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Admins of the tenant of this request."""
        principal = getattr(request, "principal", None)
        return bool(principal and principal.may("admin"))


class PlatformModelAdmin(Audited):
    """Base of the pages without a tenant: platform superusers only."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the app is listed."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


@admin.register(Membership)
class MembershipAdmin(TenantModelAdmin):
    """Members: an admin changes roles and deactivates; invitations are made in the console."""

    list_display = ("user", "role", "status", "created_at")
    list_filter = ("role", "status")
    fields = ("user", "role", "status", "created_at")
    actions = ["deactivate"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only the role can be changed; the person only when a superuser adds one."""
        return ("user", "status", "created_at") if obj else ("status", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers: choosing a person shows the people of all tenants."""
        return self.has_view_permission(request) and getattr(request.user, "is_superuser", False)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Admins of the tenant."""
        return self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        """Through the services."""
        tenant, principal = request.tenant, request.principal  # type: ignore[attr-defined]
        if change:
            services.change_role(tenant, principal=principal, member_id=obj.pk, role=obj.role)
        else:
            made = services.add_member(tenant, principal=principal, user=obj.user, role=obj.role)
            obj.pk, obj.tenant_id = made.pk, made.tenant_id

    @admin.action(description="Deactivate: ends sessions, tokens and sockets")
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        """Through the services."""
        for member in queryset:
            services.deactivate_member(
                request.tenant,  # type: ignore[attr-defined]
                principal=request.principal,  # type: ignore[attr-defined]
                member_id=member.pk,
                reason="Django admin",
            )
        messages.success(request, "Deactivated.")


@admin.register(ApiToken)
class ApiTokenAdmin(TenantModelAdmin):
    """Tokens: seen and revoked here; made in the console, where the secret is shown once."""

    list_display = ("id", "name", "scopes", "state", "created_by_label", "last_used_at", "expires_at")
    fields = (
        "id", "name", "scopes", "producers", "created_by_label", "created_at", "expires_at",
        "last_used_at", "revoked_at",
    )  # fmt: skip
    actions = ["revoke"]

    @admin.action(description="Revoke")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Through the services."""
        for token in queryset:
            services.revoke_token(
                request.tenant,  # type: ignore[attr-defined]
                principal=request.principal,  # type: ignore[attr-defined]
                token_id=token.pk,
                reason="Django admin",
            )
        messages.success(request, "Revoked.")


@admin.register(AuditEntry)
class AuditEntryAdmin(TenantModelAdmin):
    """The audit log, read-only."""

    list_display = ("at", "actor", "action", "target", "reason", "address")
    list_filter = ("action",)
    search_fields = ("actor", "target")
    ordering = ("-id",)


@admin.register(Tenant)
class TenantAdmin(PlatformModelAdmin):
    """Tenants: superusers make and rename them."""

    list_display = ("slug", "name", "created_at")
    fields = ("slug", "name")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The slug is in every link and stays."""
        return ("slug",) if obj else ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        """Through the services."""
        actor = _superuser(request)
        if change:
            services.rename_tenant(obj, principal=actor, name=obj.name)
        else:
            made = services.create_tenant(obj.slug, principal=actor, name=obj.name)
            obj.pk = made.pk


@admin.register(User)
class UserAdmin(PlatformModelAdmin):
    """People: superusers make accounts and lock them."""

    list_display = ("email", "name", "is_active", "is_superuser", "last_login")
    search_fields = ("email", "name")
    ordering = ("email",)
    actions = ["lock", "unlock"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A new account needs an e-mail and a name only."""
        if obj is None:
            return ("email", "name")
        return ("email", "name", "is_active", "is_superuser", "date_joined", "last_login")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        """Through the services; the account gets its password by a one-time link of a tenant."""
        obj.pk = services.find_or_create_user(obj.email, name=obj.name).pk

    @admin.action(description="Lock out of every tenant")
    def lock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Through the services; never oneself."""
        for user in queryset.exclude(pk=request.user.pk or 0):
            services.set_user_active(user, principal=_superuser(request), active=False)

    @admin.action(description="Let in again")
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Through the services."""
        for user in queryset:
            services.set_user_active(user, principal=_superuser(request), active=True)


def _superuser(request: HttpRequest) -> Principal:
    user = request.user
    assert isinstance(user, User)
    return Principal("user", f"user:{user.email}", user.label, frozenset(), user_id=user.pk)


@admin.register(SigningKey)
class SigningKeyAdmin(TenantModelAdmin):
    """Public keys of exports and checkpoints; the private halves stay in the database."""

    list_display = ("id", "created_at")
    ordering = ("-id",)
    exclude = ("tenant", "private_key")
