"""Two people at once: what an agent asks shows on both screens; one decides, the other sees it at once."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from approvals import services
from approvals.domain import sla
from approvals.models import Item
from tests.approvals.house import ACTION, House
from tests.e2e.product import Product, until
from tests.e2e.test_accessibility import in_both_themes, look_through

pytestmark = [pytest.mark.django_db, pytest.mark.browser]

STAYS = "window.sameDocument = (window.sameDocument || 0) + 1"
OTHER = [{"path": "refund.amount", "old_value": "0.00", "new_value": "999.00"}]


class Agent:
    """A program that only knows the API."""

    def __init__(self, product: Product, house: House) -> None:
        self.product, self.house = product, house

    def call(self, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.house.agent_text}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.product.address}/api/v1/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=40) as answer:
            return json.load(answer)

    def send(self, *events: dict[str, Any]) -> None:
        self.call("events", {"events": list(events)})

    def item(self, trace_id: str) -> str:
        """The open item of a trace, once the follower has seen it."""
        found = until(lambda: self.call(f"approvals?trace_id={trace_id}")["items"], "the item opens")
        return str(found[0]["id"])


@pytest.fixture
def house(db: None) -> House:
    return House()


def asked(house: House, kind: str) -> Item:
    """An item an agent asks for; the product's own follower may open it before ours does."""
    trace_id = house.trace()
    house.append(house.proposal(trace_id) if kind == "action" else house.exception(trace_id))
    return until(lambda: house.items(trace_id=trace_id), "the item opens")[0]  # type: ignore[no-any-return]


def same_document(page: Page) -> bool:
    return bool(page.evaluate("window.sameDocument === 1"))


class Held:
    """Requests of a page that wait until `release`; with ``answered`` the server has answered and the answer waits."""

    def __init__(self, page: Page, pattern: str, *, answered: bool = False) -> None:
        self.page, self.answered = page, answered
        self.waiting: list[Callable[[], None]] = []
        self.released = False
        page.route(pattern, self.hold)

    def hold(self, route: Route) -> None:
        if self.answered and not self.released:
            response = route.fetch()
            self.waiting.append(lambda: route.fulfill(response=response))
        else:
            self.waiting.append(route.continue_)
        if self.released:
            self.release()

    def met(self) -> None:
        """Wait until one is held."""
        until(lambda: self.waiting or self.page.wait_for_timeout(20), "the request is made")

    def release(self) -> None:
        self.released = True
        while self.waiting:
            self.waiting.pop()()


