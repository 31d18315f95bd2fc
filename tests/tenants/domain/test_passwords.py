"""Which passwords are made of words that everybody here would try."""

from __future__ import annotations

import pytest

from tenants.domain.passwords import made_of, words_in

WORDS = words_in("DecisionGraph", "acme-air", "Acme Air, Inc.", "Zürich", "a1")


@pytest.mark.parametrize(
    "password",
    [
        "DecisionGraph",
        "decisiongraph2026!",
        "D3c1s10n-Gr@ph_99",
        "Decision Graph 123",
        "acme-acme-acme",
        "2026 Acme Air Inc 2026",
        "ACME.Refunds1",
        "zürich-zürich",
    ],
)
def test_refused(password: str) -> None:
    assert made_of(password, WORDS)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "acme pays refunds on tuesdays",
        "what decisiongraph says is so",
        "inca-aircraft-9912",
        "a1a1a1a1a1a1",
    ],
)
def test_allowed(password: str) -> None:
    assert not made_of(password, WORDS)


def test_short_words_and_parts() -> None:
    assert words_in("Acme Air, Inc.") == {"acme", "acmeairinc"}
    assert words_in("a1", "", "go") == frozenset()
