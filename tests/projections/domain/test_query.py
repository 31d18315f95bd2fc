"""The language of the search bar: what is meant, what is refused and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.domain.query import (
    CHOICES,
    MAX_LENGTH,
    MAX_TEXTS,
    NAMES,
    Query,
    Text,
    nearest,
    parse,
    pieces,
    text_of,
)

plain = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).filter(str.strip)
words = st.text(st.sampled_from('abz 09/@:"\\éдص京'), min_size=1, max_size=8).filter(str.strip)
unquoted = words.filter(lambda w: not any(c.isspace() for c in w) and '"' not in w and ":" not in w)
days = st.dates().map(str)


@st.composite
def queries(draw: st.DrawFn) -> Query:
    filters = {}
    for name in draw(st.sets(st.sampled_from(sorted(NAMES)))):
        if name in CHOICES:
            filters[name] = draw(st.sampled_from(CHOICES[name]))
        elif name in ("entity", "actor"):
            filters[name] = f"{draw(unquoted.filter(lambda w: not w.startswith('/')))}/{draw(plain)}"
        elif name == "after":
            filters[name] = draw(days)
        elif name == "before":
            continue
        else:
            filters[name] = draw(st.one_of(plain, words))
    texts = draw(
        st.lists(
            st.one_of(
                st.builds(Text, st.one_of(plain, words), st.just(True)), st.builds(Text, unquoted, st.just(False))
            ),
            max_size=4,
        )
    )
    ordered = tuple((name, filters[name]) for name in NAMES if name in filters)
    return Query(ordered, tuple(texts))


@given(queries())
def test_the_canonical_text_parses_back(query: Query) -> None:
    text = text_of(query)
    if len(text) > MAX_LENGTH:
        return
    found = parse(text)
    assert found.faults == ()
    assert found.query == query
    assert text_of(found.query) == text


@given(st.text(max_size=MAX_LENGTH + 5))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text: str) -> None:
    found = parse(text)
    for fault in found.faults:
        assert 0 <= fault.start <= fault.end <= len(text)
        assert fault.detail
    again = parse(text_of(found.query))
    assert again.query == found.query


@given(st.text(max_size=60))
def test_pieces_cover_everything_but_blanks(text: str) -> None:
    found, _ = pieces(text)
    covered = set()
    for piece in found:
        covered |= set(range(piece.start, piece.end))
    assert all(char.isspace() for index, char in enumerate(text) if index not in covered)


def test_the_example_of_the_design() -> None:
    text = (
        'workflow:renewal outcome:failure entity:account/acct-1 policy:cap@3 actor:agent/x after:2026-01-01 "free text"'
    )
    query = parse(text).query
    assert dict(query.filters) == {
        "workflow": "renewal",
        "outcome": "failure",
        "entity": "account/acct-1",
        "policy": "cap@3",
        "actor": "agent/x",
        "after": "2026-01-01",
    }
    assert query.texts == (Text("free text", True),)
    assert text_of(query) == text


@pytest.mark.parametrize(
    ("text", "part", "code", "words"),
    [
        ("outcom:failure", "outcom:", "query.unknown_filter", "Did you mean outcome:?"),
        ("a zzz:1", "zzz:", "query.unknown_filter", "Filters are workflow, outcome"),
        ("outcome:failed", "failed", "query.invalid_value", "Did you mean failure?"),
        ("status:x", "x", "query.invalid_value", "one of open, finished"),
        ("kind:reviews", "reviews", "query.invalid_value", "Did you mean review?"),
        ("range:8d", "8d", "query.invalid_value", "1h, 24h, 7d, 30d"),
        ("entity:K1", "K1", "query.invalid_value", "type/id"),
        ("actor:/x", "/x", "query.invalid_value", "type/id"),
        ("after:2026-02-30", "2026-02-30", "query.invalid_value", "no such day"),
        ("after:2026-02-03T25:00", "2026-02-03T25:00", "query.invalid_value", "no such day or time"),
        ("before:yesterday", "yesterday", "query.invalid_value", "2026-03-14"),
        ("before:0001-01-01T00:00+10:00", "0001-01-01T00:00+10:00", "query.invalid_value", "no such day"),
        ("outcome: failure", "outcome:", "query.no_value", "outcome:failure"),
        ("workflow:a workflow:b", "workflow:b", "query.repeated_filter", "once"),
        ('x "open', '"open', "query.open_quote", "not closed"),
        ('"a"b', "b", "query.after_quote", "blank"),
        ("after:2026-03-02 before:2026-03-02", "before:2026-03-02", "query.empty_range", "behind"),
        ("x" * (MAX_LENGTH + 1), "x", "query.too_long", str(MAX_LENGTH)),
        (" ".join(["x"] * (MAX_TEXTS + 1)), " ".join(["x"] * (MAX_TEXTS + 1)), "query.too_long", str(MAX_TEXTS)),
    ],
)
def test_every_refusal_says_where_and_what_instead(text: str, part: str, code: str, words: str) -> None:
    (fault,) = parse(text).faults
    assert (text[fault.start : fault.end], fault.code) == (part, code)
    assert words in fault.detail


def test_quotes_make_text_of_what_looks_like_a_filter() -> None:
    assert parse('"case:17" 12:30').query.texts == (Text("case:17", True), Text("12:30", False))


def test_the_nearest_name() -> None:
    assert nearest("workflw", NAMES) == "workflow"
    assert nearest("pol", NAMES) == "policy"
    assert nearest("qqqq", NAMES) == ""
