"""Pages of notifications and webhooks."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import services
from approvals.models import Delivery
from approvals.selectors import telling
from approvals.services import delivering
from decisiongraph.core.db import tenant_tx
from tests.approvals.house import House
from tests.approvals.receiver import receiver
from tests.pages import queries, text

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


def run(house: House) -> None:
    while services.fan_out(house.tenant):
        pass


def test_the_inbox_and_its_bell(house: House) -> None:
    item = house.ask(subject="exception", reason="<script>x</script>")
    run(house)
    rita, base = house.cast.browser(house.cast.rita), f"/t/{house.tenant.slug}/notifications"
    assert "1 unread notifications" in text(rita.get(f"{base}/bell"))
    seen = rita.get(base)
    assert "1 notification you have not read" in text(seen)
    assert f"/t/{house.tenant.slug}/approvals/{item.pk}" in seen.content.decode()
    assert "<script>x" not in seen.content.decode()
    line = telling.notifications(house.tenant, house.rita)[0]
    answer = rita.post(f"{base}/read", {"id": line.pk}, headers=HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, base)
    assert "You have read everything" in text(rita.get(base))
    assert "Nothing unread." in text(rita.get(f"{base}?unread=true"))
    assert "unread" not in text(rita.get(f"{base}/bell"))
    refused = rita.post(f"{base}/read", {}, headers={"HX-Request": "true"})
    assert (refused.status_code, refused.json()["code"]) == (404, "notification.not_found")
    house.ask()
    run(house)
    newest = telling.notifications(house.tenant, house.rita)[0].pk
    rita.post(f"{base}/read", {"until": newest})
    assert telling.unread(house.tenant, house.rita) == 0
    assert "Nothing yet." in text(house.cast.browser(house.cast.vera).get(base))


def test_pages_of_a_long_inbox(house: House) -> None:
    for _ in range(3):
        house.ask()
    run(house)
    rita, base = house.cast.browser(house.cast.rita), f"/t/{house.tenant.slug}/notifications"
    first = rita.get(f"{base}?limit=2")
    assert "Older" in text(first)
    part = rita.get(f"{base}?limit=2&part=list")
    assert "<html" not in part.content.decode()
    few = queries(rita, base)
    for _ in range(5):
        house.ask()
    run(house)
    assert queries(rita, base) == few


def test_every_page_has_the_bell(house: House) -> None:
    seen = house.cast.browser(house.cast.vera).get(f"/t/{house.tenant.slug}/").content.decode()
    assert f'hx-get="/t/{house.tenant.slug}/notifications/bell"' in seen


def test_preferences_page(house: House) -> None:
    rita, path = house.cast.browser(house.cast.rita), f"/t/{house.tenant.slug}/settings/notifications"
    assert "How you are told" in text(rita.get(path))
    answer = rita.post(path, {"way": ["asked.inbox", "said.email"]}, headers=HTMX)
    assert answer["HX-Redirect"] == path
    ways = telling.ways(house.tenant, house.rita)
    assert ways["asked"] == (True, False)
    assert ways["said"] == (False, True)
    assert ways["incident"] == (False, False)


def test_the_life_of_an_endpoint_on_its_pages(house: House, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    alice, base = house.cast.browser(house.cast.alice), f"/t/{house.tenant.slug}/settings/webhooks"
    empty = alice.get(base)
    assert "No endpoint yet." in text(empty)
    assert "data-toast" not in empty.content.decode().partition('id="toast-template"')[0]
    with receiver() as ear:
        made = alice.post(f"{base}/create", {"url": ear.url, "description": "<b>desk"})
        assert "whsec_" in text(made)
        assert "no-store" in made["Cache-Control"]
        assert "<b>desk" not in made.content.decode()
        assert "whsec_" not in alice.get(base).content.decode()
        row = telling.endpoints(house.tenant)[0]
        one = f"{base}/{row.pk}"
        assert "Nothing was sent yet." in text(alice.get(one))
        assert alice.post(f"{one}/test", headers=HTMX)["HX-Redirect"] == one
        with tenant_tx(house.tenant):
            sent = Delivery.objects.get(target=str(row.pk))
        assert delivering.attempt(house.tenant, sent.pk)
        said = text(alice.get(one))
        assert "Arrived" in said
        assert "HTTP 200 in" in said
        assert "webhook.test" in text(alice.get(f"{one}?part=log"))
        again = alice.post(f"/t/{house.tenant.slug}/settings/webhook-deliveries/{sent.pk}/redeliver", headers=HTMX)
        assert again["HX-Redirect"] == one
        assert delivering.attempt(house.tenant, sent.pk)
        assert len(ear.heard) == 2
    assert "whsec_" in text(alice.post(f"{one}/rotate"))
    assert "the secret before signs as well" in text(alice.get(one))
    alice.post(f"{one}/disable")
    assert "Switched off" in text(alice.get(one))
    alice.post(f"{one}/enable")
    assert alice.post(f"{one}/dance").status_code == 404
    assert alice.get(f"{one}?cursor=eyJ4Ijox").status_code == 400
    assert alice.post(f"{one}/delete", headers=HTMX)["HX-Redirect"] == base
    assert alice.get(one).status_code == 404


def test_webhooks_are_for_admins(house: House) -> None:
    base = f"/t/{house.tenant.slug}/settings/webhooks"
    assert house.cast.browser(house.cast.rita).get(base).status_code == 403
    refused = house.cast.browser(house.cast.alice).post(f"{base}/create", {"url": "https://10.0.0.1/"})
    assert refused.status_code == 422
