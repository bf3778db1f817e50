"""Loopback ports."""

from __future__ import annotations

import socket

import pytest

from pipeline.errors import ServiceError
from pipeline.services.ports import LOOPBACK, choose, is_free


def test_a_port_in_use_is_replaced_by_a_free_one() -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        busy = server.getsockname()[1]
        assert not is_free(busy)
        chosen = choose(busy)
        assert chosen != busy and is_free(chosen)
        assert choose(chosen) == chosen
        assert choose(chosen, frozenset({chosen})) != chosen


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(ServiceError, match="between 1 and 65535"):
        choose(port)
