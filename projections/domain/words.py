"""What full text search sees of a text: a list of lexemes with places, made here and not by PostgreSQL.

PostgreSQL's parser knows no words where a script writes none (Chinese, Japanese, Thai), and its
dictionaries are of one language each. So texts are folded (`normal`) and cut (`tokens`) here, for
rows and for queries by the same rules: letters and digits make words; characters of scripts without
spaces make overlapping pairs, so that any two neighbouring ones are found.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

MAX_PLACES = 16_000
"""Tokens indexed per row: a ``tsvector`` counts places up to 16,383."""
MAX_BYTES = 400_000
"""Bytes of different lexemes per row: a ``tsvector`` holds less than 1 MiB."""
PLACES_OF_ONE = 200
"""Places kept per lexeme; PostgreSQL keeps at most 255."""
MAX_TOKEN = 60
"""Characters of one word that count."""
MAX_HANDLE = 1_000
"""Characters kept for looking up parts of words and misspelt ones."""
SHORT = 200
"""Characters up to which the words of a text are kept: names, facts and steps come again and again."""
GAP = 3
"""Places between two texts of a row, so that no phrase spans them."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Han
    "\uac00-\ud7af"  # Hangul: spaced, but words carry their endings
)
_ASCII_WORD = re.compile("[A-Za-z0-9]+")
_TOKEN = re.compile(f"([{_UNSPACED}]+)|[^\\W_{_UNSPACED}]+")


def _folding() -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    for first, last in ((0x00C0, 0x024F), (0x1E00, 0x1EFF)):  # Latin letters lose their marks
        for code in range(first, last + 1):
            plain = unicodedata.normalize("NFD", chr(code))
            if len(plain) > 1 and all(unicodedata.category(mark) == "Mn" for mark in plain[1:]):
                table[code] = plain[0]
    drop = [
        *range(0x0300, 0x0370),  # marks left alone
        *range(0x0591, 0x05C8),  # Hebrew points
        *range(0x0610, 0x061B),
        0x0640,  # the Arabic stretching line
        *range(0x064B, 0x0660),
        0x0670,
        *range(0x06D6, 0x06DD),
        *range(0x06DF, 0x06E5),
        *range(0x06E7, 0x06E9),
        *range(0x06EA, 0x06EE),
        0x00AD,
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x206A),
        0xFEFF,
    ]
    table.update(dict.fromkeys(drop))
    # Arabic letters that writers use for each other, the Persian ones among them
    variants = (
        ("\u0627", "\u0623\u0625\u0622\u0671"),  # alef with hamza, madda, wasla
        ("\u064a", "\u0649\u06cc"),  # yeh: alef maksura, Farsi yeh
        ("\u0647", "\u0629"),  # heh: teh marbuta
        ("\u0643", "\u06a9"),  # kaf: keheh
        ("\u0648", "\u0624"),  # waw with hamza
    )
    for same, letters in variants:
        table.update({ord(letter): same for letter in letters})
    return table


_FOLD = _folding()


def normal(text: str) -> str:
    """The text without differences that a person who searches does not mean.

    Case, width, accents of Latin letters, Arabic vowel signs and letter variants, invisible
    characters. Folding again changes nothing.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded.translate(_FOLD)).casefold().translate(_FOLD)


class Token(NamedTuple):
    """One lexeme and where it stands."""

    text: str
    place: int
    """Counted from 1."""
    part: bool
    """A single character of a script without spaces: the beginning of a pair."""


def tokens(text: str, first: int = 1) -> Iterator[Token]:
    """The lexemes of a text in order, places from ``first``."""
    place = first
    for match in _TOKEN.finditer(normal(text)):
        run = match[1]
        if run is None:
            yield Token(match[0][:MAX_TOKEN], place, False)
            place += 1
            continue
        for index in range(len(run) - 1):
            yield Token(run[index : index + 2], place, False)
            place += 1
        yield Token(run[-1], place, True)
        place += 1


def lexemes(text: str) -> tuple[str, ...]:
    """The texts of `tokens`, whose places follow each other."""
    return _of_short(text) if len(text) <= SHORT else _lexemes(text)


def _lexemes(text: str) -> tuple[str, ...]:
    if not text.isascii():
        return tuple(token.text for token in tokens(text))
    found: list[str] = _ASCII_WORD.findall(text.lower())
    if len(text) > MAX_TOKEN:
        return tuple(word[:MAX_TOKEN] for word in found)
    return tuple(found)


_of_short = lru_cache(maxsize=8192)(_lexemes)


def tsvector(texts: Iterable[str | None], tags: Iterable[str] = ()) -> str:
    """The text form of a ``tsvector`` of some texts, plus tags (see `tag`)."""
    places: dict[str, list[int]] = {}
    place, size = 1, 0
    for text in texts:
        if not text:
            continue
        start = place
        for place, word in enumerate(lexemes(text), start):
            known = places.get(word)
            if known is None:
                size += (len(word) if word.isascii() else len(word.encode())) + 8
                if size > MAX_BYTES:
                    break
                places[word] = [place]
            elif len(known) < PLACES_OF_ONE:
                known.append(place)
            if place >= MAX_PLACES:
                break
        place += GAP
        if place >= MAX_PLACES or size > MAX_BYTES:
            break
    # tokens hold letters and digits only, so nothing in them needs escaping
    parts = [f"'{word}':{at[0] if len(at) == 1 else ','.join(map(str, at))}" for word, at in places.items()]
    parts += [quoted(name) for name in tags]
    return " ".join(parts)


def tag(name: str, value: str) -> str:
    """A lexeme for an exact value such as ``policy=cap@3``; no word of a text holds an ``=``."""
    raw = f"{name}={value}"
    if len(raw.encode()) <= 500:
        return raw
    return f"{name}=#{hashlib.sha256(value.encode()).hexdigest()}"


def quoted(lexeme: str) -> str:
    """A lexeme as ``tsvector`` and ``tsquery`` read it."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def tsquery(text: str, *, exact: bool) -> str | None:
    """What a row must hold to have this text; None when it has no letter and no digit.

    Words must stand beside each other. Unless ``exact`` the last one may go on (``renew`` finds
    ``renewal``).
    """
    found = list(tokens(text))
    # the single character that ends a run is part of the pair before it
    kept = [
        token
        for index, token in enumerate(found)
        if not (token.part and index and len(found[index - 1].text) == 2 and _pairs(found[index - 1], token))
    ]
    if not kept:
        return None
    made = ""
    before = 0
    for index, token in enumerate(kept):
        last = index == len(kept) - 1
        goes_on = token.part or (last and not exact and len(token.text) > 1 and not _unspaced(token.text))
        word = quoted(token.text) + (":*" if goes_on else "")
        made += word if not made else f" <{token.place - before}> {word}"
        before = token.place
    return f"({made})"


def _pairs(pair: Token, single: Token) -> bool:
    return not pair.part and _unspaced(pair.text) and pair.text[1] == single.text and pair.place + 1 == single.place


def _unspaced(text: str) -> bool:
    match = _TOKEN.match(text)
    return match is not None and match[1] is not None


def handle(*texts: str | None) -> str:
    """The folded text in which parts of words and misspelt ones are looked up."""
    return normal(" ".join(text for text in texts if text))[:MAX_HANDLE]
