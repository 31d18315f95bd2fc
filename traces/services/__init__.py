"""Writes of the log: append, remember refusals, follow with the producers' figures and with the tree."""

from traces.services.append import append, append_batch, append_one, import_principal
from traces.services.archive import Archive, export_log
from traces.services.push import push_checkpoints
from traces.services.results import Receipt, Refused, Result
from traces.services.roll_up import roll_up
from traces.services.sealing import seal

__all__ = [
    "Archive",
    "Receipt",
    "Refused",
    "Result",
    "append",
    "append_batch",
    "append_one",
    "export_log",
    "import_principal",
    "push_checkpoints",
    "roll_up",
    "seal",
]
