"""Strict reading and canonical writing."""

import json
import math
import uuid
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from traces.domain import canonical, scanner
from traces.domain.canonical import (
    BODY_LIMITS,
    EVENT_LIMITS,
    MAX_BODY_BYTES,
    MAX_BODY_EVENTS,
    MAX_EVENT_BYTES,
    MAX_SAFE_INTEGER,
    Limits,
    MalformedJson,
    NotCanonical,
    jcs,
    parse,
    parse_batch,
    parse_event,
    parse_ndjson,
    require_json,
    split_ndjson,
)

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER),
    FLOATS,
    TEXT,
    st.sampled_from(["1.0", "e-5", "1e+21,"]),
)
KEYS = st.one_of(TEXT, st.sampled_from(["\ue000", "\uffff", "\U00010000", "\U0001f600", "é", "a:b", '":', "\u2028"]))
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


def refusal(raw: bytes, limits: Limits = EVENT_LIMITS) -> MalformedJson:
    with pytest.raises(MalformedJson) as caught:
        parse(raw, limits=limits)
    return caught.value


# --- writing -------------------------------------------------------------------------------------


@given(JSON)
@example({"\ue000": 1, "\U00010000": 2})
@example([-0.0, 0.0, 1e16, 1e21, 1e-7, 1e-6, 5e-324, 1.7976931348623157e308, 1.0, 333333333.33333329])
@example({"a": None, "b": 0.1, "é": "\x1f\x7f\b\u2028"})
def test_the_canonical_form_is_that_of_the_library(value: Any) -> None:
    assert jcs(value) == rfc8785.dumps(value)
    assert jcs(value, checked=True) == rfc8785.dumps(value)


@given(FLOATS)
def test_every_float_is_written_as_the_library_writes_it(value: float) -> None:
    assert jcs(value) == rfc8785.dumps(value)
    assert jcs([value, {"x": value}]) == rfc8785.dumps([value, {"x": value}])


@given(JSON)
def test_what_is_read_back_has_the_same_canonical_form(value: Any) -> None:
    once = jcs(value)
    assert jcs(orjson.loads(once)) == once
    assert jcs(json.loads(once)) == once


def test_published_examples_of_the_rfc() -> None:
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert jcs(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -math.inf, "\ud800", b"x", object(), 2**53 + 1, -(2**70), {1: 2}, {1, 2}]
)
def test_what_is_not_json_has_no_canonical_form(bad: Any) -> None:
    for value in (bad, [bad], {"a": [None, bad]}):
        with pytest.raises(NotCanonical):
            jcs(value)


def test_deep_values_are_refused_not_crashed() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(NotCanonical):
        jcs(value)


# --- reading -------------------------------------------------------------------------------------


@given(JSON, st.sampled_from([{}, {"indent": 1}, {"ensure_ascii": False}, {"separators": (",", ":")}]))
def test_every_document_is_read(value: Any, style: dict[str, Any]) -> None:
    raw = json.dumps(value, **style).encode()
    assert parse(raw) == value
    assert scanner.scan(raw, 32, 20_000, "event") == value


