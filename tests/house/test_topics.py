"""docs/topics.md says what the declarations say, and nothing is published that nobody declared."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from decisiongraph.consumers import Console, frames, subscriptions
from decisiongraph.consumers.registry import TOPICS, LogTopic, StateTopic, Topic
from tenants.services import bell

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "topics.md").read_text()


def section(title: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    text = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def spelled(topic: Topic) -> str:
    return f"`{topic.name}:{{id}}`" if topic.with_id else f"`{topic.name}`"


def test_topics_table() -> None:
    declared = [[spelled(t), "log" if isinstance(t, LogTopic) else "state", t.permission, t.meaning] for t in TOPICS]
    assert sorted(section("Topics")) == sorted(declared)


def test_messages_table() -> None:
    documented = {}
    for message, topics, publishers, when in section("Messages"):
        documented[message.strip("`")] = (set(topics.split(", ")), set(publishers.split(", ")), when)
    topics_of: dict[str, set[str]] = {}
    for topic in TOPICS:
        for message in topic.messages:
            topics_of.setdefault(message.name, set()).add(spelled(topic))
            assert set(message.publisher.split(", ")) <= documented[message.name][1], message
    assert {name: row[0] for name, row in documented.items()} == topics_of


def test_frames_tables() -> None:
    taken = {row[0].strip("`"): set(re.findall(r"`(\w+)\??`", row[1])) for row in section("Frames from the client")}
    assert taken == {kind: set(fields - {"type"}) for kind, fields in frames._FIELDS.items()}
    sent = {row[0].strip("`") for row in section("Frames from the server")}
    source = (ROOT / "decisiongraph" / "consumers" / "frames.py").read_text()
    assert sent == set(re.findall(r'\{"type": "(\w+)"', source))


def test_codes_tables() -> None:
    assert {row[0].strip("`") for row in section("Error codes")} == set(frames.ERRORS)
    assert {int(row[0]) for row in section("Close codes")} == set(frames.CLOSES)


def test_numbers() -> None:
    for number, words in (
        (Console.max_topics, "at most {} topics"),
        (int(Console.frames_per_second), "at most {} frames a second"),
        (int(Console.frames_at_once), "({} at once)"),
        (subscriptions.MAX_BEHIND, "more than {:,} events behind"),
        (int(Console.slow_after), "untaken for {} s"),
        (Console.max_wrong_frames, "or {} wrong ones"),
        (frames.MAX_FRAME_BYTES // 1024, "at most {} KiB"),
        (int(Console.look_every), "every {} s"),
    ):
        assert words.format(number) in PAGE
    told = {t.name: round(1 / t.interval) for t in TOPICS if isinstance(t, StateTopic)}
    quick, usual = ("approvals", "approval", "incident"), ("projection_health", "presence")
    assert told == dict.fromkeys(told, 2) | dict.fromkeys(usual, 4) | dict.fromkeys(quick, 10)
    assert Console.recheck_every <= 60


def _published() -> list[tuple[str, int, str | None, str | None]]:
    """Every ``publish(tenant, topic, message)`` in the code; None for what is not a plain text there."""
    found = []
    for path in [*ROOT.glob("*/**/*.py")]:
        if path.relative_to(ROOT).parts[0] in ("tests", "docs") or ".venv" in path.parts or "core" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and len(node.args) >= 3:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == "publish":
                    texts = [a.value if isinstance(a, ast.Constant) else None for a in node.args[1:3]]
                    found.append((str(path.relative_to(ROOT)), node.lineno, texts[0], texts[1]))
    return found


def test_everything_published_is_declared() -> None:
    declared = {topic.name: {message.name for message in topic.messages} for topic in TOPICS}
    declared[bell.TOPIC] = {bell.MESSAGE}
    calls = _published()
    assert len(calls) > 3
    for path, line, topic, message in calls:
        if topic is not None:
            assert topic in declared, f"{path}:{line} publishes on the undeclared topic {topic}"
            if message is not None:
                assert message in declared[topic], f"{path}:{line} says {message}, which {topic} does not declare"


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_declarations_are_complete(topic: Topic) -> None:
    assert topic.messages
    assert topic.permission == "read"
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", message.name) for message in topic.messages)


def test_the_bell_of_the_doors_is_no_topic() -> None:
    assert bell.TOPIC not in {topic.name for topic in TOPICS}
