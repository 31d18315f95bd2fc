"""TRUST D2: origin x tenant x revoked x scope, over a whole socket."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from decisiongraph.consumers import Console, frames
from tenants import services
from tenants.access import system_principal
from tenants.models import User
from tests.factories import Cast, make_cast, make_token
from tests.live import Client, blocking

pytestmark = [pytest.mark.django_db, pytest.mark.trust("D2")]

OURS = "http://localhost:8000"


@pytest.fixture
def cast(db: None, settings: Any) -> Cast:
    settings.PUBLIC_URL = OURS
    settings.CSRF_TRUSTED_ORIGINS = [OURS]
    return make_cast()


async def person(cast: Cast, user: User, origin: str = OURS) -> Client:
    browser = await blocking(cast.browser, user)
    return Client(headers={"cookie": f"dg_session={browser.cookies['dg_session'].value}", "origin": origin})


async def token(cast: Cast, *scopes: str) -> tuple[str, str]:
    row, text = await blocking(make_token, cast.acme, *scopes)
    return row.pk, text


async def answer(client: Client, tenant: Any, rest: str = "traces") -> str:
    frame = await client.follow(f"tenant:{tenant.slug}:{rest}")
    return str(frame.get("code", frame["type"]))


@pytest.mark.parametrize("who", ["alice", "bob", "rita", "vera"])
async def test_every_member_may_follow(cast: Cast, who: str) -> None:
    async with await person(cast, getattr(cast, who)) as client:
        assert await answer(client, cast.acme) == "subscribed"
        assert await answer(client, cast.globex) == "topic.not_found"


async def test_strangers_see_what_nobody_sees(cast: Cast) -> None:
    async with await person(cast, cast.mallory) as client:
        for rest in ("traces", "projection_health", "replays", "trace:x", "replay:x", "access", "nonsense"):
            assert await answer(client, cast.acme, rest) == "topic.not_found"
        assert await answer(client, cast.globex) == "subscribed"


@pytest.mark.parametrize(
    ("scopes", "code"),
    [(("read",), "subscribed"), (("admin",), "subscribed"), (("ingest",), "permission.denied"),
     (("operate",), "subscribed"), (("ingest", "read"), "subscribed")],
)  # fmt: skip
async def test_scopes(cast: Cast, scopes: tuple[str, ...], code: str) -> None:
    _, text = await token(cast, *scopes)
    async with Client(text, headers={"origin": "https://anywhere.example"}) as client:
        assert await answer(client, cast.acme) == code
        assert await answer(client, cast.globex) == "topic.not_found"


FOREIGN = ["http://evil.example", "https://localhost:8000", "http://localhost:8001", "null", ""]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_foreign_pages_are_refused_before_the_handshake_ends(cast: Cast, origin: str) -> None:
    client = await person(cast, cast.alice, origin)
    accepted, _ = await client.socket.connect(timeout=10)
    assert not accepted


@pytest.mark.parametrize("text", ["", "dg_aaaaaaaa_" + "x" * 32, "nonsense"])
async def test_without_a_valid_credential_4401(db: None, text: str) -> None:
    async with Client(text) as client:
        assert await client.hear() == {"close": frames.CLOSE_UNAUTHENTICATED}


async def test_a_ticket_opens_one_socket(cast: Cast) -> None:
    principal = await blocking(cast.principal, cast.vera)
    text, _ = await blocking(services.issue_ticket, cast.acme, principal=principal)
    async with Client(query=f"ticket={text}") as client:
        assert await answer(client, cast.acme) == "subscribed"
    async with Client(query=f"ticket={text}") as client:
        assert await client.hear() == {"close": frames.CLOSE_UNAUTHENTICATED}


async def test_revoking_a_token_closes_its_socket_within_a_second(cast: Cast) -> None:
    ident, text = await token(cast, "read")
    _, other = await token(cast, "read")
    async with Client(text) as client, Client(other) as neighbour:
        assert await answer(client, cast.acme) == "subscribed"
        await asyncio.sleep(1.5)  # the bell is listened to
        begun = time.monotonic()
        await blocking(services.revoke_token, cast.acme, principal=system_principal(cast.acme), token_id=ident)
        assert await client.hear_kind("close") == {"close": frames.CLOSE_UNAUTHENTICATED}
        assert time.monotonic() - begun < 1.0
        assert await answer(neighbour, cast.acme) == "subscribed"


async def test_revocation_without_the_bell_is_found_by_asking(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Console.recheck_every <= 60
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.decisiongraph.test_console.ForgetfulLayer"}}
    monkeypatch.setattr(Console, "recheck_every", 0.5)
    ident, text = await token(cast, "read")
    async with Client(text) as client:
        await blocking(services.revoke_token, cast.acme, principal=system_principal(cast.acme), token_id=ident)
        assert await client.hear_kind("close", timeout=5) == {"close": frames.CLOSE_UNAUTHENTICATED}


async def test_a_member_who_leaves_is_closed_with_4403(cast: Cast) -> None:
    # Vera also belongs to globex, so her session goes on; only what she followed ends.
    await blocking(
        services.add_member, cast.globex, principal=system_principal(cast.globex), user=cast.vera, role="viewer"
    )
    member = await blocking(cast.member, cast.vera)
    async with await person(cast, cast.vera) as client:
        assert await answer(client, cast.acme) == "subscribed"
        await asyncio.sleep(1.5)
        await blocking(
            services.deactivate_member, cast.acme, principal=system_principal(cast.acme), member_id=member.pk
        )
        assert (await client.hear_kind("close"))["close"] == frames.CLOSE_NOT_A_MEMBER
