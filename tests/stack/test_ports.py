"""Where servers of tests listen."""

from __future__ import annotations

import socket

import pytest

from tests import ports


def test_an_outgoing_connection_never_gets_a_port_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    first = int(ports.KERNELS.read_text().split()[0])
    for _ in range(200):
        assert ports.FIRST <= ports.free_ports() < first - 1
    with socket.socket() as taken:
        port = ports.free_ports()
        taken.bind(("127.0.0.1", port + 1))
        offers = iter([port, port + 1, port - 2])
        monkeypatch.setattr(ports.random, "randrange", lambda *bounds: next(offers))
        assert ports.free_ports() == port - 2
