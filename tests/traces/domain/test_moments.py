"""Times as producers write them: which are read, exactly, and which are refused."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traces.domain.drafts import changed, draft, refusals
from traces.domain.moment import instant


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-31T09:41:07Z", "2026-01-31T09:41:07+00:00"),
        ("2026-01-31t09:41:07z", "2026-01-31T09:41:07+00:00"),
        ("2026-01-31T09:41:07.1-00:00", "2026-01-31T09:41:07.100000+00:00"),
        ("2026-01-31T09:41:07.1234567891+05:30", "2026-01-31T04:11:07.123456+00:00"),
        ("2024-02-29T23:59:59-23:59", "2024-03-01T23:58:59+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T15:59:60.5-08:00", "2017-01-01T00:00:00.500000+00:00"),
        ("2015-07-01T01:59:60+02:00", "2015-07-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
    ],
)
def test_times_are_read(text: str, utc: str) -> None:
    moment = instant(text)
    assert moment is not None
    assert moment.isoformat() == utc
    assert draft(changed("occurred_at", text)).occurred_at == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T09:41:07",
        "2026-01-31 09:41:07Z",
        "2026-01-31T09:41Z",
        "2026-01-31T09:41:07+0200",
        "2026-01-31T09:41:07+02",
        "2026-01-31T09:41:07.Z",
        "2026-01-31T09:41:07,5Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T23:60:00Z",
        "2026-01-31T23:59:61Z",
        "2026-01-31T23:59:60Z",
        "2016-12-31T23:58:60Z",
        "2016-12-31T23:59:60+01:00",
        "9999-12-31T23:59:60Z",
        "2026-01-31T09:41:07+24:00",
        "2026-01-31T09:41:07+02:60",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "20260131T094107Z",
        "2026-W05-6T00:00:00Z",
        "\u0662026-01-31T09:41:07Z",
        "2026-01-31T09:41:07Z\n",
        " 2026-01-31T09:41:07Z",
        "+2026-01-31T09:41:07Z",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    assert instant(text) is None
    assert refusals(changed("occurred_at", text)) == [("occurred_at", "envelope.invalid_time", 400)]


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-1439, 1439))
def test_every_time_with_an_offset_is_read_exactly(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert instant(moment.isoformat()) == moment
