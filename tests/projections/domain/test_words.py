# ruff: noqa: RUF001  (letters that look alike are what is tested)
"""What full text sees of a text: folding, cutting, bounds, and that a query means what a row holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.domain.words import (
    MAX_BYTES,
    MAX_PLACES,
    handle,
    lexemes,
    normal,
    quoted,
    tag,
    tokens,
    tsquery,
    tsvector,
)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


def cut(text: str) -> list[str]:
    return [token.text for token in tokens(text)]


@given(texts)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@given(texts | st.text(st.characters(codec="ascii"), max_size=200))
def test_lexemes_are_the_texts_of_tokens_in_places_that_follow_each_other(text: str) -> None:
    found = list(tokens(text, 7))
    assert list(lexemes(text)) == [token.text for token in found]
    assert [token.place for token in found] == list(range(7, 7 + len(found)))


@given(texts)
def test_tokens_are_letters_and_digits_in_rising_places(text: str) -> None:
    places = [token.place for token in tokens(text)]
    assert places == sorted(set(places))
    assert all(char.isalnum() or char in "々〆〇ゝゞーヽヾ" or ord(char) > 0xE00 for word in cut(text) for char in word)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Refund-8123, A_SUBMITTED", ["refund", "8123", "a", "submitted"]),
        ("Crédit Straße ＡＢ１", ["credit", "strasse", "ab1"]),
        ("مُخْلِص أإآ ـ", ["مخلص", "ااا"]),
        ("東京都", ["東京", "京都", "都"]),
        ("東", ["東"]),
        ("ＩＤ東京2024", ["id", "東京", "京", "2024"]),
        ("re\u200bfund", ["refund"]),
        ("... !", []),
        ("x" * 100, ["x" * 60]),
    ],
)
def test_cutting(text: str, words: list[str]) -> None:
    assert cut(text) == words


@pytest.mark.parametrize(
    ("text", "exact", "query"),
    [
        ("renew", False, "('renew':*)"),
        ("renew", True, "('renew')"),
        ("a", False, "('a')"),
        ("Refund-8123", False, "('refund' <1> '8123':*)"),
        ("東京", False, "('東京')"),
        ("東", True, "('東':*)"),
        ("東京都", True, "('東京' <1> '京都')"),
        ("東京2024", True, "('東京' <2> '2024')"),
        ("!", False, None),
    ],
)
def test_queries(text: str, exact: bool, query: str | None) -> None:
    assert tsquery(text, exact=exact) == query


def test_places_leave_a_gap_between_texts_and_tags_have_none() -> None:
    assert tsvector(["a b", None, "", "a"], ["it's=\\x"]) == "'a':1,5 'b':2 'it''s=\\\\x'"


def test_a_vector_is_bounded() -> None:
    whole = tsvector([" ".join(f"{n:x}" for n in range(100_000))])
    assert len(whole.split(" ")) <= MAX_PLACES
    wide = tsvector(["\u4e00" * 60 + " ", " ".join(chr(0x4E00 + n) + "字" * 3 for n in range(15_000))])
    assert len(wide.encode()) < 1_000_000
    long = tsvector([" ".join("é" + f"{n:059d}" for n in range(15_000))])
    assert sum(len(part.split(":")[0].encode()) for part in long.split(" ")) <= MAX_BYTES + 60


def test_tags_and_handles() -> None:
    assert tag("policy", "cap@3") == "policy=cap@3"
    assert tag("policy", "x" * 600).startswith("policy=#")
    assert len(tag("policy", "\U0001f600" * 600)) < 100
    assert quoted("a'b\\c") == "'a''b\\\\c'"
    assert handle("Refund-1", None, "Élan") == "refund-1 elan"
