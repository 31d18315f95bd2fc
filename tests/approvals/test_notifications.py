"""Notifications: who is told what, read state, preferences, mail."""

from __future__ import annotations

import email
import smtplib
from email.header import decode_header, make_header
from typing import Any

import pytest
from django.core import mail

from approvals import services
from approvals.domain import notices
from approvals.models import Delivery, Notification
from approvals.services import delivering
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import Hands, House

pytestmark = pytest.mark.django_db


def run(house: House) -> None:
    while services.fan_out(house.tenant):
        pass


def lines(house: House, user: Any) -> list[tuple[str, str]]:
    with tenant_tx(house.tenant):
        rows = Notification.objects.filter(user_id=user.pk).order_by("pk")
        return [(row.kind, row.text) for row in rows]


def mails(house: House) -> list[Delivery]:
    with tenant_tx(house.tenant):
        return list(Delivery.objects.filter(channel=Delivery.EMAIL).order_by("pk"))


def test_reviewers_are_asked_and_the_rest_is_left_in_peace(house: House) -> None:
    house.ask()
    run(house)
    assert [kind for kind, _ in lines(house, house.cast.rita)] == ["asked"]
    assert [kind for kind, _ in lines(house, house.cast.alice)] == ["asked"]
    assert lines(house, house.cast.vera) == []
    assert lines(house, house.cast.bob) == []


def test_the_course_of_an_item(house: House) -> None:
    item = house.ask()
    services.comment(house.tenant, principal=house.vera, item_id=str(item.pk), text="Which fare class?")
    item = services.claim(house.tenant, principal=house.rita, item_id=str(item.pk), version=item.version)
    services.comment(house.tenant, principal=house.alice, item_id=str(item.pk), text="Y, see the booking.")
    house.decide(item)
    run(house)
    vera = lines(house, house.cast.vera)
    assert ("decided", "Approved: Fare class allows it.") in vera
    assert ("said", "Commented: Y, see the booking.") in vera
    rita = [kind for kind, _ in lines(house, house.cast.rita)]
    assert "decided" not in rita  # it was her own decision
    assert ("said", "Commented: Y, see the booking.") in lines(house, house.cast.rita)


def test_somebody_put_on_the_desk_is_asked(house: House) -> None:
    item = house.ask()
    run(house)
    to = f"user:{house.cast.rita.email}"
    services.reassign(house.tenant, principal=house.alice, item_id=str(item.pk), to=to, version=item.version)
    run(house)
    assert lines(house, house.cast.rita)[-1] == ("asked", "It was put on your desk")


def test_an_incident_is_told_by_mail(house: House) -> None:
    services.open_incident(house.tenant, principal=house.bob, title="Doubled\nSubject: x", severity="high")
    run(house)
    assert [kind for kind, _ in lines(house, house.cast.rita)] == ["incident"]
    assert lines(house, house.cast.bob) == []
    found = mails(house)
    assert {row.target for row in found} == {str(house.cast.rita.pk), str(house.cast.alice.pk)}
    mail.outbox.clear()
    for row in found:
        assert delivering.attempt(house.tenant, row.pk)
    assert {each.to[0] for each in mail.outbox} == {house.cast.rita.email, house.cast.alice.email}
    assert mail.outbox[0].subject == f"[{house.tenant.slug}] Doubled Subject: x"
    assert f"/t/{house.tenant.slug}/incidents/" in mail.outbox[0].body
    assert "because an incident opened" in mail.outbox[0].body


