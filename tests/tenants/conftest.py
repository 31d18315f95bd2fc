"""The cast, for the tests of the doors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
