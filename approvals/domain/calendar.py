"""Business time: counting only the hours in which somebody is at work. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LONGEST_DAYS = 366 * 12
"""How far a calendar is walked before it counts as one without any working hour."""
_DAY = timedelta(days=1)


class Hours(BaseModel):
    """From when until when on one day, in local time; ``until`` 24:00 is written ``00:00``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opens: time
    closes: time

    @model_validator(mode="after")
    def _in_order(self) -> Hours:
        if self.closes != time(0) and self.closes <= self.opens:
            raise ValueError("closes must be after opens")
        return self


class Calendar(BaseModel):
    """Working hours by weekday in one time zone, without holidays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: str = "UTC"
    days: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Working weekdays, Monday is 0."""
    hours: Hours = Field(default=Hours(opens=time(9), closes=time(17)))
    holidays: frozenset[date] = frozenset()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"unknown time zone {name!r}") from None
        return name

    @field_validator("days")
    @classmethod
    def _weekdays(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if not days or any(not 0 <= day <= 6 for day in days):
            raise ValueError("weekdays are 0 (Monday) to 6 (Sunday), at least one")
        return tuple(sorted(set(days)))

    @field_validator("holidays")
    @classmethod
    def _not_too_many(cls, holidays: frozenset[date]) -> frozenset[date]:
        if len(holidays) > 1000:
            raise ValueError("at most 1,000 holidays")
        return holidays

    def window(self, day: date) -> tuple[datetime, datetime] | None:
        """The working hours of a local day as instants in UTC; None on a day off.

        Where a clock is turned, the instants are those of the local times; a window that vanishes
        in the jump is a day off.
        """
        if day.weekday() not in self.days or day in self.holidays:
            return None
        zone = ZoneInfo(self.time_zone)
        opens = datetime.combine(day, self.hours.opens, zone).astimezone(UTC)
        last = day + _DAY if self.hours.closes == time(0) else day
        closes = datetime.combine(last, self.hours.closes, zone).astimezone(UTC)
        return (opens, closes) if closes > opens else None

    def _windows(self, moment: datetime, step: int) -> Iterator[tuple[datetime, datetime]]:
        day = moment.astimezone(ZoneInfo(self.time_zone)).date() - step * _DAY
        for _ in range(LONGEST_DAYS):
            found = self.window(day)
            if found is not None:
                yield found
            try:
                day += step * _DAY
            except OverflowError:
                return

    def add(self, moment: datetime, seconds: float) -> datetime:
        """``moment`` plus so much working time; negative goes back. Zero stays where it is.

        Raises OverflowError when the calendar has not so much working time within twelve years.
        """
        left = timedelta(seconds=abs(seconds))
        if not left:
            return moment
        if seconds > 0:
            for opens, closes in self._windows(moment, 1):
                begin = max(opens, moment)
                if closes <= begin:
                    continue
                if begin + left <= closes:
                    return begin + left
                left -= closes - begin
        else:
            for opens, closes in self._windows(moment, -1):
                end = min(closes, moment)
                if opens >= end:
                    continue
                if end - left >= opens:
                    return end - left
                left -= end - opens
        raise OverflowError("the calendar has not so much working time")

    def between(self, start: datetime, end: datetime) -> float:
        """Working seconds from one moment to another; negative when ``end`` is first."""
        if end < start:
            return -self.between(end, start)
        total = timedelta()
        for opens, closes in self._windows(start, 1):
            if opens >= end:
                break
            total += max(timedelta(), min(closes, end) - max(opens, start))
        return total.total_seconds()


def shift(moment: datetime, seconds: float, calendar: Calendar | None) -> datetime:
    """``moment`` plus a duration, in working time when there is a calendar. Raises OverflowError."""
    return moment + timedelta(seconds=seconds) if calendar is None else calendar.add(moment, seconds)
