"""OpenTelemetry in OTLP/JSON: spans and log records, one case per OpenTelemetry trace.

A span of a tool call (``gen_ai`` semantic conventions) is an action proposed and committed; every
other span and every log record is an input with its raw content. A trace is finished when its root
span is in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from traces.importers.case import (
    SOURCE_EVENT,
    SOURCE_PART,
    Case,
    ImportProblem,
    Refusal,
    clean_text,
    json_documents,
    plain_id,
    safe_id,
    short_hash,
)
from traces.importers.trail import MAX_FACT, Trail, attach, fact, settings

DEFAULTS: dict[str, Any] = {
    "name": "otel",
    "workflow": "telemetry",
    "producer_id": "import:otel",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ERROR = 2
_LAST_NANO = 253_402_300_799 * 10**9


class _Item:
    """One span or log record with the resource and scope it came under."""

    __slots__ = ("attributes", "body", "kind", "nano", "number", "resource", "scope")

    def __init__(self, kind: str, body: dict[str, Any], resource: Any, scope: Any, number: int) -> None:
        self.kind = kind
        self.body = body
        self.resource = resource
        self.scope = scope
        self.number = number
        self.attributes = attributes_of(body)
        keys = ("startTimeUnixNano",) if kind == "span" else ("timeUnixNano", "observedTimeUnixNano")
        self.nano = next((n for key in keys if (n := _nano(body.get(key)))), 0)


def _nano(value: Any) -> int:
    """Nanoseconds since 1970, 0 when the value is none."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return 0
    return number if 0 < number <= _LAST_NANO else 0


