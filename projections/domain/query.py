"""The language of the search bar: ``workflow:renewal outcome:failure actor:agent/x "free text"``.

A query is filters and texts; all of them must hold. ``name:value`` is a filter, everything else is
text. Quotes keep blanks together (``workflow:"loan review"``) and make a text of what looks like a
filter (``"case:17"``); inside them ``\\"`` and ``\\\\`` stand for themselves. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

MAX_LENGTH = 400
"""Characters of a query."""
MAX_TEXTS = 12
"""Texts of a query: each is a look-up of its own."""

OUTCOMES = ("success", "failure", "abandoned")
STATUSES = ("open", "finished")
KINDS = ("decision", "review", "all")
RANGES = ("1h", "24h", "7d", "30d")

NAMES: Mapping[str, str] = {
    "workflow": "workflow:loan",
    "outcome": "outcome:failure",
    "status": "status:open",
    "entity": "entity:account/acct-1",
    "policy": "policy:cap@3",
    "actor": "actor:agent/x",
    "after": "after:2026-01-01",
    "before": "before:2026-02-01T09:30",
    "range": "range:7d",
    "kind": "kind:all",
}
"""Filter -> an example. Their order is the canonical one."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "outcome": OUTCOMES,
    "status": STATUSES,
    "kind": KINDS,
    "range": RANGES,
}
"""Filters that take one of a few values."""

_ESCAPED = re.compile(r'["\\]')
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*:")


class Text(NamedTuple):
    """A text to be found."""

    text: str
    exact: bool
    """It was quoted: whole words, beside each other. Otherwise its last word may go on."""


class Fault(NamedTuple):
    """What is wrong with a query, and where."""

    start: int
    """Character, counted from 0."""
    end: int
    detail: str
    code: str


class Query(NamedTuple):
    """What was meant."""

    filters: tuple[tuple[str, str], ...] = ()
    """In the order of `NAMES`; no name twice, no value empty."""
    texts: tuple[Text, ...] = ()

    def get(self, name: str) -> str | None:
        """The value of a filter."""
        return dict(self.filters).get(name)


class Parsed(NamedTuple):
    """A reading: the query as far as it is right, and what is wrong."""

    query: Query
    faults: tuple[Fault, ...]


class Piece(NamedTuple):
    """One word of a query as it was typed."""

    start: int
    end: int
    name: str
    """Empty: text."""
    value: str
    value_start: int
    quoted: bool


def pieces(text: str) -> tuple[list[Piece], list[Fault]]:
    """The words of a query and their places; quotes taken off."""
    found: list[Piece] = []
    faults: list[Fault] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start, name = at, ""
        match = _WORD.match(text, at)
        if match is not None:
            name, at = match[0][:-1], match.end()
        value_start, quoted, parts = at, False, []
        if at < len(text) and text[at] == '"':
            quoted, at, closed = True, at + 1, False
            while at < len(text):
                if text[at] == "\\" and at + 1 < len(text) and _ESCAPED.match(text[at + 1]):
                    parts.append(text[at + 1])
                    at += 2
                elif text[at] == '"':
                    closed, at = True, at + 1
                    break
                else:
                    parts.append(text[at])
                    at += 1
            if not closed:
                faults.append(
                    Fault(value_start, len(text), "This quote is not closed: add a second one.", "query.open_quote")
                )
            elif at < len(text) and not text[at].isspace():
                faults.append(Fault(at, at + 1, "Put a blank behind a closing quote.", "query.after_quote"))
        else:
            while at < len(text) and not text[at].isspace():
                parts.append(text[at])
                at += 1
        found.append(Piece(start, at, name, "".join(parts), value_start, quoted))
    return found, faults


def parse(text: str) -> Parsed:
    """Read a query. Never raises: what is wrong is said in ``faults``."""
    if len(text) > MAX_LENGTH:
        return Parsed(
            Query(),
            (Fault(MAX_LENGTH, len(text), f"A search has at most {MAX_LENGTH} characters.", "query.too_long"),),
        )
    words, faults = pieces(text)
    filters: dict[str, str] = {}
    places: dict[str, Piece] = {}
    texts: list[Text] = []
    for piece in words:
        if not piece.name:
            if piece.value.strip():
                texts.append(Text(piece.value, piece.quoted))
            continue
        name = piece.name.lower()
        fault = _fault(name, piece, filters)
        if fault is not None:
            faults.append(fault)
        else:
            filters[name] = piece.value
            places[name] = piece
    if len(texts) > MAX_TEXTS:
        faults.append(
            Fault(
                0,
                len(text),
                f"A search has at most {MAX_TEXTS} words; quote words that belong together.",
                "query.too_long",
            )
        )
    if wrong := empty_range(filters):
        at = places["before"]
        faults.append(Fault(at.start, at.end, wrong, "query.empty_range"))
    query = Query(tuple((name, filters[name]) for name in NAMES if name in filters), tuple(texts[:MAX_TEXTS]))
    return Parsed(query, tuple(sorted(faults)))


