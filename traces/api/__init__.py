"""The log over HTTP."""

from traces.api.compare import Compare, EventDiff
from traces.api.log import LogCheckpoints, LogCheckpointView, LogConsistency, LogExport, LogInclusion
from traces.api.views import Events, EventTypes, Refusals, TraceEvents

__all__ = [
    "Compare",
    "EventDiff",
    "EventTypes",
    "Events",
    "LogCheckpointView",
    "LogCheckpoints",
    "LogConsistency",
    "LogExport",
    "LogInclusion",
    "Refusals",
    "TraceEvents",
]
