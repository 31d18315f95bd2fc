"""Pages of the log: one trace, one event as JSON, two traces beside each other, the live stream."""

from traces.console.compare import compared
from traces.console.stream import live
from traces.console.trace import event_json, trace

__all__ = ["compared", "event_json", "live", "trace"]