@pytest.mark.parametrize("break_", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_no_line_break_gets_into_the_header_of_a_mail(house: House, break_: str) -> None:
    title = f"Doubled{break_}Bcc: eve@example.net{break_}{break_}And a body"
    services.open_incident(house.tenant, principal=house.bob, title=title, severity="high")
    run(house)
    mail.outbox.clear()
    for row in mails(house):
        assert delivering.attempt(house.tenant, row.pk)
    sent = [email.message_from_bytes(each.message().as_bytes()) for each in mail.outbox]
    assert len(sent) == 2
    for each in sent:
        assert str(make_header(decode_header(each["Subject"]))).endswith("Doubled Bcc: eve@example.net And a body")
        assert "Bcc" not in each
        assert each["To"] in (house.cast.rita.email, house.cast.alice.email)
        assert not any(each.get_payload().lstrip().startswith(start) for start in ("And a body", "Bcc"))


def test_a_mail_that_fails_is_tried_again(house: House, hands: Hands, monkeypatch: Any) -> None:
    services.open_incident(house.tenant, principal=house.bob, title="Doubled", severity="high")
    run(house)
    row = mails(house)[0]

    def fail(*_args: Any, **_more: Any) -> None:
        raise smtplib.SMTPServerDisconnected("away")

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMessage.send", fail)
        delivering.attempt(house.tenant, row.pk)
    after = next(each for each in mails(house) if each.pk == row.pk)
    assert (after.state, after.last_error) == ("waiting", "SMTPServerDisconnected: away")
    hands.forward(seconds=10)
    mail.outbox.clear()
    assert delivering.attempt(house.tenant, row.pk)
    assert len(mail.outbox) == 1


def test_preferences_are_kept(house: House) -> None:
    services.choose_ways(
        house.tenant,
        principal=house.rita,
        ways={"incident": notices.Way(False, True), "asked": notices.Way(True, True)},
    )
    services.choose_ways(house.tenant, principal=house.rita, ways={"incident": notices.Way(False, False)})
    services.open_incident(house.tenant, principal=house.bob, title="Doubled", severity="high")
    house.ask()
    run(house)
    assert [kind for kind, _ in lines(house, house.cast.rita)] == ["asked"]
    mine = [row.message for row in mails(house) if row.target == str(house.cast.rita.pk)]
    assert mine == ["approval.requested"]


def test_read_state_over_http(house: House) -> None:
    house.ask()
    house.ask()
    run(house)
    rita, alice = house.person(house.cast.rita), house.person(house.cast.alice)
    first = rita.get("/api/v1/notifications?limit=1").json()
    assert len(first["items"]) == 1
    assert first["items"][0]["read_at"] is None
    rest = rita.get(f"/api/v1/notifications?limit=1&cursor={first['next']}").json()
    ids = [first["items"][0]["id"], rest["items"][0]["id"]]

    def read(client: Any, **asked: Any) -> Any:
        return client.post("/api/v1/notifications/read", asked, content_type="application/json").json()

    assert read(alice, ids=ids) == {"read": 0, "unread": 2}  # Rita's are not hers
    assert read(rita, ids=ids[:1]) == {"read": 1, "unread": 1}
    assert [row["id"] for row in rita.get("/api/v1/notifications?unread=true").json()["items"]] == ids[1:]
    assert read(rita, until=ids[1] - 1) == {"read": 0, "unread": 1}
    assert read(rita) == {"read": 1, "unread": 0}


def test_preferences_over_http(house: House) -> None:
    rita = house.person(house.cast.rita)
    ways = rita.get("/api/v1/notifications/preferences").json()["ways"]
    assert ways == {kind: way._asdict() for kind, way in notices.DEFAULTS.items()}
    asked = {"ways": {"said": {"inbox": False, "email": True}}}
    after = rita.put("/api/v1/notifications/preferences", asked, content_type="application/json").json()["ways"]
    assert after == ways | {"said": {"inbox": False, "email": True}}
    wrong = {"ways": {"x": {"inbox": False, "email": True}}}
    answer = rita.put("/api/v1/notifications/preferences", wrong, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "notification.kind_unknown")
    program = house.client("read").get("/api/v1/notifications")
    assert (program.status_code, program.json()["code"]) == (403, "notification.people_only")


def test_the_table_of_the_page_is_the_code(house: House) -> None:
    from tests.approvals.test_docs import PAGE

    for kind, meaning in notices.KINDS.items():
        way = notices.DEFAULTS[kind]
        words = " | ".join("yes" if each else "no" for each in way)
        assert f"| `{kind}` | {meaning} | {words} |" in PAGE
