"""Pages of the human workflow: who sees what, what each may do, what a refusal says."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import Any

import pytest

from approvals import services
from approvals.domain import sla
from approvals.models import IncidentEntry, Item
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import ACTION, House
from tests.pages import queries, text

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
NOWHERE = "00000000-0000-0000-0000-000000000000"


class Desk(House):
    """A house with everybody's browser."""

    def __init__(self) -> None:
        super().__init__()
        self.base = f"/t/{self.tenant.slug}"
        self.at = {name: self.cast.browser(getattr(self.cast, name)) for name in ("alice", "bob", "rita", "vera")}

    def see(self, who: str, path: str) -> str:
        answer = self.at[who].get(f"{self.base}/{path}")
        assert answer.status_code == 200, (path, answer.status_code)
        return text(answer)

    def do(self, who: str, path: str, **form: Any) -> Any:
        return self.at[who].post(f"{self.base}/{path}", form, headers=HTMX)

    def due(self, item: Item, **left: float) -> None:
        """Move an item's deadline to so long from now."""
        moment = clock.now() + timedelta(**left)
        with tenant_tx(self.tenant):
            Item.objects.filter(pk=item.pk).update(due_at=moment, sort_at=moment)


@pytest.fixture
def desk(db: None) -> Desk:
    return Desk()


def said(answer: Any) -> str:
    """The toast of an answer."""
    assert answer.status_code == 204, (answer.status_code, answer.content[:500])
    return str(answer["HX-Trigger"])


# --- inbox ----------------------------------------------------------------------------------------------


def test_the_inbox_of_everybody(desk: Desk) -> None:
    assert "Nothing waits for a decision" in desk.see("vera", "approvals")
    late, held, free = desk.ask(), desk.ask(), desk.ask(subject="exception")
    desk.due(late, minutes=-6)
    services.claim(desk.tenant, principal=desk.rita, item_id=str(held.pk), version=1)
    whole = desk.see("vera", "approvals?view=all")
    assert "3 items wait for a decision, 1 overdue" in whole
    later = [heading for heading in ("Due today", "Later") if heading in whole]  # by the hour of the day
    assert later
    assert all(whole.index("Overdue") < whole.index(heading) for heading in later)
    assert "6 min" in whole
    mine = desk.at["rita"].get(f"{desk.base}/approvals?view=mine").content.decode()
    assert (f"item-{held.pk}" in mine, f"item-{free.pk}" in mine) == (True, False)
    group = desk.at["rita"].get(f"{desk.base}/approvals?view=group").content.decode()
    assert (f"item-{held.pk}" in group, f"item-{free.pk}" in group, f"item-{late.pk}" in group) == (False, True, True)
    only = desk.at["rita"].get(f"{desk.base}/approvals?view=all&status=overdue").content.decode()
    assert (f"item-{late.pk}" in only, f"item-{free.pk}" in only) == (True, False)
    for wrong, code in (("approvals", "approval.unknown_status"), ("incidents", "incident.unknown_status")):
        refused = desk.at["rita"].get(f"{desk.base}/{wrong}?status=nonsense", headers={"HX-Request": "true"})
        assert refused.json()["code"] == code
    for wrong in ("status=nonsense", "view=theirs", "cursor=x", "colour=red"):
        assert desk.at["rita"].get(f"{desk.base}/approvals?{wrong}").status_code == 400, wrong


def test_pages_of_the_inbox_follow_each_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["approvals.console.inbox"], "SHOWN", 2)
    items = [desk.ask() for _ in range(5)]
    seen: list[str] = []
    path = f"{desk.base}/approvals?view=all"
    while path:
        body = desk.at["vera"].get(path).content.decode()
        seen += re.findall(r'data-key="item-([^"]+)"', body)
        following = re.search(r'rel="next" href="([^"]+)"', body)
        path = following[1].replace("&amp;", "&") if following else ""
    assert sorted(seen) == sorted(str(item.pk) for item in items)


def test_the_inbox_costs_the_same_with_more_items(desk: Desk) -> None:
    desk.ask()
    desk.see("rita", "approvals?view=all")
    few = queries(desk.at["rita"], f"{desk.base}/approvals?view=all")
    for _ in range(6):
        desk.ask()
    assert queries(desk.at["rita"], f"{desk.base}/approvals?view=all") == few


# --- one item -------------------------------------------------------------------------------------------


