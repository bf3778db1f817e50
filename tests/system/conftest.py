"""What `make test-system` needs beyond `make test`: a browser, running services, ten nights to look at.

Each piece starts only for the tests that ask for it. ``ENGRAM_SCREENSHOTS=docs/images`` keeps the README's pictures.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from pipeline.artifacts import RunFolder
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.selection import hash_rank
from pipeline.services import stack
from pipeline.services.processes import State
from tests.evaluation.examples import Reply, scripted
from tests.stages.nights import ScriptedNight

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request, Response

NIGHTS = 10
PHONE, DESKTOP = (390, 844), (1280, 900)  # CSS pixels
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_MOST_BYTES = 150_000  # of a picture in the repository


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium, the one that the system brings."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.fail(f"expected one of {', '.join(_PROGRAMS)} on the PATH; `make test-system` as root installs it")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox does not work for root
        opened = playwright.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


@dataclass
class Watched:
    """A browser's page, and everything that went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def no_errors(self, but: tuple[str, ...] = ()) -> None:
        """Fail on an error in the console, an exception of a script, or a request that failed."""
        assert [error for error in self.errors if not any(known in error for known in but)] == []


Open = Callable[..., Watched]


@pytest.fixture
def watched(browser: Browser) -> Iterator[Open]:
    """Opens pages whose console, exceptions and failed requests are recorded."""
    contexts = []

    def open_page(size: tuple[int, int] = DESKTOP, dark: bool = False) -> Watched:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        seen = Watched(context.new_page())
        _listen(seen)
        return seen

    yield open_page
    for context in contexts:
        context.close()


def _listen(seen: Watched) -> None:
    def answered(reply: Response) -> None:
        if reply.status >= 400:
            seen.errors.append(f"status {reply.status}: {reply.url}")

    def failed(request: Request) -> None:
        if "ERR_ABORTED" not in str(request.failure):  # a page that moves on drops what it asked for
            seen.errors.append(f"{request.failure}: {request.url}")

    seen.page.on("response", answered)
    seen.page.on("requestfailed", failed)
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("pageerror", lambda error: seen.errors.append(f"exception: {error}"))
    seen.page.on("console", lambda said: _said(seen, said))


def _said(seen: Watched, said: Any) -> None:
    """Errors of the console; what only repeats a status is told by the response itself, with its address."""
    if said.type == "error" and "Failed to load resource" not in said.text:
        seen.errors.append(f"console: {said.text}")


def ink(picture: bytes) -> float:
    """Share of pixels that differ from the commonest colour: an empty plot has next to none."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
    _, counts = np.unique(pixels, axis=0, return_counts=True)
    return 1.0 - float(counts.max()) / float(counts.sum())


def not_empty(plot: Locator) -> None:
    """Fail on a plot that shows nothing: no size, or one colour."""
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None and box["width"] > 50 and box["height"] > 50
    assert ink(plot.screenshot()) > 0.01


def keep(page: Page, name: str) -> None:
    """Keep a picture of what is visible for the README, in a palette that keeps it small."""
    folder = os.environ.get("ENGRAM_SCREENSHOTS")
    if not folder:
        return
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = Path(folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    for colours in (128, 64, 32, 16):
        picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= _MOST_BYTES:
            return
    raise AssertionError(f"{path}: {path.stat().st_size} bytes, at most {_MOST_BYTES}")


@dataclass(frozen=True)
class TenNights:
    """Ten finished nights of one session, and where they lie."""

    root: Path
    runs: tuple[RunFolder, ...]


def _answering(night: int) -> Callable[[Ask], Reply]:
    """A model that errs less from night to night, about another part of the questions each time."""

    def answer(ask: Ask) -> Reply:
        name = f"{ask.arm}{ask.question.item_id}{ask.question.form}"
        if ask.arm != "pre_off" and hash_rank(name, f"night {night}") % (6 + 2 * night) == 0:
            return Reply("somewhere else entirely", 24, True)
        return scripted(ask)

    return answer


@pytest.fixture(scope="session")
def ten_nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TenNights]:
    """Real stages of pool ``cpu``, MLflow and reports; scripted ones for the language model."""
    root = tmp_path_factory.mktemp("nights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGRAM_HOME", str(root))
        night = ScriptedNight(patch)
        runs = []
        for number in range(NIGHTS):
            night.answer_with(_answering(number))
            settings = ("suite.name=episodic", "session=demo", f"seed={1337 + number % 3}", f"suite.skip={6 * number}")
            runs.append(night.run(*settings, target="consolidation/nightly"))
    yield TenNights(root, tuple(runs))


@pytest.fixture(scope="session")
def services(ten_nights: TenNights) -> Iterator[State]:
    """`engram up` beside the ten nights, on free ports, and `engram down` after the last test."""
    state = stack.up(ten_nights.root, print, prefect_port=0, mlflow_port=0)
    try:
        yield state
    finally:
        stack.down(ten_nights.root, print)


def address(state: State, name: str) -> str:
    """Where a service listens."""
    service = state.find(name)
    assert service is not None and service.port is not None
    return f"http://127.0.0.1:{service.port}"