def test_two_people_and_an_agent(visit: Any, product: Product, house: House) -> None:
    agent, base = Agent(product, house), f"/t/{house.tenant.slug}"
    rita = visit().known_as(house.cast.rita.email)
    alice = visit(viewport={"width": 1000, "height": 900}).known_as(house.cast.alice.email)
    for window in (rita, alice):
        window.page.goto(f"{base}/approvals?view=group")
        expect(window.page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
        expect(window.page.get_by_text("Nothing waits here.")).to_be_visible()
        window.page.evaluate(STAYS)

    # An agent proposes: the item is on both screens, and in both rails, without a reload.
    trace = "refund-1"
    agent.send(house.started(trace), house.proposal(trace))
    for window in (rita, alice):
        expect(window.page.locator("#ib-list tbody tr[data-row]")).to_contain_text("refund.issue")
        expect(window.page.locator("#count-approvals")).to_contain_text("1")
        assert same_document(window.page)
    item = agent.item(trace)
    assert agent.call(f"approvals/{item}/ticket")["state"] == "pending"

    # Both open it by keyboard; nothing is preselected, and without a reason nothing is sent.
    for window in (rita, alice):
        window.page.keyboard.press("j")
        window.page.keyboard.press("Enter")
        expect(window.page.locator("#it-bound")).to_contain_text("612.40")
        expect(window.page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
        expect(window.page.locator("input[name=decision]:checked")).to_have_count(0)
        window.page.evaluate(STAYS)
    alice.page.locator("#it-reason").fill("I am still thinking about")
    slow = Held(rita.page, "**/approvals/*?part=side")
    rita.page.locator("#it-side").get_by_role("button", name="Claim").click()
    expect(alice.page.locator("#it-head")).to_contain_text("Rita has it in review")
    expect(alice.page.locator("#it-reason")).to_have_value("I am still thinking about")

    # Rita's own page refreshes itself after she chose: late, and her choice stays.
    slow.met()
    rita.page.keyboard.press("a")
    expect(rita.page.locator("input[value=approved]")).to_be_checked()
    # She is at the form, and Alice is warned before she decides as well.
    expect(alice.page.locator("#presence")).to_contain_text("Rita is at the decision form")
    slow.release()
    expect(rita.page.locator("#it-side form.decide")).to_contain_text("at version 2")
    expect(rita.page.locator("input[value=approved]")).to_be_checked()
    expect(rita.page.locator("input[value=approved]")).to_be_focused()

    # Rita decides; Alice, in the middle of a sentence, sees it at once and has nothing left to decide.
    # The answer comes after Rita's page has learnt it by the socket and taken the form away: it is told all the same.
    rita.page.keyboard.press("Tab")
    rita.page.keyboard.type("The fare class allows it.")
    answer = Held(rita.page, "**/approvals/*/decide", answered=True)
    started = time.monotonic()
    rita.page.get_by_role("button", name="Record the decision").click()
    expect(alice.page.get_by_role("heading", level=1)).to_have_text("Approved by Rita")
    took = time.monotonic() - started
    expect(alice.page.get_by_role("button", name="Record the decision")).to_have_count(0)
    expect(alice.page.locator("#it-side")).to_contain_text("The fare class allows it.")
    assert took < 10, f"{took:.2f} s until the other saw it"
    expect(rita.page.get_by_role("heading", level=1)).to_have_text("Approved by Rita")
    expect(rita.page.get_by_role("button", name="Record the decision")).to_have_count(0)
    answer.release()
    expect(rita.page.locator("#toasts")).to_contain_text("The ticket is valid until")
    assert same_document(alice.page)

    # The agent reads its ticket and commits what was approved.
    assert agent.call(f"approvals/{item}/ticket")["valid"] is True
    agent.send(house.commit(trace, approval_id=item, executed=ACTION))
    expect(alice.page.locator("#it-side")).to_contain_text("used the ticket")

    # Another agent run commits something else than what was approved: an incident that both see.
    other = "refund-2"
    agent.send(house.started(other), house.proposal(other))
    second = agent.item(other)
    services.decide(
        house.tenant, principal=house.rita, item_id=second, decision="approved", reason="As before.", version=1
    )
    for window in (rita, alice):
        window.page.goto(f"{base}/incidents")
        expect(window.page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
        expect(window.page.get_by_role("heading", level=1)).to_have_text("No incident is unresolved")
        window.page.evaluate(STAYS)
    agent.send(house.commit(other, approval_id=second, executed={**ACTION, "changes": OTHER}))
    for window in (rita, alice):
        expect(window.page.locator("#in-list tbody tr[data-row]")).to_contain_text("other than the approved")
        expect(window.page.locator("#count-incidents")).to_contain_text("1")
        assert same_document(window.page)

    # It is on the page of the trace and of the item, and one can work on it.
    alice.page.goto(f"{base}/traces/{other}")
    expect(alice.page.locator("#tr-people")).to_contain_text("An action other than the approved one")
    rita.page.locator("#in-list a.name").click()
    rita.page.get_by_role("button", name="Acknowledge").click()
    expect(rita.page.locator("#in-one")).to_contain_text("Rita acknowledged it")
    expect(alice.page.locator("#tr-people .problems")).to_contain_text("Acknowledged")


def test_what_happens_during_a_slow_answer_is_asked_for_as_well(visit: Any, house: House) -> None:
    """The part that came in hears htmx's own event only some milliseconds later; nothing may be lost in them."""
    item, page = asked(house, "action"), visit().known_as(house.cast.vera.email).page
    news: list[Any] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: news.append(frame)))
    page.goto(f"/t/{house.tenant.slug}/approvals/{item.pk}")
    expect(page.locator("[data-live-indicator]")).to_have_attribute("data-state", "live")
    for part in ("#it-head", "#it-side"):  # of this item from the beginning, not of the inbox beside it
        expect(page.locator(part)).to_have_attribute("data-live", re.compile(f":approval:{item.pk}$"))

    def wanted(frame: str) -> bool:
        return '"state"' in frame and f"approval:{item.pk}" in frame

    def say(text: str) -> None:
        heard = len(news)
        services.comment(house.tenant, principal=house.bob, item_id=str(item.pk), text=text)
        until(
            lambda: any(wanted(str(each)) for each in news[heard:]) or page.wait_for_timeout(20),
            "the page hears of it",
        )

    slow = Held(page, "**/approvals/*?part=side", answered=True)
    say("The first.")
    slow.met()
    say("The second.")
    page.wait_for_timeout(600)  # longer than the pause between two requests
    slow.release()
    expect(page.locator("#it-side")).to_contain_text("The second.")


def test_what_a_page_asks_by_itself_is_no_sign_of_a_person(visit: Any, house: House) -> None:
    page = visit().known_as(house.cast.vera.email).page
    page.goto(f"/t/{house.tenant.slug}/approvals")
    part = f'hx-get="/t/{house.tenant.slug}'
    page.evaluate(
        "it => { document.querySelector('main').insertAdjacentHTML('beforeend', it); htmx.process(document.body); }",
        f'<p {part}/incidents" hx-trigger="every 1s" hx-swap="none"></p>'
        f'<button {part}/exceptions" hx-swap="none">Ask once</button>',
    )
    itself = page.wait_for_event("request", lambda sent: sent.url.endswith("/incidents"))
    with page.expect_request("**/exceptions") as person:
        page.get_by_role("button", name="Ask once").click()
    assert itself.headers.get("x-background") == "1"
    assert "x-background" not in person.value.headers


def test_a_lost_race_is_told_by_whom(visit: Any, product: Product, house: House) -> None:
    """Both press at the version they saw; the sockets of one are away, so only the server can tell."""
    item = asked(house, "action")
    base = f"/t/{house.tenant.slug}"
    alice = visit().known_as(house.cast.alice.email)
    alice.page.goto(f"{base}/approvals/{item.pk}")
    alice.context.set_offline(True)
    house.decide(item)
    alice.page.locator("#it-reason").fill("I say no.")
    alice.page.keyboard.press("Tab")
    alice.page.get_by_label("Reject").check(force=True)
    alice.page.evaluate("document.querySelector('[data-live]#it-side').removeAttribute('data-live')")
    alice.page.evaluate("document.querySelector('[data-live]#it-head').removeAttribute('data-live')")
    alice.context.set_offline(False)
    alice.page.get_by_role("button", name="Record the decision").click()
    expect(alice.page.locator("#toasts")).to_contain_text("Somebody was faster: Rita approved it")
    alice.complaints.clear()  # htmx writes the refusal into the console as well


def test_who_asked_may_not_decide_and_reads_why(visit: Any, product: Product, house: House) -> None:
    base, trace = f"/t/{house.tenant.slug}", house.trace()
    rita = visit(viewport={"width": 390, "height": 844}).known_as(house.cast.rita.email)
    rita.page.goto(f"{base}/exceptions?trace_id={trace}")
    rita.page.get_by_label("Policy", exact=True).fill("refund.cap")
    rita.page.get_by_label("Version", exact=True).fill("3")
    rita.page.get_by_label("Why", exact=True).fill("The airline cancelled.")
    rita.page.get_by_role("button", name="Ask", exact=True).click()
    expect(rita.page.locator("#it-side")).to_contain_text("You asked for this, so somebody else decides.")
    expect(rita.page.get_by_role("button", name="Record the decision")).to_have_count(0)
    rita.page.get_by_role("button", name="Inbox").click()
    expect(rita.page.locator("#inbox .it").first).to_be_visible()
    rita.page.keyboard.press("Escape")
    expect(rita.page.locator("#inbox")).to_be_hidden()
    rita.page.get_by_role("button", name="Withdraw").click()
    rita.page.locator("#d-withdraw").get_by_label("Why").fill("Solved otherwise.")
    rita.page.locator("#d-withdraw").get_by_role("button", name="Withdraw").click()
    expect(rita.page.get_by_role("heading", level=1)).to_have_text("Withdrawn by Rita")
    expect(rita.page.locator("dialog[open]")).to_have_count(0)


def test_several_at_once_and_found_from_anywhere(visit: Any, product: Product, house: House) -> None:
    one, two = asked(house, "action"), asked(house, "exception")
    base = f"/t/{house.tenant.slug}"
    page = visit().sign_in(house.cast.rita.email).page
    page.goto(f"{base}/approvals?view=all")
    bar = page.locator("[data-many-bar]")
    expect(bar).to_be_hidden()
    page.locator(f"[data-many='{one.pk}']").check()
    services.comment(house.tenant, principal=house.bob, item_id=str(two.pk), text="The list refreshes itself.")
    services.claim(house.tenant, principal=house.alice, item_id=str(two.pk), version=1)
    expect(page.locator(f"tr[data-key='item-{two.pk}']")).to_contain_text("In review")
    expect(page.locator(f"[data-many='{one.pk}']")).to_be_checked()
    page.locator("[data-many-all]").check()
    expect(bar).to_contain_text("2 items chosen")
    bar.get_by_role("button", name="Reassign").click()
    dialog = page.locator("#d-many-reassign")
    dialog.get_by_label("To").select_option(f"user:{house.cast.rita.email}")
    assert in_both_themes(page) == []
    dialog.get_by_role("button", name="Reassign").click()
    expect(page.locator("#toasts")).to_contain_text("2 items are for")
    expect(bar).to_be_hidden()
    assert [house.item(each).assignee for each in (one, two)] == [f"user:{house.cast.rita.email}"] * 2

    page.goto(f"{base}/")
    page.keyboard.press("Control+k")
    page.locator("#palette-q").fill(str(two.pk)[:8])
    expect(page.locator("#palette-results [aria-selected=true]")).to_have_attribute(
        "href", f"{base}/approvals/{two.pk}"
    )
    page.keyboard.press("Enter")
    expect(page.locator("#it-head")).to_contain_text("Alice has it in review")


@pytest.fixture
def addresses(house: House, product: Product) -> dict[str, str]:
    """A tenant with something on every page of the workflow."""
    hook, _secret = services.create_endpoint(
        house.tenant, principal=house.alice, url="https://hooks.example.org/decisions", description="Desk"
    )
    mine, held, done, refused = (asked(house, kind) for kind in ("action", "action", "action", "exception"))
    services.claim(house.tenant, principal=house.rita, item_id=str(held.pk), version=1)
    house.decide(done)
    house.decide(refused, "rejected")
    services.comment(house.tenant, principal=house.bob, item_id=str(mine.pk), text="Odd \u202e<b>")
    incident = services.open_incident(
        house.tenant, principal=house.bob, title="Doubled", severity="critical", trace_id=mine.trace_id
    )
    level = services.create_policy(
        house.tenant, principal=house.alice, name="Refunds", definition=sla.STANDARD, applies=sla.Match()
    )
    base = f"/t/{house.tenant.slug}"
    pages = {
        "inbox": "approvals?view=all",
        "nothing in the inbox": "approvals?view=all&status=expired",
        "item to decide": f"approvals/{mine.pk}",
        "item in review": f"approvals/{held.pk}",
        "item approved": f"approvals/{done.pk}",
        "item rejected": f"approvals/{refused.pk}",
        "exceptions": "exceptions?status=all",
        "incidents": "incidents",
        "incident": f"incidents/{incident.pk}",
        "notifications": "notifications",
        "how to be told": "settings/notifications",
        "webhooks": "settings/webhooks",
        "webhook": f"settings/webhooks/{hook.pk}",
        "service levels": "settings/sla",
        "service level": f"settings/sla/{level.pk}",
        "overview": "",
        "trace": f"traces/{mine.trace_id}",
    }
    return {name: f"{base}/{path}" for name, path in pages.items()}


def test_every_page_is_accessible(visit: Any, house: House, addresses: dict[str, str]) -> None:
    page = visit().known_as(house.cast.alice.email).page
    wrong = look_through({name: (page, path) for name, path in addresses.items()})
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(addresses["item to decide"])
    for button in ("Reassign", "Delegate", "Escalate", "Withdraw", "Override"):
        page.get_by_role("button", name=button, exact=True).first.click()
        expect(page.locator("dialog[open]")).to_be_visible()
        wrong |= {button: said} if (said := in_both_themes(page)) else {}
        page.keyboard.press("Escape")
    assert wrong == {}