@pytest.mark.parametrize(
    ("raw", "code", "path"),
    [
        (b"", "json.empty", ""),
        (b" \n", "json.empty", ""),
        (b"{", "json.syntax", ""),
        (b'{"a" 1}', "json.syntax", "a"),
        (b'{"a":}', "json.syntax", "a"),
        (b'{"a":1,}', "json.syntax", ""),
        (b"[1,]", "json.syntax", "[1]"),
        (b"[1 2]", "json.syntax", "[0]"),
        (b"01", "json.trailing_data", ""),
        (b"[1.]", "json.syntax", "[0]"),
        (b"tru", "json.syntax", ""),
        (b"{} {}", "json.trailing_data", ""),
        (b'["a\nb"]', "json.syntax", "[0]"),
        (b'["\\x"]', "json.syntax", "[0]"),
        (b"\xef\xbb\xbf{}", "json.byte_order_mark", ""),
        ("{}".encode("utf-16"), "json.byte_order_mark", ""),
        (b'{"a":{"b":"\xff"}}', "json.invalid_utf8", "a.b"),
        (b'["\xed\xa0\x80"]', "json.invalid_utf8", "[0]"),
        (b'{"a":1,"a":1}', "json.duplicate_key", "a"),
        (b'{"p":[{"x":1},{"y":2,"\\u0079":2}]}', "json.duplicate_key", "p[1].y"),
        (b'{"a":":","a\\u003a":1,"a:":2}', "json.duplicate_key", '["a:"]'),
        (b'{"a":{"a":1,"b":2,"a":3}}', "json.duplicate_key", "a.a"),
        (b'{"a":NaN}', "json.not_a_number", "a"),
        (b"[Infinity]", "json.not_a_number", "[0]"),
        (b"[-Infinity]", "json.not_a_number", "[0]"),
        (b"[1e400]", "json.number_overflow", "[0]"),
        (b"[-1e400]", "json.number_overflow", "[0]"),
        (b"[" + b"9" * 400 + b".5]", "json.number_overflow", "[0]"),
        (b"[9007199254740992]", "json.integer_out_of_range", "[0]"),
        (b"[-9007199254740992]", "json.integer_out_of_range", "[0]"),
        (b'{"n": 18446744073709551616}', "json.integer_out_of_range", "n"),
        (b"[" + b"1" * 10_000 + b"]", "json.integer_out_of_range", "[0]"),
        (b'{"a":"x\\u0000"}', "json.nul", "a"),
        (b'{"a\\u0000":1}', "json.nul", ""),
        (b'{"a":"\\ud800"}', "json.lone_surrogate", "a"),
        (b'{"a":"\\udc00\\ud800"}', "json.lone_surrogate", "a"),
        (b"[" * 33 + b"]" * 33, "event.too_deep", "[0]" * 32),
        (b"[" * 5_000, "event.too_deep", "[0]" * 32),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "event.too_deep", ".".join("a" * 32)),
        (b"[" + b",".join([b"0"] * 20_000) + b"]", "event.too_many_nodes", ""),
    ],
)
def test_a_fault_is_named_with_its_place(raw: bytes, code: str, path: str) -> None:
    fault = refusal(raw)
    assert (fault.code, fault.path, fault.status) == (code, path, 400)
    assert fault.detail.endswith(".")


@pytest.mark.parametrize(
    "raw",
    [
        b"[9007199254740991, -9007199254740991, 1234567890123456]",
        b'["9007199254740993", "id: 99999999999999999999"]',
        b"[0.12345678901234567890, 1e300, 1e-400, 100000000000000000.5]",
        b'["\\\\u0000", "\\u003a", "\\ud83d\\ude00"]',
        b'{"a":{"a":1},"b":{"a":1}}',
        b'{"a:b":":","c":"::"}',
        b"[" * 32 + b"]" * 32,
        b"[" * 31 + b'"deep"' + b"]" * 31,
        b"[" + b",".join([b"0"] * 19_999) + b"]",
        b" null ",
    ],
)
def test_what_only_looks_faulty_is_read(raw: bytes) -> None:
    assert parse(raw) == json.loads(raw)


def test_sizes_are_refused_before_anything_is_read() -> None:
    fault = refusal(b'"' + b"x" * MAX_EVENT_BYTES + b'"')
    assert (fault.code, fault.status) == ("event.too_large", 413)
    assert parse(b'"' + b"x" * (MAX_EVENT_BYTES - 2) + b'"')
    fault = refusal(b"[" * 10_000_000, BODY_LIMITS)
    assert (fault.code, fault.status) == ("body.too_large", 413)
    assert refusal(b"[" * MAX_BODY_BYTES, BODY_LIMITS).code == "body.too_deep"


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0d8019.eE+-aNI tfn', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused_alike_by_both_readers(raw: bytes) -> None:
    def outcome(read: Any) -> Any:
        try:
            return repr(read())
        except MalformedJson as fault:
            return fault.code, fault.path

    assert outcome(lambda: parse(raw)) == outcome(lambda: scanner.scan(raw, 32, 20_000, "event"))


