"""What the tests of the projections share."""

from __future__ import annotations

import pytest

from decisiongraph.core import jobs
from tests.projections.desk import Desk


@pytest.fixture
def desk(db: None) -> Desk:
    """A tenant of its own."""
    return Desk()


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, object]]]:
    """Jobs asked for instead of sent."""
    asked: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(jobs, "_send", lambda name, arguments: asked.append((name, arguments)))
    return asked