def test_what_exactly_will_run_and_who_may_decide(desk: Desk) -> None:
    item = desk.ask()
    page = desk.see("rita", f"approvals/{item.pk}")
    assert item.action_digest
    bare = item.action_digest.rpartition(":")[2]
    for part in ("refund.issue in payments", "refund.amount 0.00 612.40", bare[:16], bare[48:], "Record the decision"):
        assert part in page
    assert "you may decide" in page
    assert "checked" not in re.findall(r'<input type="radio" name="decision"[^>]*>', _raw(desk, "rita", item))[0]
    assert "Override" not in page
    viewer = desk.see("vera", f"approvals/{item.pk}")
    assert "Your role does not decide" in viewer
    assert "Record the decision" not in viewer
    assert not re.search("Claim|Reassign|Escalate", viewer)
    assert "Override" in desk.see("alice", f"approvals/{item.pk}")
    assert desk.at["rita"].get(f"{desk.base}/approvals/{NOWHERE}").status_code == 404
    assert desk.at["rita"].get(f"{desk.base}/approvals/nonsense").status_code == 404


def _raw(desk: Desk, who: str, item: Item) -> str:
    return desk.at[who].get(f"{desk.base}/approvals/{item.pk}").content.decode()


def test_four_eyes_are_told_and_kept(desk: Desk) -> None:
    trace = desk.trace()
    answer = desk.do(
        "rita", "exceptions/ask", trace_id=trace, policy_id="cap", policy_version="3", reason="why", priority="high"
    )
    assert answer.status_code == 204
    path = answer["HX-Redirect"].removeprefix(f"{desk.base}/")
    page = desk.see("rita", path)
    assert "You asked for this, so somebody else decides" in page
    assert "Record the decision" not in page
    assert "Withdraw" in page
    refused = desk.do("rita", f"{path}/decide", version=1, decision="approved", reason="mine")
    assert (refused.status_code, refused.json()["code"]) == (403, "approval.four_eyes")
    assert "Approved" in said(desk.do("alice", f"{path}/decide", version=1, decision="approved", reason="fine"))


def test_a_decision_is_made_once_and_the_loser_is_told(desk: Desk) -> None:
    item = desk.ask()
    path = f"approvals/{item.pk}"
    for wrong, code in (
        ({"version": 1, "decision": "approved", "reason": " "}, "approval.reason_missing"),
        ({"version": 1, "decision": "", "reason": "x"}, "approval.unknown_decision"),
        ({"version": "one", "decision": "approved", "reason": "x"}, "approval.version_missing"),
    ):
        refused = desk.do("rita", f"{path}/decide", **wrong)
        assert refused.json()["code"] == code
    answer = desk.do("rita", f"{path}/decide", version=1, decision="approved", reason="Fare class allows it.", key="k")
    assert "The ticket is valid until" in said(answer)
    assert said(
        desk.do("rita", f"{path}/decide", version=1, decision="approved", reason="Fare class allows it.", key="k")
    )
    late = desk.do("alice", f"{path}/decide", version=1, decision="rejected", reason="no")
    assert late.status_code == 412
    assert "Rita approved it" in late.json()["detail"]
    page = desk.see("alice", path)
    assert "Approved by Rita" in page
    assert "Record the decision" not in page
    assert "Nothing is left to decide" in page
    part = desk.at["alice"].get(f"{desk.base}/{path}?part=live").content.decode()
    assert 'id="it-side"' in part
    assert "hx-swap-oob" in part
    assert [vote.approve for vote in _votes(desk, item)] == [True]


def test_the_trace_of_a_review_names_who_decided(desk: Desk) -> None:
    item = desk.ask()
    desk.decide(item)
    page = desk.at["vera"].get(f"{desk.base}/traces/review:{item.pk}").content.decode()
    head, timeline = page.split('id="tr-graph"')[0], page.split("wf-row", 1)[1]
    assert "<b>Rita approved</b>" in head
    assert f'<span title="{desk.cast.rita.email}">Rita</span>' in timeline


