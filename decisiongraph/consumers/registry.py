"""Every topic there is, collected from the apps that declare them."""

from __future__ import annotations

from approvals.topics import TOPICS as APPROVALS
from decisiongraph.consumers.frames import TopicName
from replays.topics import TOPICS as REPLAYS
from traces.topics import TOPICS as TRACES
from traces.topics import LogTopic, StateTopic, Topic

TOPICS: tuple[Topic, ...] = (*TRACES, *REPLAYS, *APPROVALS)

_BY_SPELLING = {(topic.name, topic.with_id): topic for topic in TOPICS}

__all__ = ["TOPICS", "LogTopic", "StateTopic", "Topic", "find"]


def find(name: TopicName) -> Topic | None:
    """The declared topic of that spelling."""
    return _BY_SPELLING.get((name.name, bool(name.ident)))
