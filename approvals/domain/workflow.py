"""The life of a workflow item: states, transitions, who may, quorum, four eyes. Pure (SEMANTICS 9).

`act` is the only way from one state to the next. It raises `Refused` and never changes its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from approvals.domain.people import Person, same

State = Literal[
    "requested",
    "in_review",
    "changes_requested",
    "escalated",
    "approved",
    "rejected",
    "overridden",
    "withdrawn",
    "expired",
]
STATES: tuple[State, ...] = get_args(State)
OPEN: tuple[State, ...] = ("requested", "in_review", "changes_requested", "escalated")
TERMINAL: tuple[State, ...] = ("approved", "rejected", "overridden", "withdrawn", "expired")
GRANTED: tuple[State, ...] = ("approved", "overridden")
"""Terminal states that let the action run."""

Action = Literal[
    "claim",
    "release",
    "approve",
    "reject",
    "request_changes",
    "resubmit",
    "escalate",
    "override",
    "withdraw",
    "expire",
    "comment",
    "reassign",
    "delegate",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
Role = Literal["reviewer", "holder", "requester", "admin", "member", "timer"]

TIMER = "timer"
"""Permission only the platform's own clock holds."""


class Rule(NamedTuple):
    """One row of the table."""

    sources: tuple[State, ...]
    target: State | None
    """None: the state stays."""
    who: tuple[Role, ...]
    four_eyes: bool
    """Whether it is refused to whoever asked."""
    reason: bool
    """Whether a reason is demanded."""
    by_timer: tuple[State, ...] = ()
    """Further states from which only the timer may."""


_UNDECIDED: tuple[State, ...] = ("requested", "in_review", "escalated")

TABLE: dict[Action, Rule] = {
    "claim": Rule(("requested", "escalated"), "in_review", ("reviewer",), True, False),
    "release": Rule(("in_review",), "requested", ("holder", "admin"), False, False),
    "approve": Rule(_UNDECIDED, "approved", ("reviewer",), True, True),
    "reject": Rule(_UNDECIDED, "rejected", ("reviewer",), True, True),
    "request_changes": Rule(_UNDECIDED, "changes_requested", ("reviewer",), True, True),
    "resubmit": Rule(("changes_requested",), "requested", ("requester",), False, True),
    "escalate": Rule(
        ("requested", "in_review", "changes_requested"), "escalated", ("reviewer", "timer"), False, True, ("escalated",)
    ),
    "override": Rule(OPEN, "overridden", ("admin",), True, True),
    "withdraw": Rule(OPEN, "withdrawn", ("requester", "admin"), False, True),
    "expire": Rule(OPEN, "expired", ("timer",), False, False),
    "comment": Rule(STATES, None, ("member",), False, True),
    "reassign": Rule(OPEN, None, ("reviewer",), False, False),
    "delegate": Rule(OPEN, None, ("reviewer",), False, True),
}
"""Everything that can happen. ``docs/workflow.md`` shows it, and a test holds the two together."""

PERMISSION: dict[Role, str] = {
    "reviewer": "review",
    "holder": "review",
    "admin": "admin",
    "member": "read",
    "timer": TIMER,
}
"""What a role needs; the requester is known by name and needs nothing else."""


class Vote(NamedTuple):
    """One decision of one person, in one round."""

    voter: str
    """Ident of who decided."""
    names: frozenset[str]
    """All names of the voter, and of the person they stood in for: none of them votes twice."""
    approve: bool


class Stand(NamedTuple):
    """Somebody stands in for a reviewer from one moment until another."""

    delegator: str
    delegate: str
    starts_at: datetime
    ends_at: datetime

    def covers(self, now: datetime) -> bool:
        """Whether it holds at this moment; the end is excluded."""
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class Item:
    """What the rules need to know of an item."""

    status: State = "requested"
    requesters: frozenset[str] = frozenset()
    """Normal names of whoever asked; see `approvals.domain.people`."""
    holder: str = ""
    """Ident of who claimed it."""
    quorum: int = 1
    """Approvals needed: the m of m-of-n."""
    reviewers: tuple[str, ...] = ()
    """Idents who may decide; empty = whoever holds the permission."""
    round: int = 1
    level: int = 0
    """Escalations so far."""
    votes: tuple[Vote, ...] = ()
    """Of this round."""

    @property
    def open(self) -> bool:
        """Whether anything can still happen to it."""
        return self.status in OPEN

    @property
    def approvals(self) -> int:
        """Votes for, in this round."""
        return sum(1 for vote in self.votes if vote.approve)

    @property
    def rejections(self) -> int:
        """Votes against, in this round."""
        return len(self.votes) - self.approvals

    @property
    def against_needed(self) -> int:
        """Rejections that end it: when the others cannot reach the quorum any more.

        With n named reviewers that is n - m + 1; where anybody may decide there is no n, and it
        takes as many against as for.
        """
        return len(self.reviewers) - self.quorum + 1 if self.reviewers else self.quorum


