"""Pages of the log: one trace, one event as JSON, the live stream."""

from traces.console.stream import live
from traces.console.trace import event_json, trace

__all__ = ["event_json", "live", "trace"]
