"""One product for all rows that hurt it from outside; each test makes its own tenant."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.trust.ground import Ground


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A stack of its own, started for whoever asks first."""
    running = Ground()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def program(ground: Ground) -> Iterator[tuple[str, httpx.Client]]:
    """A new tenant: its token, and a client that has it."""
    token = ground.tenant(f"t{uuid.uuid4().hex[:12]}")
    with ground.client(token) as client:
        yield token, client
