"""How much each test of the suite does: little in `make test`, the load of the row in `make trust`."""

from __future__ import annotations

import os
from typing import TypeVar

LEVEL = os.environ.get("TRUST", "")
"""Empty in the ordinary suite, ``load`` in `make trust`."""

SEED = int(os.environ.get("TRUST_SEED", "20261126"))
"""What every dice of the suite starts from; `make trust LONG=1` takes a new one for each round."""

T = TypeVar("T")


def size(small: T, load: T) -> T:
    """A number of the ordinary suite, or the one the row asks for."""
    return load if LEVEL else small