class Refused(Exception):
    """An action that is not allowed; ``why`` is one of a closed list, ``detail`` says it to people."""

    Why = Literal["illegal", "permission", "four_eyes", "not_reviewer", "voted", "not_requester", "not_holder"]

    def __init__(self, why: Why, detail: str, *, permission: str = "") -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail
        self.permission = permission


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action did."""

    item: Item
    decided: bool = False
    """Whether this vote met the quorum."""
    on_behalf_of: str = ""
    """The reviewer the actor stood in for."""
    facts: dict[str, Any] = field(default_factory=dict)


def allowed(
    item: Item, person: Person | None = None, *, stands: Sequence[Stand] = (), now: datetime | None = None
) -> tuple[Action, ...]:
    """The actions a person may do now; without a person those the state knows, the timer's aside."""
    found: list[Action] = []
    for action in ACTIONS:
        rule = TABLE[action]
        if person is None:
            if item.status in rule.sources and rule.who != ("timer",):
                found.append(action)
            continue
        try:
            _permit(item, action, person, stands, now)
        except Refused:
            continue
        found.append(action)
    return tuple(found)


def refusal(
    item: Item, action: Action, person: Person, *, stands: Sequence[Stand] = (), now: datetime | None = None
) -> Refused | None:
    """Why a person may not do something now, or None when they may; nothing is done."""
    try:
        act(item, action, person, stands=stands, now=now)
    except Refused as refused:
        return refused
    return None


def act(
    item: Item,
    action: Action,
    person: Person,
    *,
    stands: Sequence[Stand] = (),
    now: datetime | None = None,
) -> Outcome:
    """The item after an action.

    Args:
        stands: delegations that concern this item; those that do not hold at ``now`` are ignored.
        now: the moment of the action, needed only for delegations.

    Raises:
        Refused: the action is illegal in this state, or not this person's to do.
    """
    behalf = _permit(item, action, person, stands, now)
    rule = TABLE[action]
    if action in ("approve", "reject"):
        return _vote(item, action, person, behalf, stands)
    if action == "claim":
        return Outcome(replace(item, status="in_review", holder=person.ident), on_behalf_of=behalf)
    if action == "escalate":
        return Outcome(replace(item, status="escalated", level=item.level + 1, holder=""))
    if action == "resubmit":
        return Outcome(replace(item, status="requested", holder="", round=item.round + 1, votes=()))
    if rule.target is None:
        return Outcome(item, on_behalf_of=behalf)
    holder = item.holder if rule.target in TERMINAL else ""
    return Outcome(replace(item, status=rule.target, holder=holder), decided=action == "override")


def _permit(item: Item, action: Action, person: Person, stands: Sequence[Stand], now: datetime | None) -> str:
    """Raise `Refused`, or answer whom the person stands in for (nobody: empty)."""
    rule = TABLE[action]
    timer = TIMER in person.permissions
    if rule.four_eyes and same(person.names, item.requesters):
        raise Refused("four_eyes", "Whoever asked for it may not decide it. Somebody else has to.")
    possible = item.status in rule.sources or (timer and item.status in rule.by_timer)
    _hold_role(item, rule, person, possible)
    if not possible:
        raise Refused("illegal", f"{_words(action)} is not possible while the item is {item.status.replace('_', ' ')}.")
    if action not in ("claim", "approve", "reject", "request_changes") or not item.reviewers:
        return _behalf(person, stands, now, ())
    if person.ident in item.reviewers:
        return ""
    behalf = _behalf(person, stands, now, item.reviewers)
    if not behalf:
        raise Refused("not_reviewer", "This item names its reviewers, and you are not one of them.")
    return behalf


def _hold_role(item: Item, rule: Rule, person: Person, possible: bool) -> None:
    """Raise `Refused` for who may not. Where nobody could do it now, that is said and not who else might."""
    missing = ""
    for role in rule.who:
        if role == "requester":
            if same(person.names, item.requesters):
                return
            continue
        permission = PERMISSION[role]
        if permission in person.permissions and (role != "holder" or person.ident == item.holder):
            return
        if role != "timer":
            missing = missing or permission
    if "requester" in rule.who and "admin" not in rule.who:
        if not possible:
            return
        raise Refused("not_requester", "Only whoever asked for it may do that.")
    if "holder" in rule.who and "review" in person.permissions:
        if not possible:
            return
        raise Refused("not_holder", "Somebody else holds this item. They, or an admin, can release it.")
    needed = "admin" if "admin" in rule.who else missing or TIMER
    raise Refused("permission", f"This needs the permission '{needed}'.", permission=needed)


def _behalf(person: Person, stands: Sequence[Stand], now: datetime | None, among: Sequence[str]) -> str:
    if now is None:
        return ""
    for stand in stands:
        if stand.delegate == person.ident and stand.covers(now) and (not among or stand.delegator in among):
            return stand.delegator
    return ""


def _vote(item: Item, action: Action, person: Person, behalf: str, stands: Sequence[Stand]) -> Outcome:
    names = person.names | ({behalf.casefold()} if behalf else frozenset())
    if behalf and same({behalf.casefold()}, item.requesters):
        raise Refused("four_eyes", "You stand in for whoever asked for it, so you may not decide it either.")
    if any(same(names, vote.names) for vote in item.votes):
        raise Refused("voted", "You have decided this already, yourself or through somebody who stood in for you.")
    after = replace(item, votes=(*item.votes, Vote(person.ident, frozenset(names), action == "approve")))
    if after.approvals >= after.quorum:
        return Outcome(replace(after, status="approved"), decided=True, on_behalf_of=behalf)
    if after.rejections >= after.against_needed:
        return Outcome(replace(after, status="rejected"), decided=True, on_behalf_of=behalf)
    return Outcome(after, on_behalf_of=behalf)


def _words(action: Action) -> str:
    return {"request_changes": "Requesting changes"}.get(action, f"The action '{action}'")
