"""A night that hears nothing from its server ends itself, and only then."""

from __future__ import annotations

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from tasks.fencing import EXIT_STATUS, Fence, reachable


def watched(replies: list[bool], patience: float, seconds: float) -> list[float]:
    """How long it was silent when the process would have ended, for replies that take so many seconds each."""
    now, ended = [0.0], list[float]()

    def answers() -> bool:
        now[0] += seconds
        return replies.pop(0)

    fence = Fence(patience, answers, ended.append, lambda: now[0])
    while replies and fence.look():
        pass
    return ended


def test_it_ends_once_the_patience_is_over() -> None:
    assert watched([True, False, False, False, False, False], 40.0, 10.0) == [40.0]


def test_one_answer_starts_the_count_again() -> None:
    assert watched([False, False, True, False, False, True, False], 40.0, 10.0) == []


def test_a_refusal_is_an_answer_and_a_closed_port_is_none() -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *arguments: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/health"
        assert reachable(url)
    assert not reachable(url) and not reachable("no address")


def test_the_process_is_really_gone_and_says_why() -> None:
    program = (
        "import os, time; os.environ |= {'ENGRAM_FENCE_SECONDS': '0.1', 'PREFECT_API_URL': 'http://127.0.0.1:9/api'}; "
        "from tasks import fencing; fencing._POLL = 0.05; fencing.start_fence(); time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == EXIT_STATUS and "another host goes on" in done.stderr
