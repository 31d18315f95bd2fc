"""What the tests of the replays share."""

from __future__ import annotations

import pytest

from tests.projections.desk import Desk


@pytest.fixture
def desk(db: None) -> Desk:
    """A tenant of its own."""
    return Desk()
