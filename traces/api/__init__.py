"""The log over HTTP."""

from traces.api.compare import Compare, EventDiff
from traces.api.views import Events, EventTypes, Refusals, TraceEvents

__all__ = ["Compare", "EventDiff", "EventTypes", "Events", "Refusals", "TraceEvents"]