@given(JSON, JSON)
def test_a_name_given_twice_is_always_noticed(first: Any, second: Any) -> None:
    raw = b'{"p":[{"k":' + json.dumps(first).encode() + b',"x":1, "k" :' + json.dumps(second).encode() + b"}]}"
    assert refusal(raw).code == "json.duplicate_key"


# --- bodies --------------------------------------------------------------------------------------


def batch_refusal(raw: bytes) -> tuple[str, str, int]:
    with pytest.raises(MalformedJson) as caught:
        parse_batch(raw)
    return caught.value.code, caught.value.path, caught.value.status


def test_a_batch_is_its_events() -> None:
    assert parse_batch(b'{"events":[{"a":1},2]}') == ([{"a": 1}, 2], True)
    assert parse_batch(b'{"events":[],"atomic":false}') == ([], False)
    assert parse_batch(b'{"events":[],"atomic":null}') == ([], True)
    assert parse_event(b'{"a":1}') == {"a": 1}


def test_a_batch_of_another_shape_is_refused() -> None:
    assert batch_refusal(b"[]") == ("body.wrong_type", "", 400)
    assert batch_refusal(b"{}") == ("body.missing_field", "events", 400)
    assert batch_refusal(b'{"events":{}}') == ("body.wrong_type", "events", 400)
    assert batch_refusal(b'{"events":[],"atomic":1}') == ("body.wrong_type", "atomic", 400)
    assert batch_refusal(b'{"events":[],"tenant":"x"}') == ("body.unknown_field", "tenant", 400)


def test_the_limits_of_an_event_hold_inside_a_batch() -> None:
    many = b'{"events":[' + b",".join([b"{}"] * (MAX_BODY_EVENTS + 1)) + b"]}"
    assert batch_refusal(many) == ("body.too_many_events", "events", 400)
    assert len(parse_batch(many.replace(b"{},", b"", 1)).events) == MAX_BODY_EVENTS
    deep = b'{"events":[{},' + b"[" * 33 + b"]" * 33 + b"]}"
    assert batch_refusal(deep) == ("event.too_deep", "events[1]" + "[0]" * 32, 400)
    assert parse_batch(b'{"events":[' + b"[" * 32 + b"]" * 32 + b"]}")
    nodes = b'{"events":[{},{"a":[' + b",".join([b"0"] * 20_000) + b"]}]}"
    assert batch_refusal(nodes) == ("event.too_many_nodes", "events[1].a", 400)
    large = b'{"events":[{},"' + b"x" * MAX_EVENT_BYTES + b'"]}'
    assert batch_refusal(large) == ("event.too_large", "events[1]", 413)


def test_lines_are_events() -> None:
    assert parse_ndjson(b'{"a":1}\r\n\n  \n{"b":":"}\n') == [{"a": 1}, {"b": ":"}]
    assert split_ndjson(b"") == []
    with pytest.raises(MalformedJson) as caught:
        parse_ndjson(b'{}\n{"a":{"b":NaN}}')
    assert (caught.value.code, caught.value.path) == ("json.not_a_number", "events[1].a.b")
    with pytest.raises(MalformedJson) as caught:
        parse_ndjson(b'{}\n[1,{"a":2,"a":3}]')
    assert caught.value.path == "events[1][1].a"
    with pytest.raises(MalformedJson) as caught:
        split_ndjson(b"{}\n" * (MAX_BODY_EVENTS + 1))
    assert caught.value.code == "body.too_many_events"
    with pytest.raises(MalformedJson) as caught:
        split_ndjson(b" " * (MAX_BODY_BYTES + 1))
    assert (caught.value.code, caught.value.status) == ("body.too_large", 413)


# --- values made in Python -----------------------------------------------------------------------


