"""The envelope: what is accepted, and every refusal with its path, code and status."""

import copy
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.domain.canonical import jcs, leaf_hash
from traces.domain.catalog import CATALOG
from traces.domain.content import (
    content,
    content_canonical,
    differing_fields,
    leaf_of_draft,
    secret_in,
    stored_leaf_envelope,
)
from traces.domain.draft import Draft, validate
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES, StoredEvent
from traces.domain.moment import instant
from traces.domain.violations import Violation

EVENT: dict[str, Any] = {
    "event_id": "e-1",
    "trace_id": "refund-8123-a",
    "trace_seq": 0,
    "event_type": "TraceStarted",
    "schema_version": 1,
    "occurred_at": "2026-01-12T09:41:07.112+02:00",
    "source": {"producer_id": "refund-desk-2", "system": "desk", "subsystem": None},
    "actor": {"actor_type": "agent", "actor_id": "refund-desk-2"},
    "idempotency_key": "start:8123",
    "correlation_id": None,
    "causation_event_id": "e-0",
    "tags": ["eu", "flight"],
    "payload": CATALOG["TraceStarted"].example,
}
WITHOUT = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    event = copy.deepcopy(EVENT)
    *steps, last = path.split(".")
    holder = event
    for step in steps:
        holder = holder[step]
    if value is WITHOUT:
        del holder[last]
    else:
        holder[last] = value
    return event


def draft(event: Any, **options: Any) -> Draft:
    made = validate(event, **options)
    assert isinstance(made, Draft), made
    return made


def refusals(event: Any, **options: Any) -> list[tuple[str, str, int]]:
    made = validate(event, **options)
    assert isinstance(made, list)
    assert all(isinstance(v, Violation) and v.detail.endswith(".") for v in made)
    return [(v.path, v.code, v.status) for v in made]


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


# --- times ---------------------------------------------------------------------------------------


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


# --- content and leaf ----------------------------------------------------------------------------


def test_content_is_what_the_client_sent() -> None:
    said = content(draft(EVENT))
    assert set(said) == {
        "trace_id",
        "event_type",
        "schema_version",
        "occurred_at",
        "source",
        "actor",
        "correlation_id",
        "causation_event_id",
        "tags",
        "payload",
    }
    for field in ("event_id", "trace_seq", "idempotency_key"):
        assert content(draft({**EVENT, field: {"trace_seq": 9}.get(field, "other")})) == said
    for field in ("schema_version", "occurred_at", "tags"):
        assert content(draft(changed(field, WITHOUT)))[field] is None
        assert content(draft(changed(field, WITHOUT))) == content(draft(changed(field, None)))


@given(
    st.sampled_from(INGEST_TYPES),
    st.none() | st.lists(st.text(alphabet="aé\U0001f600", max_size=4), max_size=3),
    st.dictionaries(
        st.text(alphabet="ab\ue000\U0001f600", max_size=3), st.floats(allow_nan=False, allow_infinity=False)
    ),
)
def test_content_is_put_together_around_the_payload(name: str, tags: Any, extra: dict[str, Any]) -> None:
    made = draft({**EVENT, "event_type": name, "payload": {**CATALOG[name].example, "extra": extra}, "tags": tags})
    assert content_canonical(made, jcs(made.payload)) == jcs(content(made))


def test_a_secret_is_found_in_payload_and_envelope() -> None:
    key = "sk-" + "a1B2c3D4e5F6g7H8i9J0"

    def where(event: dict[str, Any]) -> str | None:
        made = draft(event)
        found = secret_in(made, content_canonical(made, jcs(made.payload)))
        return found and found.path

    assert where(EVENT) is None
    assert where(changed("payload.title", key)) == "payload.title"
    assert where(changed("tags", ["ok", key])) == "tags[1]"
    assert where(changed("source.subsystem", key)) == "source.subsystem"
    assert where(changed("idempotency_key", f"run {key}")) == "idempotency_key"
    assert where(changed("event_id", key)) == "event_id"


def stored(made: Draft, payload: dict[str, Any] | None) -> StoredEvent:
    return StoredEvent(
        7,
        "e-1",
        made.trace_id,
        0,
        made.event_type,
        made.schema_version,
        made.occurred_at or "2026-01-12T07:41:08.000000Z",
        "2026-01-12T07:41:08.000000Z",
        made.producer_id,
        made.system,
        made.subsystem,
        made.actor_type,
        made.actor_id,
        made.idempotency_key,
        made.correlation_id,
        made.causation_event_id,
        made.tags,
        "ingest",
        "token:1a2b3c4d",
        "sha256:00",
        "sha256:11",
        payload,
    )


def test_the_leaf_commits_to_everything_and_survives_erasure() -> None:
    made = draft(EVENT)
    commitment = hashlib.sha256(b"salt").digest()
    placed = {
        "log_seq": 7,
        "event_id": "e-1",
        "trace_seq": 0,
        "occurred_at": EVENT["occurred_at"],
        "recorded_at": "2026-01-12T07:41:08.000000Z",
        "origin": "ingest",
        "principal": "token:1a2b3c4d",
    }
    envelope = stored_leaf_envelope(stored(made, None), commitment)
    assert leaf_of_draft(made, **placed, commitment=commitment) == leaf_hash(envelope)
    assert "payload" not in envelope
    assert envelope["commitment"] == "sha256:" + commitment.hex()
    told = set(stored(made, None).as_json()) - {"payload", "payload_hash", "leaf_hash"}
    assert told | {"commitment"} == set(envelope)
    hashes = {leaf_hash(envelope), leaf_of_draft(made, **placed, commitment=bytes(32))}
    for name, other in (
        ("log_seq", 8),
        ("trace_seq", 1),
        ("principal", "x"),
        ("origin", "import"),
        ("recorded_at", "y"),
    ):
        hashes.add(leaf_of_draft(made, **{**placed, name: other}, commitment=commitment))
    assert len(hashes) == 7


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("event_type", "TraceFinished", "event_type"),
        ("schema_version", 2, "schema_version"),
        ("occurred_at", "2026-01-12T09:41:08Z", "occurred_at"),
        ("source.system", "x", "source"),
        ("actor.actor_id", "x", "actor"),
        ("correlation_id", "x", "correlation_id"),
        ("causation_event_id", None, "causation_event_id"),
        ("tags", [], "tags"),
        ("payload.title", "x", "payload"),
        ("trace_id", "x", "trace_id"),
    ],
)
def test_differing_fields_are_named(path: str, value: Any, field: str) -> None:
    before = stored(draft(EVENT), EVENT["payload"])
    event = changed(path, value)
    expected = [field]
    if path == "event_type":
        event["payload"] = {"outcome": "success"}
        expected.append("payload")
    assert differing_fields(draft(event), before) == expected
    assert differing_fields(draft(EVENT), before) == []
    assert differing_fields(draft(changed("payload.title", "x")), before._replace(payload=None)) == []
