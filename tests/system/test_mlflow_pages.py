"""MLflow's own pages over ten nights: list, charts, comparison, a night, its plots, a version of the adapter."""

from __future__ import annotations

import json
import time

import pytest

from pipeline.services.processes import State
from pipeline.tracking.store import open_client
from tests.system.conftest import NIGHTS, Open, TenNights, Watched, address, keep, not_empty

KNOWN = (  # what MLflow's own pages do, whatever is on them
    "/mlflow/users/current",  # a server without users has none
    "path=MLmodel",  # an adapter is no MLflow model: folder and digest are what counts
    "ResizeObserver loop",  # a notice of browsers, not an error
)
WAIT = 120_000  # ms on two busy cores


@pytest.fixture(scope="module")
def nights(ten_nights: TenNights, services: State) -> tuple[str, str, list[str]]:
    """Address of the experiment, its id, and MLflow's ids of the nights, newest first."""
    client = open_client(f"sqlite:///{ten_nights.root / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("engram/consolidation")
    found = client.search_runs(
        [experiment.experiment_id], filter_string="tags.`engram.kind` = 'night' and tags.`engram.session` = 'demo'"
    )
    assert len(found) == NIGHTS
    where = f"{address(services, 'mlflow')}/#/experiments/{experiment.experiment_id}"
    return where, experiment.experiment_id, [run.info.run_id for run in found]


def go(seen: Watched, url: str, text: str) -> None:
    """Open a page and wait until it shows a text; its assistant, if it comes up, is closed."""
    seen.page.goto(url)
    seen.page.get_by_text(text).first.wait_for(timeout=WAIT)
    for button in seen.page.get_by_role("button", name="Close").all():
        if button.is_visible():
            button.click()


def test_nights_are_listed_by_names_that_tell_them_apart(nights: tuple[str, str, list[str]], watched: Open) -> None:
    seen = watched()
    go(seen, f"{nights[0]}/runs", "demo night 10")
    for number in range(1, NIGHTS + 1):
        assert seen.page.get_by_text(f"demo night {number} (").first.is_visible()
    seen.no_errors(KNOWN)


def test_charts_over_ten_nights_are_not_empty(nights: tuple[str, str, list[str]], watched: Open) -> None:
    seen = watched()
    go(seen, f"{nights[0]}/runs?compareRunsMode=CHART", "demo night 10")
    seen.page.get_by_placeholder("Search metric charts").fill("post_off_heldout.em")
    seen.page.get_by_text("arms.post_off_heldout.em", exact=True).first.wait_for(timeout=WAIT)
    seen.page.locator(".js-plotly-plot .bars path").nth(NIGHTS - 1).wait_for(timeout=WAIT)  # a bar for every night
    not_empty(seen.page.locator(".js-plotly-plot").first)
    keep(seen.page, "mlflow-charts")
    seen.no_errors(KNOWN)


def test_ten_nights_compared(nights: tuple[str, str, list[str]], watched: Open) -> None:
    seen = watched()
    base = nights[0].partition("/#")[0]
    runs, experiments = json.dumps(nights[2]), json.dumps([nights[1]])
    plot = seen.page.locator(".js-plotly-plot").first
    for times in ("first", "second"):  # how long is told (pytest -s) and not asserted: machines differ
        seen.page.goto("about:blank")
        begun = time.perf_counter()
        go(seen, f"{base}/#/compare-runs?runs={runs}&experiments={experiments}", f"Comparing {NIGHTS} Runs")
        plot.locator(".parcoords-lines, canvas, svg").first.wait_for(timeout=WAIT)
        print(
            f"\nMLflow compares {NIGHTS} nights {time.perf_counter() - begun:.1f} s after it is asked the {times} time"
        )
    not_empty(plot)
    assert seen.page.get_by_text("arms.post_off_heldout.em").first.is_visible()  # a headline, not the seed
    keep(seen.page, "mlflow-compare")
    seen.no_errors(KNOWN)


def test_a_night_shows_its_verdict_its_data_and_its_plots(nights: tuple[str, str, list[str]], watched: Open) -> None:
    seen = watched()
    go(seen, f"{nights[0]}/runs/{nights[2][0]}", "demo night 10")
    seen.page.get_by_text("Promoted to champion.").or_(seen.page.get_by_text("Not promoted")).first.wait_for(
        timeout=WAIT
    )
    seen.page.get_by_text("episodic generation 10").first.wait_for(timeout=WAIT)
    go(seen, f"{nights[0]}/runs/{nights[2][0]}/artifacts/plots/arms.png", "arms.png")
    picture = seen.page.locator("img[src^='blob:'], img[src*='arms.png'], img[src*='artifact']").first
    picture.wait_for(timeout=WAIT)
    not_empty(picture)
    seen.no_errors(KNOWN)


def test_a_version_tells_what_it_was_made_from(nights: tuple[str, str, list[str]], watched: Open) -> None:
    seen = watched()
    base = nights[0].partition("/#")[0]
    go(seen, f"{base}/#/models/engram-embedded/versions/{NIGHTS}", f"store_generation {NIGHTS}")
    seen.page.get_by_role("link", name=f"demo night {NIGHTS}").first.wait_for(timeout=WAIT)  # the run that trained it
    seen.no_errors(KNOWN)