def _fault(name: str, piece: Piece, known: Mapping[str, str]) -> Fault | None:
    if name not in NAMES:
        named = ", ".join(NAMES)
        hint = nearest(name, NAMES)
        mean = f" Did you mean {hint}:?" if hint else ""
        return Fault(
            piece.start,
            piece.value_start,
            f"There is no filter {piece.name}:.{mean} Filters are {named}. To find it as text, put it in quotes.",
            "query.unknown_filter",
        )
    if name in known:
        return Fault(piece.start, piece.end, f"Give {name}: once.", "query.repeated_filter")
    if not piece.value.strip():
        return Fault(
            piece.start,
            piece.end,
            f"Give {name}: a value without a blank before it, as in {NAMES[name]}.",
            "query.no_value",
        )
    wrong = wrong_value(name, piece.value)
    return Fault(piece.value_start, piece.end, wrong, "query.invalid_value") if wrong else None


def wrong_value(name: str, value: str) -> str:
    """Why a filter cannot have this value; empty when it can."""
    if name in CHOICES:
        choices = CHOICES[name]
        if value in choices:
            return ""
        hint = nearest(value, choices)
        mean = f" Did you mean {hint}?" if hint else ""
        return f"{name}: is one of {', '.join(choices)}.{mean}"
    if name in ("entity", "actor"):
        kind, _, ident = value.partition("/")
        return "" if kind and ident else f"Write {name}: as type/id, as in {NAMES[name]}."
    if name in ("after", "before") and instant(value) is None:
        if re.match(r"\d{4}-\d{2}-\d{2}", value):
            return f"There is no such day or time as {value}."
        return "Write a day like 2026-03-14 or a time like 2026-03-14T09:30."
    return ""


def empty_range(filters: Mapping[str, str]) -> str:
    """Why no trace can lie between `after` and `before`; empty when one can."""
    first, last = (instant(filters.get(name, "")) for name in ("after", "before"))
    return "before: must lie behind after:." if first and last and first >= last else ""


class Typing(NamedTuple):
    """What somebody is in the middle of writing."""

    before: str
    """The text before it, to be kept."""
    name: str
    """The filter whose value it is; empty: a filter's name, or text."""
    prefix: str


def typing(text: str) -> Typing | None:
    """What the end of a text could become; None inside a quoted text that is no filter's value."""
    words, _ = pieces(text)
    if not words or words[-1].end < len(text):
        return Typing(text, "", "")
    last = words[-1]
    name = last.name.lower()
    if name in NAMES:
        return Typing(text[: last.start], name, last.value)
    if last.quoted:
        return None
    return Typing(text[: last.start], "", text[last.start :])


def written(name: str, value: str) -> str:
    """A filter as a person would type it."""
    return f"{name}:{_value(value)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word a person most likely meant; empty when none is near."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    if found:
        return found[0]
    return next((each for each in known if len(word) > 1 and each.startswith(word.lower())), "")


def instant(text: str) -> datetime | None:
    """A day or a time, in UTC unless it says otherwise; None when it is neither."""
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        if not re.match(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}", text):
            return None
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_of(query: Query) -> str:
    """The canonical text of a query: filters in the order of `NAMES`, then texts. It parses back."""
    parts = [f"{name}:{_value(value)}" for name, value in query.filters]
    parts += [_text(text) for text in query.texts]
    return " ".join(parts)


def texts_of(texts: Sequence[Text]) -> str:
    """The canonical text of texts alone."""
    return " ".join(_text(text) for text in texts)


def _text(text: Text) -> str:
    return _quote(text.text) if text.exact else text.text


def _value(value: str) -> str:
    plain = value and not any(char.isspace() for char in value) and not value.startswith('"')
    return value if plain else _quote(value)


def _quote(text: str) -> str:
    return '"' + _ESCAPED.sub(lambda match: "\\" + match[0], text) + '"'
