"""Pages of the human workflow: inbox and item, exceptions, incidents, service levels, and the panels others embed."""

from approvals.console.acts import act
from approvals.console.exceptions import ask, exceptions
from approvals.console.inbox import inbox
from approvals.console.incidents import incident, incidents, report, work
from approvals.console.item import item
from approvals.console.levels import attempt, delete, level, levels, save
from approvals.console.waiting import waiting

__all__ = [
    "act",
    "ask",
    "attempt",
    "delete",
    "exceptions",
    "inbox",
    "incident",
    "incidents",
    "item",
    "level",
    "levels",
    "report",
    "save",
    "waiting",
    "work",
]
