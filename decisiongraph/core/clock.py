"""The one place that reads the time, so that a test can hold it still."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def unix_ms() -> int:
    """Milliseconds since the epoch, for time-ordered identifiers."""
    return time.time_ns() // 1_000_000


def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC with six fraction digits, as the log shows ``recorded_at``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the moment lies outside the years 1 to 9999 UTC") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment somebody gave, in UTC from here on. Python reads offsets of nearly a day, which the database refuses
(PostgreSQL stops at 15:59), so what was given must never travel further as it is."""
