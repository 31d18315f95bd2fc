"""Writes of the log: append, remember refusals, follow with the producers' figures."""

from traces.services.append import append, append_batch, append_one
from traces.services.results import Receipt, Refused, Result
from traces.services.roll_up import roll_up

__all__ = ["Receipt", "Refused", "Result", "append", "append_batch", "append_one", "roll_up"]
