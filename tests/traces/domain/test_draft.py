"""The envelope: what is accepted, and every refusal with its path, code and status."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traces.domain.drafts import EVENT, WITHOUT, changed, draft, refusals
from traces.domain.catalog import CATALOG
from traces.domain.draft import Draft, validate
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES


def test_a_complete_event_becomes_a_draft() -> None:
    made = draft(EVENT)
    assert made.occurred_at == "2026-01-12T09:41:07.112+02:00"
    assert made.occurred_instant == datetime(2026, 1, 12, 7, 41, 7, 112_000, tzinfo=UTC)
    assert (made.producer_id, made.system, made.subsystem) == ("refund-desk-2", "desk", None)
    assert made.tags == ("eu", "flight")
    assert made.payload is EVENT["payload"]


@pytest.mark.parametrize(
    "field",
    [
        "event_id",
        "trace_seq",
        "schema_version",
        "occurred_at",
        "source.subsystem",
        "correlation_id",
        "causation_event_id",
        "tags",
    ],
)
def test_optional_fields_may_be_null_or_absent(field: str) -> None:
    assert draft(changed(field, None)) == draft(changed(field, WITHOUT))
    assert draft(changed(field, None)).schema_version == 1


@pytest.mark.parametrize(
    "field",
    [
        "trace_id",
        "event_type",
        "source",
        "source.producer_id",
        "source.system",
        "actor",
        "actor.actor_type",
        "actor.actor_id",
        "idempotency_key",
        "payload",
    ],
)
def test_required_fields_are_required(field: str) -> None:
    for value in (None, WITHOUT):
        assert refusals(changed(field, value)) == [(field, "envelope.missing_field", 400)]
    for value in (7, True, [1]) if field != "idempotency_key" else (7,):
        wrong = "envelope.not_allowed" if field == "actor.actor_type" else "envelope.wrong_type"
        assert refusals(changed(field, value)) == [(field, wrong, 400)]


IDENTIFIERS = [
    "trace_id",
    "event_id",
    "source.producer_id",
    "source.system",
    "source.subsystem",
    "actor.actor_id",
    "correlation_id",
    "causation_event_id",
]


@pytest.mark.parametrize("field", IDENTIFIERS)
@pytest.mark.parametrize(
    "bad", ["", " a", "a ", "\u00a0a", "a\u2003", "a\nb", "a\x7f", "a\x85b", "\x00", "a" * 201, "é" * 101, "\ud800"]
)
def test_identifiers_are_bounded(field: str, bad: str) -> None:
    assert refusals(changed(field, bad)) == [(field, "envelope.invalid_identifier", 400)]


@pytest.mark.parametrize("field", IDENTIFIERS)
@pytest.mark.parametrize("good", ["a", "a b", "ä:b@c", "é" * 100, "a" * 200, "...", "\U0001f600"])
def test_identifiers_may_be_almost_anything(field: str, good: str) -> None:
    draft(changed(field, good))


@pytest.mark.parametrize("bad", [".", "..", "a/b", "a\\b", "a?b", "a#b", "a%b"])
def test_identifiers_in_addresses_are_narrower(bad: str) -> None:
    for field in ("trace_id", "event_id"):
        assert refusals(changed(field, bad)) == [(field, "envelope.invalid_identifier", 400)]
    draft(changed("correlation_id", bad))


@given(st.text(max_size=210))
def test_identifiers_are_judged_as_the_specification_says(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 0
    control = any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)
    wanted = 1 <= size <= 200 and not control and text == text.strip()
    assert isinstance(validate(changed("correlation_id", text)), Draft) == wanted
    segment = wanted and text not in (".", "..") and not any(c in text for c in "/\\?#%")
    assert isinstance(validate(changed("event_id", text)), Draft) == segment


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("trace_seq", -1, "envelope.out_of_range"),
        ("trace_seq", 2**53, "envelope.out_of_range"),
        ("trace_seq", "0", "envelope.wrong_type"),
        ("trace_seq", True, "envelope.wrong_type"),
        ("trace_seq", 1.0, "envelope.wrong_type"),
        ("schema_version", 0, "envelope.out_of_range"),
        ("schema_version", 2**31, "envelope.out_of_range"),
        ("schema_version", "1", "envelope.wrong_type"),
        ("occurred_at", 5, "envelope.wrong_type"),
        ("occurred_at", "yesterday", "envelope.invalid_time"),
        ("actor.actor_type", "robot", "envelope.not_allowed"),
        ("idempotency_key", "", "envelope.invalid_key"),
        ("idempotency_key", "a\0", "envelope.invalid_key"),
        ("idempotency_key", "k" * 201, "envelope.invalid_key"),
        ("idempotency_key", "é" * 101, "envelope.invalid_key"),
        ("idempotency_key", "\ud800", "envelope.invalid_key"),
        ("tags", "a", "envelope.wrong_type"),
        ("tags", ["a"] * 33, "envelope.too_many_tags"),
    ],
)
def test_other_fields_are_bounded(field: str, value: Any, code: str) -> None:
    assert refusals(changed(field, value)) == [(field, code, 400)]


def test_keys_and_tags_at_their_bounds() -> None:
    for key in (" ", "k" * 200, "é" * 100, "a/b\n"):
        assert draft(changed("idempotency_key", key)).idempotency_key == key
    assert draft(changed("tags", ["t" * 64, "é" * 32, ""] + ["x"] * 29)).tags[0] == "t" * 64
    assert refusals(changed("tags", ["ok", "t" * 65, 3, "\0"])) == [
        ("tags[1]", "envelope.invalid_tag", 400),
        ("tags[2]", "envelope.wrong_type", 400),
        ("tags[3]", "envelope.invalid_tag", 400),
    ]


def test_unknown_fields_are_refused_at_every_level() -> None:
    event = changed("source.team", "x")
    event["actor"]["name"] = "x"
    event["log_seq"] = 5
    event["weird key"] = 1
    assert refusals(event) == [
        ("log_seq", "envelope.unknown_field", 400),
        ('["weird key"]', "envelope.unknown_field", 400),
        ("source.team", "envelope.unknown_field", 400),
        ("actor.name", "envelope.unknown_field", 400),
    ]


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_an_event_is_an_object(value: Any) -> None:
    assert refusals(value) == [("", "envelope.wrong_type", 400)]


def test_path_and_header_win_or_disagree() -> None:
    assert draft(changed("trace_id", WITHOUT), path_trace_id="t-1").trace_id == "t-1"
    assert draft(EVENT, path_trace_id=EVENT["trace_id"]).trace_id == EVENT["trace_id"]
    assert refusals(EVENT, path_trace_id="other") == [("trace_id", "envelope.trace_mismatch", 400)]
    assert refusals(changed("trace_id", WITHOUT), path_trace_id="..") == [
        ("trace_id", "envelope.invalid_identifier", 400)
    ]
    assert draft(changed("idempotency_key", None), header_key="k").idempotency_key == "k"
    assert draft(EVENT, header_key=EVENT["idempotency_key"]).idempotency_key == EVENT["idempotency_key"]
    assert refusals(EVENT, header_key="other") == [("idempotency_key", "envelope.key_mismatch", 400)]
    assert refusals(changed("idempotency_key", None), header_key="") == [
        ("idempotency_key", "envelope.invalid_key", 400)
    ]


def test_event_types_are_open_to_those_who_may() -> None:
    assert refusals(changed("event_type", "Nonsense")) == [("event_type", "event.unknown_type", 422)]
    for name in PLATFORM_TYPES:
        event = {**EVENT, "event_type": name, "payload": {}}
        assert refusals(event) == [("event_type", "event.platform_only", 403)]
        assert refusals(event, origin="import") == [("event_type", "event.platform_only", 403)]
        assert draft({**event, "payload": CATALOG[name].example}, origin="platform").event_type == name
    for name in INGEST_TYPES:
        assert draft({**EVENT, "event_type": name, "payload": CATALOG[name].example}).event_type == name


def test_review_traces_belong_to_the_platform() -> None:
    event = changed("trace_id", "review:1")
    assert refusals(event) == [("trace_id", "envelope.reserved_trace_id", 403)]
    assert refusals(changed("trace_id", None), path_trace_id="review:1") == [
        ("trace_id", "envelope.reserved_trace_id", 403)
    ]
    assert draft(event, origin="platform").trace_id == "review:1"


def test_envelope_and_payload_are_judged_together() -> None:
    event = changed("payload.title", 4)
    event["trace_id"] = "a/b"
    event["tags"] = 1
    del event["payload"]["primary_entity"]["entity_id"]
    assert refusals(event) == [
        ("trace_id", "envelope.invalid_identifier", 400),
        ("tags", "envelope.wrong_type", 400),
        ("payload.title", "payload.wrong_type", 422),
        ("payload.primary_entity.entity_id", "payload.missing_key", 422),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*EVENT, "other"]), JSON), st.sets(st.sampled_from(list(EVENT))))
def test_any_value_anywhere_is_judged_and_never_crashes(values: dict[str, Any], kept: set[str]) -> None:
    made = validate({**{name: EVENT[name] for name in kept}, **values})
    assert isinstance(made, (Draft, list))
    assert made
