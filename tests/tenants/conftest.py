"""The cast, for the tests of the doors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

    from tests.factories import Cast


@pytest.fixture
def cast(db: None) -> Cast:
    """Acme and globex with their people."""
    from tests.factories import make_cast

    return make_cast()


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Every test starts with an empty memory of tokens."""
    from tenants.access import tokens

    tokens.forget()
    yield
    tokens.forget()


@pytest.fixture
def quick_passwords(cast: Cast, settings: SettingsWrapper) -> None:
    """Passwords that cost nothing to check: the product's hash takes 200 ms each time, by intention."""
    from django.contrib.auth.hashers import make_password

    from tenants.models import User
    from tests.factories import PASSWORD

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    people = (cast.alice, cast.bob, cast.rita, cast.vera, cast.mallory)
    quick = make_password(PASSWORD)
    for person in people:
        person.password = quick
    User.objects.filter(pk__in=[person.pk for person in people]).update(password=quick)
