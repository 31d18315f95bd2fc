"""The words of this installation that make no password: product, host, tenants, and what `PASSWORD_WORDS` adds."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from tenants import selectors
from tenants.domain.passwords import SHORTEST_REST, made_of, words_in
from tenants.models import Tenant, User

PRODUCT = "DecisionGraph"


def words_here(*tenants: Tenant) -> frozenset[str]:
    """What everybody knows about the installation and these tenants."""
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    names = [name for tenant in tenants for name in (tenant.slug, tenant.name)]
    return words_in(PRODUCT, host, *host.split("."), *settings.PASSWORD_WORDS, *names)


def word_problem(password: str, *tenants: Tenant) -> str:
    """Why the password is too easy to guess here, in words; empty when it is not."""
    word = made_of(password, words_here(*tenants))
    return (
        f"Everybody here would try {word!r}. Beside such words a password has at least {SHORTEST_REST} characters."
        if word
        else ""
    )


class ContextValidator:
    """For ``AUTH_PASSWORD_VALIDATORS``: refuses what is made of such words; of a person's tenants only theirs."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise what is wrong."""
        known = isinstance(user, User) and user.pk is not None
        tenants = Tenant.objects.filter(pk__in=selectors.tenant_ids(user)) if known else ()
        said = word_problem(password, *tenants)
        if said:
            raise ValidationError(said, code="password_of_here")

    def get_help_text(self) -> str:
        """For Django's own forms."""
        return "Do not make it of the names of this product, its address or your organisation."
