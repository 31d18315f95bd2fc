"""Process logs as CSV: one row is one event, a column names the case.

Rows of a case may lie apart: a first pass notes each case's last row (one number per case), the
second hands a case out at that row, so only cases that are still open are held.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from traces.importers.case import Case, ImportProblem, Refusal, open_source
from traces.importers.mapping import ProcessMapping
from traces.importers.process import CaseBuilder

csv.field_size_limit(1 << 24)


def _rows(path: Path) -> Iterator[tuple[list[str], int]]:
    """(fields, file position) of every row, the header first."""
    with open_source(path) as source:
        text = io.TextIOWrapper(source.stream, encoding="utf-8-sig", newline="")
        lines = csv.reader(text, strict=True)
        try:
            for row in lines:
                yield row, source.position()
        except csv.Error as error:
            raise ImportProblem("import.broken_csv", f"{path.name}, line {lines.line_num}: {error}.") from error


def _header(path: Path, rows: Iterator[tuple[list[str], int]], mapping: ProcessMapping) -> list[str]:
    header, _ = next(rows, ([], 0))
    wanted = {
        mapping.case_key, mapping.activity_key, mapping.time_key, mapping.lifecycle_key,
        mapping.actor_key, mapping.event_key, *mapping.outcome_present,
        *(pick.source for pick in mapping.context),
    }  # fmt: skip
    missing = sorted(wanted - set(header) - {""})
    if missing:
        raise ImportProblem(
            "import.missing_columns",
            f"{path.name} has no column {', '.join(missing)}; it has {', '.join(header)}.",
        )
    return header


def read(path: Path, *, mapping: Mapping[str, Any]) -> Iterator[Case]:
    """Every case in the order of its last row. Raises `ImportProblem`."""
    checked = ProcessMapping.parse(mapping)
    builder = CaseBuilder(checked)
    rows = _rows(path)
    header = _header(path, rows, checked)
    at, width = header.index(checked.case_key), len(header)
    last = {row[at]: number for number, (row, _) in enumerate(rows) if len(row) == width}
    rows = _rows(path)
    next(rows, None)
    waiting: dict[str, list[dict[str, str]]] = {}
    for number, (row, position) in enumerate(rows):
        if not row:
            continue
        case_id = row[at] if len(row) == width else ""
        if not case_id:
            refused = Case("", [], position, 1, None)
            problem = (
                Refusal("import.no_case_id", "The row names no case.", f"row {number + 2}")
                if len(row) == width
                else Refusal(
                    "import.bad_row",
                    f"The row has {len(row)} fields, the header {width}.",
                    f"row {number + 2}",
                )
            )
            refused.refusals.append(problem)
            yield refused
            continue
        events = waiting.setdefault(case_id, [])
        events.append(dict(zip(header, row, strict=True)))
        if last[case_id] == number:
            del waiting[case_id]
            yield builder.build(case_id, events[0], events, position)
