"""A rule that computes something else must say so: its version goes up, replays then know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from projections.domain.rules import RULES
from tests.golden.stream import events
from tests.projections.fold import Fold

PATH = Path(__file__).with_name("canonical_digests.json")


@pytest.mark.parametrize("name", list(RULES))
def test_the_same_rule_version_makes_the_same_rows(name: str) -> None:
    rule = RULES[name]
    golden = json.loads(PATH.read_text(encoding="utf-8"))
    found = {"version": rule.version, "digest": Fold(rule).feed(*events()).canonical()}
    assert found == golden[name], f"{name} makes other rows: raise its version, then write {found} to {PATH.name}"


def test_the_stream_touches_every_type_the_rules_know() -> None:
    kinds = {event.event_type for event in events()}
    known = {kind for rule in RULES.values() for kind in rule.history_types}
    assert known <= kinds
