"""`report.html` in a browser: on a phone and a desktop, light and dark, on its own."""

from __future__ import annotations

import pytest

from tests.system.conftest import DESKTOP, PHONE, Open, TenNights, keep, not_empty

LUMINANCE = "el => { const c = getComputedStyle(el).%s.match(/[\\d.]+/g).map(Number); return c[0] + c[1] + c[2]; }"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_report_reads_well(ten_nights: TenNights, watched: Open, size: tuple[int, int], dark: bool) -> None:
    seen = watched(size, dark)
    page, file = seen.page, ten_nights.runs[-1].path / "report.html"
    page.goto(file.as_uri())
    assert page.locator("h1").inner_text().startswith("consolidation/nightly")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]  # the page never scrolls sideways
    assert page.locator("table").count() > 3
    plots = page.locator("figure img")
    assert plots.count() >= 5
    for i in range(plots.count()):
        assert plots.nth(i).evaluate("img => img.complete && img.naturalWidth") > 300
        not_empty(plots.nth(i))
    paper, text = (page.locator("body").evaluate(LUMINANCE % name) for name in ("backgroundColor", "color"))
    assert (paper < 200 and text > 500) if dark else (paper > 600 and text < 300)
    if (size, dark) == (PHONE, True):
        page.evaluate("window.scrollTo(0, 0)")
        keep(page, "report-phone-dark")
    if (size, dark) == (DESKTOP, False):
        page.evaluate("window.scrollTo(0, 0)")
        keep(page, "report")
    assert [url for url in seen.requests if not url.startswith(("data:", file.as_uri()))] == []
    seen.no_errors()


def test_wide_tables_scroll_inside(ten_nights: TenNights, watched: Open) -> None:
    page = watched(PHONE).page
    page.goto((ten_nights.runs[-1].path / "report.html").as_uri())
    boxes = page.locator(".scroll").evaluate_all("all => all.map(box => [box.scrollWidth, box.clientWidth])")
    assert any(inner > outer for inner, outer in boxes)
    assert max(outer for _, outer in boxes) <= PHONE[0]
