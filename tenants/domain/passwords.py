"""Words that everybody around here would try first: they do not make a password. Pure.

A password may hold such a word, as a sentence does; but what is left without it has to be long enough by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST_WORD = 4
"""Letters of a word that counts: shorter ones stand inside too many others."""
SHORTEST_REST = 10
"""Letters and digits a password needs besides the words."""

_LOOKS_LIKE = str.maketrans("0134578@$l", "oieastbasi")
_SEPARATOR = re.compile(r"[\W_]+")


def words_in(*names: str) -> frozenset[str]:
    """The words of names, as they are compared: ``Acme Air, Inc.`` is ``acme`` and ``acmeairinc``."""
    found = {part for name in names for part in _SEPARATOR.split(name.casefold())}
    found |= {_SEPARATOR.sub("", name.casefold()) for name in names}
    return frozenset(word.translate(_LOOKS_LIKE) for word in found if len(word) >= SHORTEST_WORD)


def made_of(password: str, words: Iterable[str]) -> str:
    """The first of these words without which too little of the password is left; empty when there is none.

    Case, separators and letters written as digits do not hide a word: ``D3cision-Graph_2026``.
    """
    # Signs that stand for letters are translated before separators leave, and count as one letter each.
    plain = _SEPARATOR.sub("", password.casefold().translate(_LOOKS_LIKE))
    found = [word for word in sorted(words, key=lambda word: (-len(word), word)) if word in plain]
    rest = plain
    for word in found:
        rest = rest.replace(word, "")
    return found[0] if found and len(rest) < SHORTEST_REST else ""
