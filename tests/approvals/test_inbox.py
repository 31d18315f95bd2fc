"""Several items at once, what is new since the last visit, the palette's finds, and the health of the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals import services
from approvals.models import Timer, Visit
from decisiongraph.core import clock
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import Hands
from tests.approvals.test_console import Desk, said
from tests.pages import queries

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(db: None) -> Desk:
    return Desk()


def chosen(*items: Any) -> list[str]:
    """The boxes of some items at the versions given."""
    return [f"{item.pk}:{item.version}" for item in items]


# --- several at once --------------------------------------------------------------------------------------


def test_several_are_commented_on_and_passed_on_together(desk: Desk) -> None:
    one, two, three = (desk.ask() for _ in range(3))
    page = desk.at["rita"].get(f"{desk.base}/approvals?view=all").content.decode()
    assert f'value="{one.pk}:1" data-many="{one.pk}"' in page
    assert "d-many-reassign" in page
    assert "d-many-reassign" not in desk.at["vera"].get(f"{desk.base}/approvals?view=all").content.decode()

    answer = desk.do("vera", "approvals/many/comment", item=chosen(one, two), reason="Same traveller.", key="k")
    assert "history of 2 items" in said(answer)
    assert said(desk.do("vera", "approvals/many/comment", item=chosen(one, two), reason="Same traveller.", key="k"))
    assert [each.text for each in _comments(desk, one)] == ["Same traveller."], "the same request again says it once"
    assert _comments(desk, three) == []

    services.claim(desk.tenant, principal=desk.alice, item_id=str(two.pk), version=1)
    to = f"user:{desk.cast.rita.email}"
    told = said(desk.do("rita", "approvals/many/reassign", item=chosen(one, two, three), to=to, reason="Mine."))
    assert "2 items are for" in told
    assert "1 other not: Somebody was faster" in told
    assert '"tone": "warn"' in told
    assert [desk.item(each).assignee for each in (one, two, three)] == [to, "", to]


def _comments(desk: Desk, item: Any) -> list[Any]:
    from approvals import selectors

    return selectors.items.details(desk.tenant, str(item.pk)).comments


def test_nothing_is_done_to_several_what_may_not_be_done_to_one(desk: Desk) -> None:
    item = desk.ask()
    for who, action, form, status, code in (
        ("vera", "reassign", {"item": chosen(item), "to": ""}, 403, "permission.missing"),
        ("rita", "reassign", {"item": chosen(item), "to": "user:nobody@x"}, 422, "approval.assignee_unknown"),
        ("rita", "comment", {"item": chosen(item), "reason": " "}, 422, "approval.reason_missing"),
        ("rita", "comment", {"reason": "x"}, 422, "approval.choose_some"),
        ("rita", "comment", {"item": [f"{item.pk}:1"] * 1 + [f"n{at}:1" for at in range(100)], "reason": "x"}, 422, ""),
        ("rita", "comment", {"item": [str(item.pk)], "reason": "x"}, 400, "approval.version_missing"),
        ("rita", "comment", {"item": ["nonsense:1"], "reason": "x"}, 404, "approval.not_found"),
        ("rita", "decide", {"item": chosen(item), "reason": "x"}, 404, "page.not_found"),
    ):
        refused = desk.do(who, f"approvals/many/{action}", **form)
        assert refused.status_code == status, (action, form, refused.content)
        assert refused.json()["code"].startswith(code)
    assert desk.steps(item) == ["request"]
    foreign = {"item": chosen(item), "reason": "x"}
    answer = desk.cast.browser(desk.cast.mallory).post(f"{desk.base}/approvals/many/comment", foreign)
    assert answer.status_code == 404


# --- what is new ------------------------------------------------------------------------------------------


def test_what_is_new_since_the_last_visit(desk: Desk, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SESSION_IDLE_SECONDS = 24 * 3600
    hands = Hands(monkeypatch)
    old, touched = desk.ask(), desk.ask()
    first = desk.see("rita", "approvals?view=all")
    assert "since your last visit" not in first, "on the first visit everything would be new"
    hands.forward(hours=2)
    fresh = desk.ask()
    services.claim(desk.tenant, principal=desk.alice, item_id=str(touched.pk), version=1)
    for _ in range(2):  # the visit goes on: what is new stays marked while the page refreshes itself
        assert "1 is new since your last visit, 2 h" in desk.see("rita", "approvals?view=all")
        page = desk.at["rita"].get(f"{desk.base}/approvals?view=all&part=list").content.decode()
        marks = {str(item.pk): _row(page, item) for item in (old, touched, fresh)}
        assert ">new<" in marks[str(fresh.pk)]
        assert ">changed<" in marks[str(touched.pk)]
        assert 'class="news"' not in marks[str(old.pk)]
        hands.forward(minutes=5)
    hands.forward(minutes=20)
    assert "Nothing new was asked since your last visit" in desk.see("rita", "approvals?view=all")
    assert "since your last visit" not in desk.see("alice", "approvals?view=all"), "everybody has their own"


def _row(page: str, item: Any) -> str:
    return page.split(f'data-key="item-{item.pk}"')[1].split("</tr>")[0]


def test_the_history_says_what_is_new(desk: Desk, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SESSION_IDLE_SECONDS = 24 * 3600
    hands = Hands(monkeypatch)
    item = desk.ask()
    path = f"approvals/{item.pk}"
    assert "since your last visit" not in desk.see("rita", path)
    hands.forward(hours=1)
    services.comment(desk.tenant, principal=desk.bob, item_id=str(item.pk), text="Look again.")
    services.comment(desk.tenant, principal=desk.rita, item_id=str(item.pk), text="I did.")
    assert "1 new since your last visit" in desk.see("rita", path)
    assert "1 new since your last visit" in desk.see("rita", f"{path}?part=side")
    with tenant_tx(desk.tenant):
        assert Visit.objects.filter(page=f"approval:{item.pk}").count() == 1
    few = queries(desk.at["rita"], f"{desk.base}/{path}")
    services.comment(desk.tenant, principal=desk.bob, item_id=str(item.pk), text="And again.")
    assert queries(desk.at["rita"], f"{desk.base}/{path}") == few


# --- the palette ------------------------------------------------------------------------------------------


def test_the_palette_finds_items_and_incidents(desk: Desk) -> None:
    item = desk.ask()
    over = desk.decide(desk.ask())
    incident = services.open_incident(desk.tenant, principal=desk.bob, title="Doubled payment K7", severity="high")

    def found(text: str, who: str = "vera") -> str:
        answer = desk.at[who].get(f"{desk.base}/waiting", {"part": "found", "q": text})
        assert answer.status_code == 200
        return answer.content.decode()

    for text in (str(item.pk), str(item.pk)[:8], str(item.pk).replace("-", "").upper(), f"review:{item.pk}"):
        assert f"{desk.base}/approvals/{item.pk}" in found(text), text
    named = found("refund.issue k7")
    assert named.index(str(item.pk)) < named.index(str(over.pk)), "what waits stands first"
    assert f"{desk.base}/incidents/{incident.pk}" in found("payment doubled")
    assert f"{desk.base}/incidents/{incident.pk}" in found(str(incident.pk)[:13])
    for text in ("", "x", "nothing like it", "00000000", "%", "decade"):
        assert "role=" not in found(text), text
    slot = desk.at["vera"].get(f"{desk.base}/palette", {"q": "a b&c"}).content.decode()
    assert f'hx-get="{desk.base}/waiting?part=found&amp;q=a%20b%26c"' in slot


# --- the clock --------------------------------------------------------------------------------------------


def test_the_overview_says_whether_timers_fire(desk: Desk) -> None:
    item = desk.ask()
    assert "Timers on time none is unfired" in desk.see("vera", "waiting?part=figures")
    assert "did not fire" not in desk.see("vera", "waiting?part=attention")
    with tenant_tx(desk.tenant):
        first = Timer.objects.filter(item_id=item.pk).order_by("due_at").first()
        assert first is not None
        Timer.objects.filter(pk=first.pk).update(due_at=clock.now() - timedelta(minutes=3))
    assert "Timers 1 unfired the oldest is 3 min late" in desk.see("vera", "waiting?part=figures")
    broken = desk.see("vera", "waiting?part=attention")
    assert "1 timer did not fire in time" in broken
    assert "The oldest is 3 min late" in broken
    services.fire(desk.tenant, first.pk)
    assert "Timers on time" in desk.see("vera", "waiting?part=figures")


def test_the_overview_says_what_waits_for_you_and_what_for_anybody(desk: Desk) -> None:
    def told(who: str) -> str:
        return desk.see(who, "waiting?part=attention")

    assert "nothing waits for you or for anybody" in told("rita")
    item = desk.ask()
    desk.ask()
    assert "2 approvals wait for whoever reviews first" in told("rita")
    assert "none is yours alone" in told("rita")
    assert "2 approvals wait for reviewers Nothing of it needs you" in told("vera")
    services.claim(desk.tenant, principal=desk.rita, item_id=str(item.pk), version=1)
    assert "1 approval waits for you" in told("rita")
    assert "1 approval waits for whoever reviews first" in told("rita")
    assert "waits for you" not in told("alice")


def test_what_was_sent_back_waits_for_whoever_asked(desk: Desk) -> None:
    asked = services.open_item(
        desk.tenant,
        principal=desk.bob,
        trace_id=desk.trace(),
        subject_type="exception",
        subject_id="cap@1",
        reason="R.",
    )
    assert "1 approval waits for reviewers" in desk.see("bob", "waiting?part=attention")
    services.request_changes(desk.tenant, principal=desk.rita, item_id=str(asked.pk), version=1, reason="Which fare?")
    assert "1 approval waits for you" in desk.see("bob", "waiting?part=attention")
    assert f"item-{asked.pk}" in desk.at["bob"].get(f"{desk.base}/approvals?view=mine").content.decode()
    assert f"item-{asked.pk}" not in desk.at["rita"].get(f"{desk.base}/approvals?view=mine").content.decode()


def test_what_waits_for_others_needs_nobody_else(desk: Desk) -> None:
    item = desk.ask()
    services.claim(desk.tenant, principal=desk.rita, item_id=str(item.pk), version=1)
    seen = desk.see("alice", "waiting?part=attention")
    assert "1 approval waits for other people Nothing waits for you." in seen
