"""The rules of an item, walked through by a machine that tries everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from approvals.domain import workflow
from approvals.domain.people import Person, names_in, names_of, same
from approvals.domain.workflow import ACTIONS, OPEN, TABLE, TERMINAL, Item, Refused, Stand

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)


def person(name: str, *permissions: str) -> Person:
    ident = f"user:{name}@example.org"
    return Person(ident, names_of(ident=ident, label=name), frozenset(permissions or ("read", "review")))


ANA, BEN, CAT, DAN = (person(name) for name in ("ana", "ben", "cat", "dan"))
ADMIN = person("root", "read", "review", "admin", "operate", "ingest")
VERA = person("vera", "read")
TIMER = Person("system", frozenset({"system"}), frozenset({"read", "review", "admin", workflow.TIMER}))
AGENT = Person(
    "token:agent001", names_of(ident="token:agent001", issuer_email="ana@example.org"), frozenset({"ingest", "read"})
)
EVERYBODY = (ANA, BEN, CAT, DAN, ADMIN, VERA, AGENT, TIMER)
ASKED = AGENT.names | names_in({"actor_type": "person", "actor_id": "dan"})


class Life(RuleBasedStateMachine):
    """Anybody tries anything, at any time."""

    @initialize(
        quorum=st.integers(1, 3),
        named=st.booleans(),
        stands=st.lists(st.tuples(st.sampled_from(EVERYBODY), st.sampled_from(EVERYBODY)), max_size=3),
    )
    def opens(self, quorum: int, named: bool, stands: list[tuple[Person, Person]]) -> None:
        idents = tuple(p.ident for p in (ANA, BEN, CAT, ADMIN)) if named else ()
        self.item = Item(requesters=ASKED, quorum=quorum, reviewers=idents)
        self.stands = [Stand(a.ident, b.ident, T0, T0 + timedelta(hours=2)) for a, b in stands]
        self.now = T0
        self.ended: Item | None = None

    @rule(action=st.sampled_from(ACTIONS), who=st.sampled_from(EVERYBODY), minutes=st.integers(0, 90))
    def tries(self, action: workflow.Action, who: Person, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        before = self.item
        may = action in workflow.allowed(before, who, stands=self.stands, now=self.now)
        try:
            outcome = workflow.act(before, action, who, stands=self.stands, now=self.now)
        except Refused as refused:
            why = refused.why
        else:
            why = None
        if why is not None:
            assert why in ("voted", "four_eyes") or not may
            return
        assert may
        self.item = outcome.item
        told = TABLE[action]
        if action != "comment":
            assert before.status in OPEN
        if told.target in TERMINAL and self.item.status in TERMINAL:
            assert self.ended is None, "a terminal state was left"
            self.ended = self.item
        if told.four_eyes:
            assert not same(who.names, ASKED), "whoever asked decided"
        if action in ("approve", "reject"):
            assert len(self.item.votes) == len(before.votes) + 1
            assert not any(vote.voter == who.ident for vote in before.votes), "somebody decided twice"
        if outcome.decided and action == "approve":
            assert self.item.status == "approved"
        if action == "expire":
            assert workflow.TIMER in who.permissions
        if action == "override":
            assert "admin" in who.permissions

    @invariant()
    def terminal_states_never_change(self) -> None:
        if self.ended is not None:
            assert self.item == self.ended

    @invariant()
    def a_decision_has_its_quorum(self) -> None:
        if self.item.status == "approved":
            assert self.item.approvals >= self.item.quorum
        if self.item.status == "rejected":
            assert self.item.rejections >= self.item.against_needed
        voters = [vote.voter for vote in self.item.votes]
        assert len(voters) == len(set(voters))
        everyone = [name for vote in self.item.votes for name in vote.names]
        assert len(everyone) == len(set(everyone)), "two votes of one person"


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", workflow.STATES)
def test_the_table_is_the_whole_truth(action: workflow.Action, status: workflow.State) -> None:
    """From every state every action either does what the table says or is illegal."""
    told = TABLE[action]
    who = TIMER if told.who == ("timer",) else (AGENT if action == "resubmit" else ADMIN)
    item = Item(status=status, requesters=ASKED, holder=ADMIN.ident)
    if status in told.sources:
        after = workflow.act(item, action, who, now=T0).item
        assert after.status == (told.target or status)
    else:
        with pytest.raises(Refused) as refused:
            workflow.act(item, action, who, now=T0)
        assert refused.value.why == "illegal"


@pytest.mark.parametrize("action", ["release", "resubmit"])
def test_what_nobody_could_do_now_is_said_to_be_impossible(action: workflow.Action) -> None:
    """Not that somebody else might: nobody holds it, nobody was asked for changes."""
    with pytest.raises(Refused) as refused:
        workflow.act(Item(status="requested", requesters=ASKED), action, BEN)
    assert refused.value.why == "illegal"
    status: workflow.State = "in_review" if action == "release" else "changes_requested"
    with pytest.raises(Refused) as not_yours:
        workflow.act(Item(status=status, requesters=ASKED, holder=CAT.ident), action, BEN)
    assert not_yours.value.why in ("not_holder", "not_requester")


def test_only_a_timer_escalates_again() -> None:
    item = Item(status="escalated", level=1)
    with pytest.raises(Refused):
        workflow.act(item, "escalate", ADMIN)
    assert workflow.act(item, "escalate", TIMER).item.level == 2


@pytest.mark.parametrize(
    ("who", "why"),
    [(VERA, "permission"), (ANA, "four_eyes"), (DAN, "four_eyes"), (AGENT, "four_eyes")],
)
def test_who_may_not_approve(who: Person, why: str) -> None:
    with pytest.raises(Refused) as refused:
        workflow.act(Item(requesters=ASKED), "approve", who)
    assert refused.value.why == why


def test_two_of_three() -> None:
    item = Item(quorum=2, reviewers=(BEN.ident, CAT.ident, ADMIN.ident))
    one = workflow.act(item, "approve", BEN)
    assert (one.item.status, one.decided) == ("requested", False)
    with pytest.raises(Refused) as again:
        workflow.act(one.item, "reject", BEN)
    assert again.value.why == "voted"
    with pytest.raises(Refused) as stranger:
        workflow.act(one.item, "approve", DAN)
    assert stranger.value.why == "not_reviewer"
    two = workflow.act(one.item, "reject", CAT)
    assert (two.item.status, two.decided) == ("requested", False)
    assert workflow.act(two.item, "approve", ADMIN).item.status == "approved"
    assert workflow.act(two.item, "reject", ADMIN).item.status == "rejected"


def test_a_delegate_votes_once_for_both_and_only_in_time() -> None:
    item = Item(quorum=2, reviewers=(BEN.ident, ADMIN.ident), requesters=ASKED)
    stands = [Stand(BEN.ident, CAT.ident, T0, T0 + timedelta(hours=1))]
    outcome = workflow.act(item, "approve", CAT, stands=stands, now=T0)
    assert outcome.on_behalf_of == BEN.ident
    with pytest.raises(Refused) as twice:
        workflow.act(outcome.item, "approve", BEN, stands=stands, now=T0)
    assert twice.value.why == "voted"
    for moment in (T0 - timedelta(seconds=1), T0 + timedelta(hours=1)):
        with pytest.raises(Refused) as late:
            workflow.act(item, "approve", CAT, stands=stands, now=moment)
        assert late.value.why == "not_reviewer"
    asker = Item(reviewers=(ANA.ident,), requesters=ASKED)
    with pytest.raises(Refused) as eyes:
        workflow.act(asker, "approve", CAT, stands=[Stand(ANA.ident, CAT.ident, T0, T0 + timedelta(hours=1))], now=T0)
    assert eyes.value.why == "four_eyes"


def test_a_new_round_forgets_votes() -> None:
    item = Item(
        status="changes_requested", quorum=2, requesters=ASKED, votes=(workflow.Vote("x", frozenset("x"), True),)
    )
    after = workflow.act(item, "resubmit", AGENT).item
    assert (after.status, after.round, after.votes) == ("requested", 2, ())
    with pytest.raises(Refused) as refused:
        workflow.act(item, "resubmit", ADMIN)
    assert refused.value.why == "not_requester"


@pytest.mark.parametrize(
    ("said", "email", "one"),
    [
        ("jonas.weber", "jonas.weber@example.org", True),
        ("Jonas.Weber@Example.org", "jonas.weber@example.org", True),
        (" JONAS.WEBER ", "jonas.weber@example.org", True),
        ("jonas", "jonas.weber@example.org", False),
        ("", "jonas.weber@example.org", False),
    ],
)
def test_who_an_agent_names(said: str, email: str, one: bool) -> None:
    assert same(names_in({"actor_id": said}), names_of(ident=f"user:{email}")) is one