def test_what_one_did_oneself_makes_no_version_stale(desk: Desk) -> None:
    item = desk.ask()
    path = f"approvals/{item.pk}"
    form = {"version": 1, "decision": "approved", "reason": "Fare class allows it.", "key": "k"}
    for action, version in (("claim", 1), ("release", 2), ("claim", 3)):
        assert said(desk.do("rita", f"{path}/{action}", version=version))
    late = desk.do("alice", f"{path}/decide", version=1, decision="rejected", reason="no")
    assert late.status_code == 412
    assert "Approved" in said(desk.do("rita", f"{path}/decide", **form))
    assert said(desk.do("rita", f"{path}/decide", **form)), "the same click again is answered the same"
    between = desk.ask()
    path = f"approvals/{between.pk}"
    assert said(desk.do("rita", f"{path}/claim", version=1))
    assert said(desk.do("alice", f"{path}/reassign", version=2, to="role:admin"))
    refused = desk.do("rita", f"{path}/decide", **form | {"key": "l"})
    assert (refused.status_code, refused.json()["version"]) == (412, 3)


def _votes(desk: Desk, item: Item) -> list[Any]:
    from approvals import selectors

    return selectors.items.details(desk.tenant, str(item.pk)).votes


FORM = re.compile(r'<form[^>]*method="post" action="([^"]+)".*?</form>', re.S)


def test_every_form_that_writes_carries_a_key_and_works_once(desk: Desk) -> None:
    item = desk.ask()
    incident = services.open_incident(desk.tenant, principal=desk.bob, title="Slow", severity="low")
    forms: dict[str, str] = {}
    for path in (f"approvals/{item.pk}", f"incidents/{incident.pk}", "incidents", "exceptions", "approvals?view=all"):
        page = desk.at["alice"].get(f"{desk.base}/{path}").content.decode()
        for found in FORM.finditer(page):
            if found[1].startswith(desk.base + "/"):
                key = re.search(r'name="key" value="([^"]+)"', found[0])
                assert key, found[1]
                forms[found[1].removeprefix(f"{desk.base}/")] = key[1]
    assert len(forms) >= 17, sorted(forms)
    assert len(set(forms.values())) == len(forms)
    for path, more in (
        (f"approvals/{item.pk}/claim", {"version": 1}),
        (f"incidents/{incident.pk}/acknowledge", {"version": 1}),
        (f"incidents/{incident.pk}/comment", {"text": "Looking."}),
    ):
        for _ in range(2):
            said(desk.do("alice", path, key=forms[path], **more))
    assert desk.steps(item) == ["request", "claim"]
    with tenant_tx(desk.tenant):
        lines = IncidentEntry.objects.filter(incident_id=incident.pk).order_by("id")
        assert [line.kind for line in lines] == ["opened", "acknowledge", "comment"]


