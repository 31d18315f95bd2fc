"""Where real data is, and what every importer's output must satisfy."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest

from traces.domain import draft
from traces.domain.canonical import parse_event
from traces.importers import Case

REPO = Path(__file__).resolve().parents[3]
MAPPINGS = REPO / "docs" / "imports"
SHARED = Path(os.environ.get("DG_SHARED_DATA", REPO.parent / "shared" / "data"))

needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"real data is not at {SHARED}; set DG_SHARED_DATA to its folder"
)


def problems(envelope: dict[str, Any]) -> list[Any]:
    """What the log would refuse in an envelope: limits, strict JSON, validation."""
    checked = draft.validate(parse_event(orjson.dumps(envelope)))
    return checked if isinstance(checked, list) else []


def require_sound(cases: Iterable[Case]) -> list[Case]:
    """Every case starts once and first, finishes last or not at all, and is valid."""
    seen = list(cases)
    for case in seen:
        kinds = [envelope["event_type"] for envelope in case.envelopes]
        assert kinds[0] == "TraceStarted"
        assert kinds.count("TraceStarted") == 1
        assert kinds.count("TraceFinished") == (case.outcome is not None)
        if case.outcome is not None:
            assert kinds[-1] == "TraceFinished"
        for name in ("event_id", "idempotency_key"):
            assert len({envelope[name] for envelope in case.envelopes}) == len(kinds)
        tagged = sum("source-event" in envelope["tags"] for envelope in case.envelopes)
        assert tagged + len(case.refusals) == case.source_events
        for envelope in case.envelopes:
            assert problems(envelope) == []
    return seen