@given(JSON)
def test_json_values_made_in_python_pass(value: Any) -> None:
    require_json(value)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (math.nan, "json.not_a_number"),
        (math.inf, "json.not_a_number"),
        (2**53, "json.integer_out_of_range"),
        ("a\0", "json.nul"),
        ("\ud800", "json.lone_surrogate"),
        (b"x", "json.wrong_type"),
        ((1,), "json.wrong_type"),
    ],
)
def test_other_values_made_in_python_are_named(bad: Any, code: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        require_json({"a": [1, bad]}, path="payload")
    assert (caught.value.code, caught.value.path) == (code, "payload.a[1]")


def test_names_and_shape_of_values_made_in_python_are_checked() -> None:
    with pytest.raises(MalformedJson):
        require_json({1: 2})
    with pytest.raises(MalformedJson) as caught:
        require_json([0] * 20_000)
    assert caught.value.code == "event.too_many_nodes"
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(MalformedJson) as caught:
        require_json(deep)
    assert caught.value.code == "event.too_deep"


# --- hashes --------------------------------------------------------------------------------------


def test_hashes_are_those_of_their_definitions() -> None:
    import hashlib
    import hmac

    salt = bytes(range(16))
    body = jcs({"b": 1.0, "a": None})
    assert body == b'{"a":null,"b":1}'
    assert canonical.payload_hash(body) == "sha256:" + hashlib.sha256(body).hexdigest() == canonical.sha256_text(body)
    assert canonical.commitment(salt, body) == hashlib.sha256(salt + body).digest()
    assert canonical.leaf_hash({"z": 1, "a": ("t",)}) == hashlib.sha256(b'{"a":["t"],"z":1}').digest()
    assert canonical.content_hmac(salt, body) == hmac.new(salt, body, "sha256").digest()


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_uuid7_holds_time_version_and_variant(ms: int, rand: bytes) -> None:
    made = uuid.UUID(canonical.uuid7(ms, rand))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, ms)
    assert canonical.uuid7(ms, rand) == str(made)
    assert ms == 0 or canonical.uuid7(ms - 1, b"\xff" * 10) < str(made)


def test_uuid7_spends_all_its_randomness_and_checks_its_arguments() -> None:
    made = {canonical.uuid7(0, (1 << bit).to_bytes(10, "big")) for bit in (*range(62), *range(68, 80))}
    assert len(made) == 74
    for ms, rand in ((-1, b"0" * 10), (1 << 48, b"0" * 10), (0, b"0" * 9)):
        with pytest.raises(ValueError, match="uuid7"):
            canonical.uuid7(ms, rand)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"events":[{"a":1,"a":2}]}',
        b'{"events":[],"events":[]}',
        b'{"events":[{"a":"\\u0000"}]}',
        b'{"events":[{"a":9007199254740993}]}',
        b'{"events":[' + b'{"a":' * 33 + b"1" + b"}" * 33 + b"]}",
        b'{"events":[{}],"atomic":1}',
        b'{"events":[{}],"other":1}',
        b'{"events":{}}',
        b"[]",
        b"{",
        b'{"events":[{"a":"\xff"}]}',
    ],
)
def test_the_short_way_leaves_what_may_be_wrong_to_the_long_one(raw: bytes) -> None:
    assert canonical._swift_batch(raw) is None


events_of_a_batch = st.lists(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=30,
    ),
    max_size=5,
)


@given(events_of_a_batch, st.booleans() | st.none())
def test_both_ways_read_a_batch_alike(events: list[Any], atomic: bool | None) -> None:
    raw = json.dumps({"events": events, "atomic": atomic}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        long_way: Any = parse(raw, limits=BODY_LIMITS)
    except MalformedJson:
        long_way = None
    short = canonical._swift_batch(raw)
    assert short is None or (short.events, short.atomic) == (long_way["events"], atomic is not False)


def test_a_usual_batch_takes_the_short_way() -> None:
    raw = json.dumps({"events": [{"payload": {"facts": [{"key": str(n), "value": {"n": n}} for n in range(40)]}}]})
    assert canonical._swift_batch(raw.encode()) is not None
