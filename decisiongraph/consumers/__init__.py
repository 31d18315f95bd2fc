"""The one WebSocket consumer and what it is made of."""

from decisiongraph.consumers.console import Console

__all__ = ["Console"]
