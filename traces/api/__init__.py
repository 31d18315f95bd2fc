"""The log over HTTP."""

from traces.api.views import Events, EventTypes, Refusals, TraceEvents

__all__ = ["EventTypes", "Events", "Refusals", "TraceEvents"]
