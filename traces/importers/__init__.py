"""Importers: one module per foreign format, each a pure generator of cases.

To add a format, write a module with ``read(path, *, mapping)`` and name it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from traces.importers import agent_trace, chat, csv_log, jsonl, otel, xes
from traces.importers.case import Case, ImportProblem, Refusal
from traces.importers.mapping import load_mapping

__all__ = ["FORMATS", "Case", "Format", "ImportProblem", "Refusal", "load_mapping", "read_cases"]

Read = Callable[..., Iterator[Case]]


class Format(NamedTuple):
    """One format the command understands."""

    read: Read
    """``read(path, *, mapping) -> Iterator[Case]``"""
    needs_mapping: bool
    summary: str


FORMATS: dict[str, Format] = {
    "jsonl": Format(jsonl.read, False, "our own envelopes, one a line"),
    "xes": Format(xes.read, True, "process logs in XES"),
    "csv": Format(csv_log.read, True, "process logs in CSV"),
    "chat": Format(chat.read, False, "message trajectories with tool calls"),
    "agent-trace": Format(agent_trace.read, False, "exported traces of agent frameworks"),
    "otel": Format(otel.read, False, "OpenTelemetry spans and logs in OTLP/JSON"),
}


def read_cases(name: str, path: Path, mapping: Mapping[str, Any] | None) -> Iterator[Case]:
    """The cases of a file in the named format. Raises `ImportProblem`."""
    known = FORMATS.get(name)
    if known is None:
        raise ImportProblem("import.unknown_format", f"{name!r} is none of the formats {', '.join(FORMATS)}.")
    if known.needs_mapping and mapping is None:
        raise ImportProblem(
            "import.mapping_needed",
            f"The format {name} needs --mapping FILE; two are in docs/imports/.",
        )
    return known.read(path, mapping=mapping)
