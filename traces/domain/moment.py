"""Points in time as clients write them: RFC 3339 with an offset, checked exactly."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(
    r"([0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:)([0-5][0-9]|60)"
    r"(?:\.([0-9]{1,32}))?([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_LEAP_DAYS = frozenset(((6, 30), (12, 31)))
_SECOND = timedelta(seconds=1)


def instant(text: str) -> datetime | None:
    """The UTC instant of an RFC 3339 date-time with offset, or None when it is none.

    Digits of the second beyond microseconds are cut off. A leap second (``:60``) is accepted only
    where one can be, in the last second of 30 June and 31 December UTC, and is the instant one
    second after ``:59``, as PostgreSQL has it. ``-00:00`` is read as UTC. The year 0000 and
    instants outside the years 0001 to 9999 UTC are refused.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    head, second, fraction, offset = found.groups()
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(
            f"{head}{'59' if leap else second}.{(fraction or '')[:6]:0<6}{'+00:00' if offset in 'Zz' else offset}"
        ).astimezone(UTC)
        if not leap:
            return moment
        if (moment.month, moment.day) not in _LEAP_DAYS or (moment.hour, moment.minute) != (23, 59):
            return None
        return moment + _SECOND
    except (ValueError, OverflowError):
        return None
