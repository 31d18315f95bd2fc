"""What the tests of the human workflow share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.approvals.house import Hands, House
from tests.approvals.receiver import Receiver, receiver


@pytest.fixture
def house(db: None) -> House:
    """A tenant of its own."""
    return House()


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock, to be turned."""
    return Hands(monkeypatch)


@pytest.fixture
def ear(settings: Any) -> Iterator[Receiver]:
    """A receiver on this machine, allowed for once."""
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    with receiver() as found:
        yield found
