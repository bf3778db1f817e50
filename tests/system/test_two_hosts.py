"""Two hosts share the nights of one server; one of them is lost in mid-run, and the night still ends rightly.

Hosts are network namespaces with addresses of their own on one bridge; the server keeps its state in PostgreSQL and
asks for a password; artifacts lie in a folder that all hosts mount.

Needs root, and of Debian: apt install iproute2 postgresql
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.artifacts import list_runs, stage_results
from pipeline.report.build import load_report
from tests.stages.nights import SMALL, ScriptedNight
from tests.system.hosts import HOLDING, REPOSITORY, Hosts, lacking

_LACKING = lacking()
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(_LACKING is not None, reason=str(_LACKING)),
    pytest.mark.filterwarnings("ignore"),
]
SETTINGS = [*SMALL, "tracking.enabled=false"]


@pytest.mark.parametrize("loss", ["killed", "unplugged"])
def test_a_night_survives_the_loss_of_its_host(
    loss: str, scripted_night: ScriptedNight, capsys: pytest.CaptureFixture[str]
) -> None:
    with Hosts(("alpha", "beta")) as hosts:
        _automate(hosts)
        hosts.start_revival()
        _deploy(hosts)
        for host in hosts.names:
            hosts.start_worker(host, "cpu")
        hosts.wait("both workers", 120, lambda: len(_online(hosts)) == 2)
        deployment = hosts.call("GET", "/deployments/name/consolidation/episodic")
        run = hosts.call("POST", f"/deployments/{deployment['id']}/create_flow_run", {})
        holding = hosts.root / HOLDING
        hosts.wait("the first half of the night", 240, lambda: holding.exists() and holding.read_text())
        lost = holding.read_text()
        (folder,) = list_runs(hosts.root)
        before = stage_results(folder)
        assert set(before) >= {"teach", "persist_store", "replay_sample"} and "lora_train" not in before

        hosts.unplug(lost)
        if loss == "killed":
            hosts.kill(lost)
        noticed = hosts.wait("the run to be marked as crashed", 240, lambda: "CRASHED" in _states(hosts, run["id"]))
        if loss == "unplugged":  # its night worked on unheard, and has ended itself before the server gave it away
            assert "this process ends, another host goes on" in hosts.log(lost)
        taken = hosts.wait("the night to end", 300, lambda: _state(hosts, run["id"]) == "COMPLETED")

        (folder,) = list_runs(hosts.root)
        ended = stage_results(folder)
        other = next(host for host in hosts.names if host != lost)
        assert folder.state == "done" and folder.manifest()["resumed"] == 1
        assert ended["lora_train"].worker == ended["report"].worker == other
        assert {name: ended[name].worker for name in before} == {name: before[name].worker for name in before}
        assert {before[name].worker for name in before} == {lost}
        if loss == "unplugged":
            hosts.plug(lost)
            hosts.wait("the lost host to be back", 90, lambda: len(_online(hosts)) == 2)
        found = load_report(folder.path)
        digests = {name: result.digest for name, result in ended.items()}
    undisturbed = scripted_night.run("tracking.enabled=false")
    assert found.arms == load_report(undisturbed.path).arms
    same = ("teach", "replay_sample", "sleep_distil", "lora_train", "evaluate")
    assert {name: digests[name] for name in same} == {name: stage_results(undisturbed)[name].digest for name in same}
    with capsys.disabled():
        print(f"\n{loss}: {lost} lost, crashed after {noticed:.0f} s, done by {other} after {taken:.0f} s more")


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


def _automate(hosts: Hosts) -> None:
    """Create what deployments/automations.yaml says of dead runs."""
    with (REPOSITORY / "deployments" / "automations.yaml").open() as file:
        (row,) = [row for row in yaml.safe_load(file)["automations"] if row["name"] == "crash-dead-runs"]
    hosts.call("POST", "/automations/", row)


def _deploy(hosts: Hosts) -> None:
    """Pool `cpu`, and the scripted flow on it, by the same file format that deployments/prefect.yaml has."""
    hosts.prefect("work-pool", "create", "cpu", "--type", "process")
    told: dict[str, Any] = {
        "name": "episodic",
        "entrypoint": "tests/system/scripted_flows.py:consolidation",
        "work_pool": {"name": "cpu"},
        "parameters": {"deployment": "episodic", "placement": "inline", "overrides": SETTINGS},
    }
    file = hosts.folder / "prefect.yaml"
    file.write_text(yaml.safe_dump({"name": "engram", "deployments": [told]}))
    hosts.prefect("deploy", "--all", "--prefect-file", str(file))


def _online(hosts: Hosts) -> list[str]:
    workers = hosts.call("POST", "/work_pools/cpu/workers/filter", {}) or []
    return [row["name"] for row in workers if row["status"] == "ONLINE"]


def _state(hosts: Hosts, run: str) -> str:
    found = hosts.call("GET", f"/flow_runs/{run}")
    return str(found["state_type"]) if found else ""


def _states(hosts: Hosts, run: str) -> list[str]:
    return [row["type"] for row in hosts.call("GET", f"/flow_run_states/?flow_run_id={run}") or []]
