"""What clients send is taken apart strictly, whatever it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisiongraph.consumers import frames

SLUGS = st.from_regex(r"\A[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?\Z")
IDENTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)

Frame = frames.Subscribe | frames.Unsubscribe | frames.Ping
KINDS = (frames.Subscribe, frames.Unsubscribe, frames.Ping)


def parsed(message: str | bytes | None) -> tuple[Frame | None, frames.FrameError | None]:
    """The frame or the refusal; anything else that is raised fails the test."""
    try:
        return frames.parse(message), None
    except frames.FrameError as error:
        return None, error


@given(st.text() | st.binary() | st.none())
def test_anything_is_a_frame_or_a_frame_error(message: str | bytes | None) -> None:
    frame, error = parsed(message)
    assert error.code in frames.ERRORS if error else isinstance(frame, KINDS)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["type", "topic", "after", "id", "token"]),
        VALUES | st.sampled_from(["subscribe", "unsubscribe", "ping", "tenant:demo:traces"]),
    )
)
def test_any_object_is_a_frame_or_an_error_that_can_be_sent(value: dict[str, object]) -> None:
    frame, error = parsed(json.dumps(value))
    if error:
        sent = json.loads(frames.error(error.code, topic=error.topic, id=error.id))
        assert sent["type"] == "error"
        assert sent.get("id") == error.id
    elif frame:
        assert value["type"] in ("subscribe", "unsubscribe", "ping")
        assert frame.id == value.get("id")


@given(SLUGS, st.sampled_from(["trace", "replay"]), IDENTS)
def test_a_topic_is_split_at_its_first_three_colons(slug: str, name: str, ident: str) -> None:
    text = f"tenant:{slug}:{name}:{ident}"
    assert frames.split_topic(text) == frames.TopicName(text, slug, name, ident)


NO_TOPICS = ["", "tenant", "tenant:a", "tenant::traces", "tenant:a:", "x:a:traces", "tenant:a:trace:"]
NO_TOPICS += ["tenant:a:trace:x\x00", "tenant:a:tra\nces"]


@pytest.mark.parametrize("text", NO_TOPICS)
def test_what_is_no_topic(text: str) -> None:
    assert frames.split_topic(text) is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no json", "frame.malformed"),
        ("[]", "frame.malformed"),
        ("{}", "frame.malformed"),
        ('{"type": 1}', "frame.malformed"),
        ('{"type": "publish"}', "frame.unknown_type"),
        ('{"type": "subscribe"}', "frame.malformed"),
        ('{"type": "subscribe", "topic": 7}', "frame.malformed"),
        ('{"type": "subscribe", "topic": "t", "after": -1}', "frame.malformed"),
        ('{"type": "subscribe", "topic": "t", "after": "1"}', "frame.malformed"),
        ('{"type": "subscribe", "topic": "t", "after": true}', "frame.malformed"),
        ('{"type": "subscribe", "topic": "t", "after": 1.5}', "frame.malformed"),
        ('{"type": "subscribe", "topic": "t", "after": 9007199254740992}', "frame.malformed"),
        ('{"type": "subscribe", "topic": "t", "before": 1}', "frame.unknown_field"),
        ('{"type": "ping", "id": []}', "frame.malformed"),
        ('{"type": "ping", "id": NaN}', "frame.malformed"),
        ('{"type": "ping", "id": "\\ud800"}', "frame.malformed"),
        ('{"type": "ping", "id": "' + "x" * 101 + '"}', "frame.malformed"),
        ("x" * (frames.MAX_FRAME_BYTES + 1), "frame.too_large"),
        ("é" * (frames.MAX_FRAME_BYTES // 2 + 1), "frame.too_large"),
        ("[" * 5000, "frame.malformed"),
    ],
)
def test_refusals(message: str, code: str) -> None:
    with pytest.raises(frames.FrameError) as caught:
        frames.parse(message)
    assert caught.value.code == code
    assert caught.value.fatal == (code == "frame.too_large")


def test_frames_to_clients() -> None:
    assert json.loads(frames.subscribed("t", None, 7)) == {"type": "subscribed", "topic": "t", "id": None, "cursor": 7}
    assert json.loads(frames.event("t", "trace.finished", 9, b'{"log_seq":9}')) == {
        "type": "event", "topic": "t", "message": "trace.finished", "log_seq": 9, "data": {"log_seq": 9},
    }  # fmt: skip
    assert json.loads(frames.snapshot("t", b"[1]")) == {"type": "snapshot", "topic": "t", "data": [1]}
    assert json.loads(frames.state("t", "m", b"{}")) == {"type": "state", "topic": "t", "message": "m", "data": {}}
    assert json.loads(frames.resync("t", 5)) == {"type": "resync", "topic": "t", "cursor": 5}
    assert json.loads(frames.pong(None)) == {"type": "pong"}
    assert json.loads(frames.pong(3)) == {"type": "pong", "id": 3}
