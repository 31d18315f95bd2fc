"""What the tests of the human workflow share."""

from __future__ import annotations

import pytest

from tests.approvals.house import Hands, House


@pytest.fixture
def house(db: None) -> House:
    """A tenant of its own."""
    return House()


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock, to be turned."""
    return Hands(monkeypatch)
