"""The columns that search reads, computed from a row and held by no digest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from projections.domain import words
from projections.domain.precedents.radar import step
from projections.domain.precedents.situation import Situation


def summary_words(key: str, row: Mapping[str, Any]) -> str:
    """What a trace's own row says, and its exact values as tags."""
    texts = _texts(
        key, row["title"], row["workflow"], row["primary_entity_type"], row["primary_entity_id"], row["summary"]
    )
    tags = {_tag("actor", actor) for actor in row["actors"]}
    for policy in row["policies"]:
        tags.add(_tag("policy", policy))
        tags.add(_tag("policy", policy.rpartition("@")[0]))
    if row["workflow"] is not None:
        tags.add(_tag("workflow", row["workflow"]))
    if row["outcome"] is not None:
        tags.add(_tag("outcome", row["outcome"]))
    return " ".join((texts, *sorted(tags)))


# Every event of a trace makes its row anew, few change anything of this.
@lru_cache(maxsize=8192)
def _texts(*texts: str | None) -> str:
    return words.tsvector(texts)


@lru_cache(maxsize=8192)
def _tag(name: str, value: str) -> str:
    return words.quoted(words.tag(name, value))


def summary_handle(key: str, row: Mapping[str, Any]) -> str:
    """Id, title and entity, for parts of words and misspelt ones."""
    return _handle(key, row["title"], row["primary_entity_id"], row["workflow"])


@lru_cache(maxsize=8192)
def _handle(*texts: str | None) -> str:
    return words.handle(*texts)


def precedent_words(row: Mapping[str, Any]) -> str:
    """Everything a finished decision says."""
    names = (row["trace_id"], row["title"], row["workflow"], row["primary_entity_type"], row["primary_entity_id"])
    facts = (f"{name} {value}" for name, _kind, value in row["facts"])
    return words.tsvector((*names, *row["text"].split("\n"), *facts))


def situation_words(found: Situation) -> str:
    """What was asked and found, and names, facts and steps of numbers as tags."""
    return words.tsvector((found.opening, found.asked), situation_tags(found))


def situation_tags(found: Situation) -> list[str]:
    """Exact values of a situation, and for numbers the step they stand in."""
    tags = {words.tag("fact", f"{key}={value}") for key, value in found.facts}
    tags |= {words.tag("near", f"{key}={step(value)}") for key, value in found.facts}
    tags |= {words.tag("code", code) for code in found.codes}
    tags |= {words.tag("action", action) for action in found.actions}
    tags |= {words.tag("policy", policy) for policy in found.policies}
    return sorted(tags)


def situation_handle(found: Situation) -> str:
    """The folded opening."""
    return words.handle(found.opening)
