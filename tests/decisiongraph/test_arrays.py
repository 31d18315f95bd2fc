"""Columns as the database reads them: what goes in comes out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisiongraph.core.db import arrays

pytestmark = pytest.mark.django_db

instants = st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9))])
)
storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5000)


def back(array: arrays.Array, sql_type: str) -> list[Any]:
    """What PostgreSQL understood."""
    with arrays.cursor() as cursor:
        rows = cursor.execute(f"SELECT unnest(%b::{sql_type}[])".encode(), [array]).fetchall()
    return [row[0] for row in rows]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20))
def test_integers(values: list[int]) -> None:
    assert back(arrays.integers(values), "int") == values


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_bigints(values: list[int | None]) -> None:
    assert back(arrays.bigints(values), "bigint") == values


@given(st.lists(instants, max_size=20))
def test_points_in_time(values: list[datetime]) -> None:
    assert back(arrays.instants(values), "timestamptz") == values


@given(st.lists(st.none() | storable, max_size=20))
def test_texts(values: list[str | None]) -> None:
    assert back(arrays.texts(values), "text") == values


@given(st.lists(st.none() | st.binary(max_size=5000), max_size=20))
def test_bytes(values: list[bytes | None]) -> None:
    assert back(arrays.byteas(values), "bytea") == values


@given(st.lists(st.none() | st.booleans(), max_size=20))
def test_truth_values(values: list[bool | None]) -> None:
    assert back(arrays.booleans(values), "boolean") == values
