"""Tables of the human workflow. Only `approvals.services` writes them."""

from approvals.models.incidents import Incident, IncidentEntry, IncidentLink
from approvals.models.items import Comment, Delegation, Item, Step, Timer, Vote
from approvals.models.plumbing import Follower, Once, Outbox, ProducerWatch, SlaPolicy
from approvals.models.telling import Attempt, Delivery, Endpoint, Notification, Preference
from approvals.models.visits import Visit

__all__ = [
    "Attempt",
    "Comment",
    "Delegation",
    "Delivery",
    "Endpoint",
    "Follower",
    "Incident",
    "IncidentEntry",
    "IncidentLink",
    "Item",
    "Notification",
    "Once",
    "Outbox",
    "Preference",
    "ProducerWatch",
    "SlaPolicy",
    "Step",
    "Timer",
    "Visit",
    "Vote",
]
