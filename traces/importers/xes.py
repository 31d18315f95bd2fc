"""XES event logs (IEEE 1849), plain or gzip.

Read by expat piece by piece: one trace is held at a time. A document type declaration is refused,
so no entity is ever expanded and nothing outside the file is ever opened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

from traces.importers.case import Case, ImportProblem, Refusal, open_source
from traces.importers.mapping import ProcessMapping
from traces.importers.process import CaseBuilder

_VALUES = frozenset(("string", "date", "int", "float", "boolean", "id"))
_CHUNK = 1 << 16


class _Reader:
    """Collects (case attributes, events) of every finished ``<trace>``."""

    def __init__(self) -> None:
        self.ready: deque[tuple[dict[str, str], list[dict[str, str]]]] = deque()
        self._case: dict[str, str] | None = None
        self._events: list[dict[str, str]] = []
        self._event: dict[str, str] | None = None
        self._path: list[str] = []
        self.saw_log = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag in _VALUES or tag in ("list", "container"):
            target = self._event if self._event is not None else self._case
            if target is None:
                return
            # Attributes may nest: the inner one is named after the outer one.
            self._path.append(attributes.get("key", ""))
            if tag in _VALUES:
                key = self._path[0] if len(self._path) == 1 else "/".join(self._path)
                if self._event is None:
                    key = f"case:{key}"
                target[key] = attributes.get("value", "")
        elif tag == "event":
            self._event = {}
        elif tag == "trace":
            self._case, self._events = {}, []
        elif tag == "log":
            self.saw_log = True

    def end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "event":
            if self._case is not None and self._event is not None:
                self._events.append(self._event)
            self._event = None
        elif tag == "trace":
            if self._case is not None:
                self.ready.append((self._case, self._events))
            self._case, self._events = None, []
        elif self._path and (tag in _VALUES or tag in ("list", "container")):
            self._path.pop()


def _refuse_doctype(*_: Any) -> None:
    raise ImportProblem("import.doctype", "An XES log needs no document type declaration; remove it.")


def read(path: Path, *, mapping: Mapping[str, Any]) -> Iterator[Case]:
    """Every ``<trace>`` as a `Case`. Raises `ImportProblem`.

    Where the XML breaks, the cases before the break have been handed out already.
    """
    checked = ProcessMapping.parse(mapping)
    builder = CaseBuilder(checked)
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = _refuse_doctype
    number = 0
    with open_source(path) as source:
        last = False
        while not last:
            try:
                data = source.stream.read(_CHUNK)
                last = not data
                parser.Parse(data, last)
            except expat.ExpatError as error:
                raise ImportProblem(
                    "import.broken_xml",
                    f"{path.name} is broken in line {error.lineno}, column {error.offset}: "
                    f"{expat.ErrorString(error.code)}. {number} cases before it were read.",
                ) from error
            position = source.position()
            while reader.ready:
                case, events = reader.ready.popleft()
                case_id = case.get(checked.case_key)
                if case_id:
                    yield builder.build(case_id, case, events, position)
                else:
                    lost = Case("", [], position, len(events), None)
                    lost.refusals.append(
                        Refusal(
                            "import.no_case_id",
                            f"The trace has no attribute {checked.case_key.removeprefix('case:')!r}.",
                            f"trace {number}",
                        )
                    )
                    yield lost
                number += 1
    if not reader.saw_log:
        raise ImportProblem("import.not_xes", f"{path.name} holds no <log>; it is not XES.")
