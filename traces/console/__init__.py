"""Pages of the log: one trace, one event as JSON, two traces beside each other, the live stream, its proof."""

from traces.console.compare import compared
from traces.console.sealed import seal, seal_export
from traces.console.stream import live
from traces.console.trace import event_json, trace

__all__ = ["compared", "event_json", "live", "seal", "seal_export", "trace"]