def _when(nano: int) -> str:
    """RFC 3339 with six fraction digits; the digits beyond stay in the raw content."""
    moment = _EPOCH + timedelta(microseconds=nano // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def attributes_of(holder: Any) -> dict[str, Any]:
    """Attributes by key; a value is the content of its ``stringValue``, ``intValue`` and so on."""
    listed = holder.get("attributes") if isinstance(holder, dict) else None
    found: dict[str, Any] = {}
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and isinstance(item.get("value"), dict):
            found[str(item.get("key"))] = next(iter(item["value"].values()), None)
    return found


def _lists(holder: Any, key: str) -> list[dict[str, Any]]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _items(document: dict[str, Any]) -> Iterator[_Item]:
    number = 0
    for outer, middle, inner, kind in (
        ("resourceSpans", "scopeSpans", "spans", "span"),
        ("resourceLogs", "scopeLogs", "logRecords", "log"),
    ):
        for resource in _lists(document, outer):
            for scope in _lists(resource, middle):
                for body in _lists(scope, inner):
                    yield _Item(kind, body, resource.get("resource"), scope.get("scope"), number)
                    number += 1


def read(path: Path, *, mapping: Mapping[str, Any] | None = None) -> Iterator[Case]:
    """Every OpenTelemetry trace of every export request in the file as a `Case`."""
    chosen = settings(DEFAULTS, mapping or {})
    for number, document, position in json_documents(path):
        if not isinstance(document, dict) or not {"resourceSpans", "resourceLogs"} & set(document):
            raise ImportProblem(
                "import.not_otlp",
                f"{path.name}: document {number} has neither resourceSpans nor resourceLogs.",
            )
        cases: dict[str, list[_Item]] = {}
        for item in _items(document):
            # Records outside any trace belong together by the file they came in.
            key = str(item.body.get("traceId") or f"{short_hash(path.name)}-{number}")
            cases.setdefault(key, []).append(item)
        for case_id, items in cases.items():
            yield _case(chosen, case_id, items, position)


def _case(chosen: Mapping[str, Any], case_id: str, items: list[_Item], position: int) -> Case:
    system = str(attributes_of(items[0].resource).get("service.name") or "otel")
    # Spans and logs of one trace come in different files, hence in different cases.
    kinds = "-".join(sorted({item.kind for item in items}))
    trail = Trail(f"{chosen['name']}-{kinds}", case_id, chosen["producer_id"], plain_id(system))
    actor = {"actor_type": "system", "actor_id": plain_id(system)}
    entity = {"entity_type": "service", "entity_id": plain_id(system)}
    counts: Counter[str] = Counter()
    dated = [item for item in items if item.nano]
    refusals = [
        Refusal("import.bad_time", "The record has no time.", f"{item.kind} {item.number}")
        for item in items
        if not item.nano
    ]
    if not dated:
        return Case("", [], position, len(items), None, refusals)
    dated.sort(key=lambda item: (item.nano, item.number))
    ends: list[tuple[int, str]] = []
    outcome: str | None = None
    used: Counter[str] = Counter()
    for item in dated:
        own = item.body.get("spanId") if item.kind == "span" else None
        mark = safe_id(str(own or f"{item.kind}-{item.number}"), 60)
        used[mark] += 1
        if used[mark] > 1:
            mark = f"{mark}-again-{used[mark]}"
        end = _nano(item.body.get("endTimeUnixNano"))
        status = item.body.get("status")
        failed = isinstance(status, dict) and status.get("code") in (_ERROR, "STATUS_CODE_ERROR")
        if end:
            ends.append((end, mark))
            if item.kind == "span" and not item.body.get("parentSpanId"):
                outcome = "failure" if failed else "success"
        _add(trail, item, mark, actor, entity, counts, end, failed)
    events, trail.envelopes = trail.envelopes, []
    names = [item.body.get("name") or item.body.get("eventName") for item in dated]
    title = next((str(name) for name in names if name), case_id)
    source_counts = {name: counts[name] for name in ("spans", "logs", "tool_calls", "unmapped")}
    source_counts["split"] = trail.split
    trail.add(
        "TraceStarted", "start", _when(dated[0].nano), actor,
        {
            "workflow": chosen["workflow"],
            "title": clean_text(title)[:300],
            "primary_entity": entity,
            "context": {"source_counts": source_counts, "otel_trace_id": clean_text(case_id)[:200]},
        },
    )  # fmt: skip
    # A tool call is committed when its span ends, which may be after a later span began.
    trail.envelopes += sorted(events, key=lambda event: str(event["occurred_at"]))
    if outcome is not None:
        last = max([dated[-1].nano, *(end for end, _ in ends)])
        trail.add("TraceFinished", "finish", _when(last), actor, {"outcome": outcome})
    built = trail.case(position, outcome)
    built.source_events, built.refusals = len(items), refusals
    return built


def _add(
    trail: Trail,
    item: _Item,
    mark: str,
    actor: dict[str, str],
    entity: dict[str, Any],
    counts: Counter[str],
    end: int,
    failed: bool,
) -> None:
    counts["spans" if item.kind == "span" else "logs"] += 1
    when = _when(item.nano)
    raw: dict[str, Any] = {item.kind: item.body, "resource": item.resource, "scope": item.scope}
    payload: dict[str, Any]
    tool = item.attributes.get("gen_ai.tool.name")
    if item.kind == "span" and (tool or item.attributes.get("gen_ai.operation.name") == "execute_tool"):
        counts["tool_calls"] += 1
        payload = {
            "action_id": mark,
            "action_type": plain_id(str(tool or item.body.get("name") or "tool")),
            "target_entity": entity,
            "target_system": trail.system,
            "changes": [],
        }
        rest = attach(payload, "raw", raw)
        cause = trail.add("ActionProposed", mark, when, actor, payload, tags=(SOURCE_EVENT,))
        if end:
            done: dict[str, Any] = {
                "action_id": mark,
                "status": "failure" if failed else "success",
            }
            if failed:
                message = item.body["status"].get("message")
                done["error"] = clean_text(str(message or "error"))[:4000]
            trail.add(
                "ActionCommitted", f"{mark}.done", _when(max(end, item.nano)), actor, done,
                tags=(SOURCE_PART,), cause=cause,
            )  # fmt: skip
    else:
        counts["unmapped"] += 1
        name = item.body.get("name") or item.body.get("eventName") or item.body.get("severityText")
        payload = {
            "input_id": mark,
            "source": {"system": trail.system, "object_type": item.kind, "object_id": mark},
            "facts": [fact("name", str(name)[:MAX_FACT])] if name else [],
        }
        rest = attach(payload, "raw", raw)
        cause = trail.add("InputObserved", mark, when, actor, payload, tags=(SOURCE_EVENT,))
    trail.rest(mark, when, actor, "raw", rest, cause)
