"""Loopback ports: whether one is free, and which one to take instead."""

from __future__ import annotations

import socket

from pipeline.errors import ServiceError

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could bind ``port`` on loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(wanted: int, taken: frozenset[int] = frozenset()) -> int:
    """Return ``wanted`` when it is free, else a free port that the system picks.

    Args:
        wanted: The preferred port, 1 to 65535; 0 asks for any free one.
        taken: Ports that another service of the same start already holds.

    Raises:
        ServiceError: ``wanted`` is no port number.
    """
    if not 0 <= wanted <= 65535:
        raise ServiceError(f"expected a port between 1 and 65535, found {wanted}")
    if wanted and wanted not in taken and is_free(wanted):
        return wanted
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
