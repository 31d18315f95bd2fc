"""Ports for servers of tests that nobody else gets in between."""

from __future__ import annotations

import random
import socket
from pathlib import Path

FIRST = 10_000
"""Below are the ports of well-known services."""
KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The first and the last port the kernel gives to outgoing connections."""


def free_ports() -> int:
    """A free port whose successor is free as well.

    Neither is one the kernel gives to outgoing connections: such a port may be taken by any connection
    of this machine while its server is not up yet, or is down for a moment.
    """
    try:
        end = int(KERNELS.read_text().split()[0])
    except OSError:
        end = 0
    if end <= FIRST + 1000:
        end = 60_000
    for _ in range(100):
        port = random.randrange(FIRST, end - 1)
        try:
            with socket.socket() as one, socket.socket() as two:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        return port
    raise AssertionError("no two neighbouring ports are free")
