"""Traces of requests, tasks and doorbells by OpenTelemetry, when somebody listens.

Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set: then nothing of OpenTelemetry is imported and `span`
hands out one context manager that does nothing. The packages are an extra (``requirements/otel.in``).
The provider is made at the first span of each process, because its thread does not survive a fork.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

_NOTHING: AbstractContextManager[None] = nullcontext()
_on = False
_tracer: Any = None
_tracer_pid = 0


def configure(endpoint: str) -> None:
    """Trace to this collector; with an empty address nothing is traced.

    Raises `LookupError` when the packages are missing.
    """
    global _on
    if endpoint and not all(_there(name) for name in NEEDED):
        raise LookupError(f"{ENDPOINT} is set, and OpenTelemetry is not installed: make tracing")
    _on = bool(endpoint)


def _there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def enabled() -> bool:
    """Whether spans go anywhere."""
    return _on


def tracer() -> Any:
    """This process's tracer."""
    global _tracer, _tracer_pid
    if _tracer is None or _tracer_pid != os.getpid():
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        # Endpoint, headers, sampler and service name: the exporter and the SDK read the standard
        # variables themselves; an attribute given here would win over them.
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "decisiongraph"}
        provider = TracerProvider(resource=Resource.create(named))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        use(provider)
    return _tracer


def use(provider: Any) -> None:
    """Take this provider (tests listen with one of their own)."""
    global _tracer, _tracer_pid
    _tracer, _tracer_pid = provider.get_tracer("decisiongraph"), os.getpid()


def span(name: str, parent: str = "", **attributes: Any) -> AbstractContextManager[Any]:
    """A span around the ``with`` block; its value is the span, or None when nothing is traced.

    ``parent`` is a ``traceparent`` of another process; otherwise the span that is open here.
    """
    return _span(name, parent, attributes) if _on else _NOTHING


@contextmanager
def _span(name: str, parent: str, attributes: dict[str, Any]) -> Iterator[Any]:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
    with tracer().start_as_current_span(name, context=context, attributes=attributes) as opened:
        yield opened


def current() -> str:
    """The open span as ``traceparent``; empty without one."""
    if not _on:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")
