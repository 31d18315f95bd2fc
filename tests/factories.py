"""One cast of characters for all tests.

At **acme**: Alice is admin, Bob operator, Rita reviewer, Vera viewer. At **globex**: Mallory is admin,
and a stranger to acme. Every call of `make_cast` makes both tenants anew: nothing is flushed between
tests, so the slugs and e-mails carry a suffix.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import factory
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.test import Client

from tenants import selectors, services
from tenants.access import Principal, system_principal
from tenants.access.users import principal_of
from tenants.models import ApiToken, Membership, Tenant, User

PASSWORD = "correct horse battery"
"""Everybody's password."""


@cache
def password_hash() -> str:
    """The hash of `PASSWORD`, made once: hashing it for every person would cost most of a test."""
    return make_password(PASSWORD)


class TenantFactory(factory.Factory[Tenant]):
    """A tenant of its own."""

    class Meta:
        model = Tenant

    slug = factory.LazyFunction(lambda: f"t{uuid.uuid4().hex[:12]}")
    name = factory.Faker("company")

    @classmethod
    def _create(cls, model_class: type[Tenant], *args: Any, **values: Any) -> Tenant:  # noqa: ARG003
        return services.create_tenant(principal=system_principal(), **values)


class UserFactory(factory.Factory[User]):
    """A person; with ``tenant`` and ``role`` also a member."""

    class Meta:
        model = User

    class Params:
        first: ClassVar[str] = "pat"

    email = factory.LazyAttribute(lambda o: f"{o.first}-{uuid.uuid4().hex[:10]}@example.org")
    name = factory.LazyAttribute(lambda o: o.first.capitalize())
    tenant = None
    role = "viewer"

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **values: Any) -> User:  # noqa: ARG003
        tenant, role = values.pop("tenant"), values.pop("role")
        user = model_class.objects.create(password=password_hash(), **values)
        if tenant is not None:
            services.add_member(tenant, principal=system_principal(tenant), user=user, role=role)
        return user


def make_token(
    tenant: Tenant, *scopes: str, producers: Sequence[str] | None = None, name: str = "test"
) -> tuple[ApiToken, str]:
    """A token with these scopes (all of them by default) and its text."""
    return services.create_token(
        tenant,
        principal=system_principal(tenant),
        name=name,
        scopes=scopes or ApiToken.SCOPES,
        producers=producers,
    )


@dataclass(frozen=True)
class Cast:
    """Two tenants and their people."""

    acme: Tenant
    globex: Tenant
    alice: User
    bob: User
    rita: User
    vera: User
    mallory: User

    def principal(self, user: User, tenant: Tenant | None = None) -> Principal:
        """A person as services see them, at acme unless said otherwise."""
        found = principal_of(tenant or self.acme, user)
        assert found is not None
        return found

    def member(self, user: User, tenant: Tenant | None = None) -> Membership:
        """A person's membership, at acme unless said otherwise."""
        rows = selectors.members(tenant or self.acme)
        return next(row for row in rows if row.user_id == user.pk)

    def browser(self, user: User) -> Client:
        """A signed-in browser."""
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    def program(self, *scopes: str, tenant: Tenant | None = None) -> Client:
        """A program with a token, at acme unless said otherwise."""
        _token, text = make_token(tenant or self.acme, *scopes)
        return Client(headers={"Authorization": f"Bearer {text}"})


@transaction.atomic
def make_cast() -> Cast:
    """Everybody, at work; in one transaction, since hundreds of tests begin with this."""
    mark = uuid.uuid4().hex[:8]
    acme = TenantFactory(slug=f"acme-{mark}", name="Acme")
    globex = TenantFactory(slug=f"globex-{mark}", name="Globex")
    return Cast(
        acme=acme,
        globex=globex,
        alice=UserFactory(first="alice", tenant=acme, role="admin"),
        bob=UserFactory(first="bob", tenant=acme, role="operator"),
        rita=UserFactory(first="rita", tenant=acme, role="reviewer"),
        vera=UserFactory(first="vera", tenant=acme, role="viewer"),
        mallory=UserFactory(first="mallory", tenant=globex, role="admin"),
    )
