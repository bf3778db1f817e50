"""Prefect's own pages after a night: its run, its tasks, an artifact a stage with a way to MLflow, the schedules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows.consolidation import consolidation
from pipeline.services.api import PrefectServer
from pipeline.services.processes import State
from tests.stages.nights import SMALL, ScriptedNight
from tests.system.conftest import Open, TenNights, address, keep

pytestmark = pytest.mark.filterwarnings("ignore")  # Prefect's own dependencies warn
WAIT = 120_000  # ms on two busy cores
KNOWN = (  # what Prefect's own pages do
    "Invalid TaskInputResponse",  # they do not know an input that is a flow's result, as of the inline gpu-stages
    "/ico/undefined.svg",  # an icon for the same
)
STAGES = ("teach", "persist-store", "replay-sample", "sleep-distil", "lora-train", "evaluate", "promote", "report")


@pytest.fixture(scope="module")
def flow_run(ten_nights: TenNights, services: State) -> Iterator[str]:
    """The id of a scripted night that ran as a flow of the running server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    server = PrefectServer(int(address(services, "prefect").rpartition(":")[2]))
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: server.url}):
        patch.setenv("ENGRAM_HOME", str(ten_nights.root))
        ScriptedNight(patch)
        consolidation(deployment="episodic", overrides=[*SMALL, "seed=7"])
        found = [run for run in server.flow_runs(10) if run["parameters"].get("overrides")]
        yield str(found[0]["id"])


def test_a_night_and_its_stages(flow_run: str, services: State, watched: Open) -> None:
    seen = watched()
    seen.page.goto(f"{address(services, 'prefect')}/runs/flow-run/{flow_run}")
    seen.page.get_by_text("Completed").first.wait_for(timeout=WAIT)
    seen.page.locator("canvas").first.wait_for(timeout=WAIT)
    seen.page.wait_for_timeout(2000)  # ms until the graph is drawn
    keep(seen.page, "prefect-run")
    seen.no_errors(KNOWN)


def test_every_stage_left_an_artifact(flow_run: str, services: State, watched: Open) -> None:
    seen = watched()
    seen.page.goto(f"{address(services, 'prefect')}/artifacts")
    for key in (*STAGES, "guards", "night", "mlflow"):
        seen.page.get_by_text(key, exact=True).first.wait_for(timeout=WAIT)
    seen.no_errors(KNOWN)


def _newest_artifact(base: str, key: str) -> str:
    server = PrefectServer(int(base.rpartition(":")[2]))
    wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    return str(server.call("POST", "/artifacts/filter", wanted)[0]["id"])


@pytest.mark.parametrize("key", ["lora-train", "night", "guards"])
def test_an_artifact_reads_well_and_leads_to_mlflow(flow_run: str, services: State, watched: Open, key: str) -> None:
    seen = watched()
    base = address(services, "prefect")
    seen.page.goto(f"{base}/artifacts/artifact/{_newest_artifact(base, key)}")
    seen.page.locator("table").first.wait_for(timeout=WAIT)
    if key != "guards":
        link = seen.page.get_by_role("link", name="night in MLflow").first
        link.wait_for(timeout=WAIT)
        assert str(link.get_attribute("href")).startswith(f"{address(services, 'mlflow')}/#/experiments/")
    if key == "night":
        assert seen.page.locator("main img, .markdown img").count() == 0  # the page could not load them
    seen.no_errors(KNOWN)


def test_the_schedule_of_the_night_is_there(flow_run: str, services: State, watched: Open) -> None:
    seen = watched()
    seen.page.goto(f"{address(services, 'prefect')}/deployments")
    seen.page.get_by_placeholder("Search deployments").fill("nightly")
    seen.page.get_by_text("nightly", exact=True).first.wait_for(timeout=WAIT)
    seen.page.get_by_text("4:15").first.wait_for(state="attached", timeout=WAIT)  # in a tag that opens on hover
    seen.no_errors(KNOWN)
