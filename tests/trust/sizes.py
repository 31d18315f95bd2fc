"""How much each test of the suite does: little in `make test`, in `make trust` what ten minutes allow."""

from __future__ import annotations

import os
from typing import TypeVar

LEVEL = os.environ.get("TRUST", "")
"""Empty in the ordinary suite, ``load`` in `make trust`, ``whole`` in the first round of `make trust LONG=1`."""

SEED = int(os.environ.get("TRUST_SEED", "20261126"))
"""What every dice of the suite starts from; `make trust LONG=1` takes a new one for each round."""

T = TypeVar("T")


def size(small: T, load: T, whole: T | None = None) -> T:
    """A number of the ordinary suite, of `make trust`, or, where ten minutes do not hold it, of the whole row."""
    if LEVEL == "whole" and whole is not None:
        return whole
    return load if LEVEL else small