def test_every_action_from_its_form(desk: Desk) -> None:
    item = desk.ask(subject="exception", requested_by={"actor_type": "person", "actor_id": desk.cast.bob.email})
    path, rita = f"approvals/{item.pk}", desk.cast.rita.email
    steps = [
        ("rita", "comment", {"version": 1, "reason": "Looks odd <b>"}, "comment"),
        ("rita", "claim", {"version": 1}, "desk"),
        ("rita", "release", {"version": 2}, "free"),
        ("rita", "reassign", {"version": 3, "to": f"user:{rita}"}, "It is for Rita now."),
        ("rita", "decide", {"version": 4, "decision": "request_changes", "reason": "Which fare?"}, "Changes"),
        ("bob", "resubmit", {"version": 5, "reason": "Flex."}, "Round 2"),
        ("rita", "escalate", {"version": 6, "to": "role:admin", "reason": "Too high for me."}, "every admin"),
        (
            "alice",
            "delegate",
            {"version": 7, "to": f"user:{rita}", "ends_at": "2099-01-01T10:00", "reason": "Away."},
            "",
        ),
    ]
    for who, action, form, expected in steps[:-1]:
        assert expected in said(desk.do(who, f"{path}/{action}", **form)), action
    away = {"version": 7, "to": f"user:{rita}", "reason": "Away."}
    for ends_at in ("2099-01-01T10:00", "2001-01-01T10:00", "soon", ""):
        assert desk.do("alice", f"{path}/delegate", **away, ends_at=ends_at).status_code == 422, ends_at
    soon = (clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    assert "Rita stands in for you until" in said(desk.do("alice", f"{path}/delegate", **away, ends_at=soon))
    page = desk.see("vera", path)
    for line in ("Looks odd &lt;b&gt;", "asked for changes", "asked again after changes", "stands in for"):
        assert line in page
    for person in (desk.cast.alice, desk.cast.bob, desk.cast.rita):
        assert person.name in page
        assert person.email not in page, "people are named; their address is in the title"
    missing = desk.do("alice", f"{path}/override", version=8, reason="I must", confirm="wrong")
    assert missing.json()["code"] == "approval.confirmation_missing"
    done = desk.do("alice", f"{path}/override", version=8, reason="I must", confirm=item.subject_id)
    assert "without the quorum" in said(done)
    assert desk.do("alice", f"{path}/withdraw", version=9, reason="x").status_code == 409
    assert desk.do("alice", f"{path}/nonsense", version=9).status_code == 404


def test_another_proposal_shows_what_changed(desk: Desk) -> None:
    trace = desk.trace()
    desk.append(desk.proposal(trace))
    desk.follow()
    change = {**ACTION["changes"][0], "new_value": "700.00"}
    desk.append(desk.proposal(trace, changes=[change]))
    desk.follow()
    old, new = desk.items(trace_id=trace)
    page = desk.see("rita", f"approvals/{new.pk}")
    assert "changed since the first proposal" in page
    assert "was 612.40" in page
    assert "Open what took its place" in desk.see("rita", f"approvals/{old.pk}")


# --- exceptions -----------------------------------------------------------------------------------------


def test_exceptions_by_policy_and_the_form(desk: Desk) -> None:
    assert "No exception was ever asked for" in desk.see("vera", "exceptions")
    for decision in ("approved",) * 10:
        desk.decide(desk.ask(subject="exception"), decision)
    desk.decide(desk.ask(subject="exception"), "rejected")
    page = desk.see("vera", "exceptions?status=all&policy=refund.cap@3")
    assert "refund.cap@3 is excepted in 91 % of the cases decided" in page
    assert "excepted nearly always" in page
    assert "Ask for an exception" not in page.split("Exceptions from refund.cap@3")[1]
    assert "No exception is in this state" in desk.see("rita", "exceptions?status=all&policy=refund.cap@4")
    wrong = desk.do("bob", "exceptions/ask", trace_id="nowhere", policy_id="", policy_version="3", priority="x")
    assert wrong.status_code == 422
    for part in ("There is no such trace", "Name the policy", "Say why", "Choose a priority"):
        assert part in text(wrong)
    refused = desk.do("vera", "exceptions/ask", trace_id=desk.trace(), policy_id="c", policy_version="3", reason="x",
                      priority="low")  # fmt: skip
    assert refused.status_code == 403


# --- incidents ------------------------------------------------------------------------------------------


def test_an_incident_from_report_to_resolution(desk: Desk) -> None:
    assert "No incident is unresolved" in desk.see("vera", "incidents")
    trace = desk.trace()
    wrong = desk.do("bob", "incidents/report", title="", severity="awful", trace_id="nowhere")
    assert wrong.status_code == 422
    assert desk.do("vera", "incidents/report", title="x", severity="low").status_code == 403
    made = desk.do("bob", "incidents/report", title="Doubled <i>", severity="high", text="Twice.", trace_id=trace)
    path = made["HX-Redirect"].removeprefix(f"{desk.base}/")
    assert "1 incident is not resolved" in desk.see("vera", "incidents")
    assert "Doubled &lt;i&gt;" in desk.see("vera", f"waiting?part=trace&trace_id={trace}")
    rita = f"user:{desk.cast.rita.email}"
    for who, action, form in (
        ("rita", "acknowledge", {"version": 1}),
        ("rita", "assign", {"version": 2, "assignee": rita}),
        ("rita", "rate", {"version": 3, "severity": "critical"}),
        ("bob", "comment", {"text": "Seen again."}),
        ("bob", "link", {"kind": "replay", "ident": "42"}),
        ("rita", "mitigate", {"version": 4, "text": "Stopped the agent."}),
        ("rita", "resolve", {"version": 5, "text": "Paid back."}),
        ("rita", "reopen", {"version": 6, "text": "Again."}),
    ):
        assert said(desk.do(who, f"{path}/{action}", **form)), action
    page = desk.see("vera", path)
    for part in ("Rita works on it", "opened again 1 time", "from high to critical", "Paid back.", "replay 42"):
        assert part in page
    assert "Acknowledge" not in page.replace("Acknowledged", "")
    stale = desk.do("rita", f"{path}/acknowledge", version=1)
    assert stale.status_code == 412
    for action, form, status in (
        ("assign", {"version": 7, "assignee": "user:nobody@example.org"}, 422),
        ("rate", {"version": 7, "severity": "awful"}, 422),
        ("link", {"kind": "moon", "ident": "1"}, 422),
        ("resolve", {"version": 7, "text": " "}, 422),
        ("nonsense", {}, 404),
    ):
        assert desk.do("rita", f"{path}/{action}", **form).status_code == status, action
    unknown = desk.do("rita", f"{path}/assign", version=7, assignee="user:nobody@example.org")
    assert unknown.json()["code"] == "incident.assignee_unknown"
    assert desk.do("vera", f"{path}/comment", text="x").status_code == 403


# --- service levels --------------------------------------------------------------------------------------


def level(**changes: Any) -> dict[str, Any]:
    return {"name": "Refunds", "active": "yes", "incident": "yes", "deadline": "4 h", "quorum": "1", **changes}


def test_a_service_level_is_made_changed_tried_and_deleted(desk: Desk) -> None:
    assert "The standard service level holds for everything" in desk.see("vera", "settings/sla")
    assert desk.do("rita", "settings/sla/new/save", **level()).status_code == 403
    wrong = desk.do(
        "alice", "settings/sla/new/save", **level(deadline="soon", reviewers="user:a user:a", calendar="{", name="")
    )
    assert wrong.status_code == 422
    assert all(part in text(wrong) for part in ("deadline: Write it like", "calendar: This is not JSON", "name: Give"))
    sent = level(reminder="2 h", risk="-1 h", after_1="0 s", to_1="role:admin", of_1="deadline", expiry="3 d",
                 ticket="1 d", workflow="refund", calendar='{"time_zone": "Europe/Berlin"}')  # fmt: skip
    made = desk.do("alice", "settings/sla/new/save", **sent)
    path = made["HX-Redirect"].removeprefix(f"{desk.base}/")
    from approvals import selectors

    (row,) = selectors.policies.policies(desk.tenant)
    policy = sla.Policy.model_validate(row.definition)
    assert (policy.deadline.seconds, policy.risk, policy.ticket_seconds) == (14400, sla.Moment(seconds=-3600), 86400)
    assert policy.calendar is not None
    page = desk.see("alice", path)
    assert "version 1" in page
    form = desk.at["alice"].get(f"{desk.base}/{path}").content.decode()
    assert 'value="-1 h"' in form
    assert 'value="3 d"' in form
    assert desk.do("alice", f"{path}/save", **sent | {"version": 1, "ticket": "2 d"}).status_code == 204
    assert desk.do("alice", f"{path}/save", **sent | {"version": 1}).status_code == 412
    desk.decide(desk.ask())
    tried = desk.do("vera", "settings/sla/try", **level(deadline="1 s"), over="items")
    assert tried.status_code == 200
    assert "of 1 decided item would have been late" in text(tried)
    assert "Choose items or traces" in text(desk.do("vera", "settings/sla/try", **level(), over="moons"))
    assert desk.do("alice", f"{path}/delete").status_code == 204
    assert desk.at["alice"].get(f"{desk.base}/{path}").status_code == 404
    assert desk.at["alice"].get(f"{desk.base}/settings/sla/nonsense").status_code == 404


# --- panels that others embed ----------------------------------------------------------------------------


def test_what_waits_shows_in_the_frame_and_on_other_pages(desk: Desk) -> None:
    item = desk.ask()
    desk.due(item, hours=-1)
    assert "1 waiting" in desk.see("vera", "waiting")
    assert "1 waiting 1 overdue" in desk.see("vera", "waiting?part=figures")
    assert "1 approval is overdue" in desk.see("vera", "waiting?part=attention")
    for trace in (item.trace_id, item.review_trace):
        assert (
            f"item-{item.pk}"
            in desk.at["vera"].get(f"{desk.base}/waiting?part=trace&trace_id={trace}").content.decode()
        )
    assert "nobody was asked" in desk.see("vera", "waiting?part=trace&trace_id=review:nonsense")
    for path in ("", f"traces/{item.trace_id}"):
        assert f"{desk.base}/waiting?part=" in desk.at["vera"].get(f"{desk.base}/{path}").content.decode()
    found = desk.see("rita", "palette?q=decide")
    assert "Decide what waits" in found
    assert "Decide what waits" not in desk.see("vera", "palette?q=decide")
    assert "No finished decision is like this one" in desk.see("vera", f"precedents?trace={item.trace_id}&part=aside")
