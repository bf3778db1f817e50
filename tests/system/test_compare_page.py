"""The page of `engram compare --last 10 --html` in a browser: opens at once, on a phone too, with plots that show."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from tests.system.conftest import DESKTOP, NIGHTS, PHONE, Open, TenNights, keep, not_empty

SECONDS = 3.0  # to open the page of ten nights


@pytest.fixture(scope="module")
def compared(ten_nights: TenNights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("compare") / "nights.html"
    asked = ["compare", "--last", str(NIGHTS), "consolidation/nightly", "--html", str(file)]
    done = CliRunner().invoke(app, asked, env={"ENGRAM_HOME": str(ten_nights.root)})
    assert done.exit_code == 0, done.output
    return file


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_ten_nights_on_one_page(compared: Path, watched: Open, size: tuple[int, int], dark: bool) -> None:
    seen = watched(size, dark)
    begun = time.perf_counter()
    seen.page.goto(compared.as_uri(), wait_until="load")
    assert time.perf_counter() - begun < SECONDS
    assert seen.page.locator("#runs tbody tr").count() == NIGHTS
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    plots = seen.page.locator("figure img")
    assert plots.count() >= 3
    for i in range(plots.count()):
        not_empty(plots.nth(i))
    figures = seen.page.locator("#figures tbody tr").all_inner_texts()
    assert any(row.startswith("arms.post_off_heldout.em") for row in figures)
    marks = seen.page.locator("#turns tbody tr").all_inner_texts()
    assert marks and all("✓" in row and "✗" in row for row in marks)
    if (size, dark) == (DESKTOP, False):
        seen.page.evaluate("window.scrollTo(0, 0)")
        keep(seen.page, "compare")
    assert [url for url in seen.requests if not url.startswith(("data:", compared.as_uri()))] == []
    seen.no_errors()
