"""What an append answers for each event."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from decisiongraph.core.errors import Problem
from traces.domain.violations import Violation, status_of


class Receipt(NamedTuple):
    """Proof of what is stored. ``valid`` = a dry run would have stored it; positions are then None."""

    status: Literal["created", "replayed", "valid"]
    event_id: str | None
    trace_id: str
    trace_seq: int | None
    log_seq: int | None
    payload_hash: str | None
    leaf_hash: str | None

    def as_json(self) -> dict[str, Any]:
        """One item of the answer."""
        return self._asdict()


class Refused(NamedTuple):
    """Why one event was not stored. Knows who sent it, never what it held."""

    violations: tuple[Violation, ...]
    headers: dict[str, str] = {}
    extra: dict[str, Any] = {}
    producer_id: str = ""
    trace_id: str = ""

    @property
    def status(self) -> Literal["refused"]:
        """The word in a batch answer."""
        return "refused"

    @property
    def http_status(self) -> int:
        """The status this event alone would be answered with."""
        return status_of(self.violations)

    @property
    def leading(self) -> Violation:
        """The violation that decides status and code."""
        status = self.http_status
        return next(v for v in self.violations if v.status == status)

    def as_json(self) -> dict[str, Any]:
        """One item of the answer of a batch that is not atomic."""
        first = self.leading
        return {
            "status": "refused",
            "trace_id": self.trace_id or None,
            "code": first.code,
            "detail": first.detail,
            "errors": [v.as_error() for v in self.violations],
            **self.extra,
        }

    def problem(self) -> Problem:
        """The refusal of a single append."""
        first = self.leading
        return Problem(
            first.code,
            self.http_status,
            first.detail,
            errors=[v.as_error() for v in self.violations],  # type: ignore[misc]
            extra=self.extra,
        )


Result = Receipt | Refused


def refuse(code: str, status: int, detail: str, *, path: str = "", **extra: Any) -> Refused:
    """A refusal with one reason."""
    return Refused((Violation(path, code, detail, status),), extra=extra)


def batch_problem(results: list[Result]) -> Problem:
    """The refusal of an atomic batch: the first failing item decides, every failing one is listed."""
    failed = [(i, r) for i, r in enumerate(results) if isinstance(r, Refused)]
    _, first = failed[0]
    errors = []
    for index, refused in failed:
        for violation in refused.violations:
            inner = violation.path
            path = f"events[{index}]" + (f".{inner}" if inner and inner[0] != "[" else inner)
            errors.append({"path": path, "code": violation.code, "detail": violation.detail})
    return Problem(
        first.leading.code,
        first.http_status,
        f"{len(failed)} of {len(results)} events are refused, so none was stored. "
        f"First, events[{failed[0][0]}]: {first.leading.detail}",
        errors=errors,  # type: ignore[arg-type]
    )
