"""Our own client envelopes, one JSON object a line, handed on untouched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from traces.domain.canonical import MAX_EVENT_BYTES, MalformedJson, parse_event
from traces.importers.case import Case, ImportProblem, Refusal, open_source

_CASE_EVENTS = 1000
"""A longer run of one trace is handed out in pieces, so that memory stays bounded."""


def read(path: Path, *, mapping: Mapping[str, Any] | None = None) -> Iterator[Case]:
    """Consecutive lines of one trace as a `Case` (``whole`` is False: a trace may come again).

    A line that is no event is refused and the next line read. Raises `ImportProblem` when the file
    itself cannot be read, or when a mapping is given: there is nothing to map.
    """
    if mapping:
        raise ImportProblem("import.bad_mapping", "jsonl holds finished events; leave --mapping out.")
    current = Case("", [], 0, 0, None, whole=False)
    number = 0
    with open_source(path) as source:
        while True:
            line = source.stream.readline(MAX_EVENT_BYTES + 2)
            cut = len(line) > MAX_EVENT_BYTES and not line.endswith(b"\n")
            while cut and (more := source.stream.readline(MAX_EVENT_BYTES)):
                cut = not more.endswith(b"\n")
            if not line:
                break
            number += 1
            if not line.strip():
                continue
            event: Any = None
            problem: Refusal | None = None
            try:
                event = parse_event(line.strip())
            except MalformedJson as error:
                problem = Refusal(error.code, error.detail, f"line {number}")
            if problem is None and not isinstance(event, dict):
                problem = Refusal("import.not_an_event", "A line is one object.", f"line {number}")
            if problem is not None:
                current.refusals.append(problem)
                current.source_events += 1
                continue
            trace_id = str(event.get("trace_id"))
            full = len(current.envelopes) >= _CASE_EVENTS
            if current.envelopes and (current.trace_id != trace_id or full):
                yield current
                current = Case("", [], 0, 0, None, whole=False)
            current.trace_id = trace_id
            current.envelopes.append(event)
            current.source_events += 1
            current.position = source.position()
            if event.get("event_type") == "TraceFinished" and isinstance(event.get("payload"), dict):
                current.outcome = str(event["payload"].get("outcome"))
    if current.envelopes or current.refusals:
        yield current
