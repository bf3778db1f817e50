"""Loopback ports: whether one is free, and which one to take instead."""

from __future__ import annotations

import socket

from pipeline.errors import ServiceError
from pipeline.services.access import LOOPBACK


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could bind ``port`` of an address now."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def require_own(host: str) -> None:
    """Refuse an address that this machine does not have.

    Raises:
        ServiceError: Nothing can be bound to it.
    """
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise ServiceError(f"--host {host}: is no address of this machine ({error.strerror})") from None


def choose(wanted: int, taken: frozenset[int] = frozenset(), host: str = LOOPBACK) -> int:
    """Return ``wanted`` when it is free, else a free port that the system picks.

    Args:
        wanted: The preferred port, 1 to 65535; 0 asks for any free one.
        taken: Ports that another service of the same start already holds.
        host: The address to bind.

    Raises:
        ServiceError: ``wanted`` is no port number.
    """
    if not 0 <= wanted <= 65535:
        raise ServiceError(f"expected a port between 1 and 65535, found {wanted}")
    if wanted and wanted not in taken and is_free(wanted, host):
        return wanted
    while True:
        with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
