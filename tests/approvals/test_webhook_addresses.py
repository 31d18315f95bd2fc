"""Webhooks never go to an address that is not public, however it is spelled (G4)."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from approvals.services import wire
from tests.approvals.domain.test_addresses import CLOSED
from tests.approvals.receiver import Receiver

pytestmark = pytest.mark.django_db


class Wire:
    """Stands where connections are opened, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[str] = []
        monkeypatch.setattr(wire, "connect", self.connect)

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        self.opened.append(address)
        raise ConnectionRefusedError("not in a test")


SPELLED = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",
    "3232235521",
    "0xa9fea9fe",
    "2852039166",
    "localhost",
]


def send(host: str, find: wire.Resolve | None = None, *, loopback: bool = False) -> wire.Outcome:
    return wire.post(f"https://{host}/", {}, "{}", loopback=loopback, find=find)


@pytest.mark.trust("G4")
def test_no_connection_to_any_address_that_is_not_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRUST G4: as literals, as answers of a name server, and in every spelling a resolver understands."""
    line = Wire(monkeypatch)
    for address in CLOSED:
        literal = f"[{address.partition('%')[0]}]" if ":" in address else address
        assert send(literal).status is None
        assert "Refused" in send("rebound.example.org", lambda *_: [address]).error  # noqa: B023
        assert "Refused" in send("mixed.example.org", lambda *_: ["8.8.8.8", address]).error  # noqa: B023
    for host in SPELLED:
        assert send(host).status is None
    assert line.opened == []


@pytest.mark.trust("G4", control=True)
def test_the_control_without_the_rule_they_are_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Wire(monkeypatch)
    monkeypatch.setattr(wire.addresses, "may_connect", lambda text, *, loopback: True)
    send("rebound.example.org", lambda *_: ["169.254.169.254"])
    send("2130706433")
    assert line.opened == ["169.254.169.254", "127.0.0.1"]


@pytest.mark.trust("G4")
def test_a_name_is_resolved_once_and_that_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: the second answer would be another one, but nobody asks for it."""
    line = Wire(monkeypatch)
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("asked again"))
    said = send("rebind.example.org", lambda *_: next(answers)).error
    assert said == "Nobody listens at this address (ConnectionRefusedError: not in a test)."
    assert line.opened == ["8.8.8.8"]
    assert next(answers) == ["127.0.0.1"]


def test_host_and_sni_are_those_of_the_name(ear: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(ear.url.split(":")[2].split("/")[0])
    said = wire.post(f"http://hooks.example.org:{port}/x", {}, "{}", loopback=True, find=lambda *_: ["127.0.0.1"])
    assert said.status == 200
    assert ear.heard[0][0]["host"] == f"hooks.example.org:{port}"
    names: list[str] = []

    def wrapped(_self: Any, sock: socket.socket, server_hostname: str) -> Any:
        names.append(server_hostname)
        raise OSError("seen")

    monkeypatch.setattr("ssl.SSLContext.wrap_socket", wrapped)
    wire.post(f"https://hooks.example.org:{port}/x", {}, "{}", loopback=True, find=lambda *_: ["127.0.0.1"])
    assert names == ["hooks.example.org"]


def test_loopback_is_refused_unless_the_setting_allows_it(ear: Receiver, settings: Any) -> None:
    assert wire.post(ear.url, {}, "{}", loopback=True).status == 200
    assert wire.post(ear.url, {}, "{}", loopback=False).status is None
    assert len(ear.heard) == 1
    assert "Refused" in wire.post("http://x.example.org/", {}, "{}", loopback=True, find=lambda *_: ["10.0.0.1"]).error
    assert "plain http" in wire.post("http://x.org/", {}, "{}", loopback=True, find=lambda *_: ["8.8.8.8"]).error


def test_a_receiver_that_drips_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(wire, "TOTAL_SECONDS", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        taken, _ = listener.accept()
        with taken:
            taken.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stop.wait(0.1):
                try:
                    taken.sendall(b"X: 1\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    said = wire.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, "{}", loopback=True)
    stop.set()
    thread.join(5)
    listener.close()
    assert "No answer within" in said.error
    assert said.milliseconds < 3000
