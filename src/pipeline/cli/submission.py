"""Hand a night to the workers of `engram up`, and watch it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pipeline.config import check_name
from pipeline.errors import EngramError, ServiceError
from pipeline.services import processes
from pipeline.services.api import ENDED, PrefectServer
from pipeline.services.layout import Layout
from pipeline.services.running import prefect_server
from pipeline.stages.registry import stages_of
from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.artifacts import RunFolder
    from pipeline.config import FlowConfig

POLL_SECONDS = 2.0


def submit(
    console: Console,
    config: FlowConfig,
    overrides: tuple[str, ...],
    run_id: str | None,
    start: str | None,
    only: str | None = None,
) -> RunFolder:
    """Create a flow run of the deployment, show its tasks as they end, and return the finished run's folder.

    Everything that can be known to be wrong is refused before a flow run exists: the configuration was loaded, which
    judges every setting, and names of runs and stages are looked at here; the server compares what is left with the
    flow's schema.

    Raises:
        ConfigError: A stage or a run's name that cannot be.
        ServiceError: No server runs for this artifact root, or the flow run did not complete.
    """
    for stage in filter(None, (start, only)):
        stages_of(config.flow).spec(stage)
    if run_id is not None:
        check_name(run_id, "run id")
    server = _server(config)
    name = f"{config.flow}/{config.deployment}"
    deployment = server.call("GET", f"/deployments/name/{name}", missing_ok=True)
    if deployment is None:
        raise ServiceError(f"the server knows no deployment {name}; run `engram down`, then `engram up`")
    parameters = deployment["parameters"] | {
        "overrides": list(overrides),
        "run_id": run_id,
        "from_stage": start,
        "only": only,
    }
    request = {"parameters": parameters, "idempotency_key": uuid4().hex}  # a repeated request makes no second run
    run = server.call("POST", f"/deployments/{deployment['id']}/create_flow_run", request)
    console.print(f"flow run [cyan]{run['name']}[/cyan]: {server.url.removesuffix('/api')}/runs/flow-run/{run['id']}")
    with console.status("waiting for the workers; Ctrl-C stops watching, not the run"):
        ended = _watch(console, server, run["id"], stages_of(config.flow).names)
    if ended["state"]["type"] != "COMPLETED":
        raise ServiceError(f"flow run {run['name']} ended as {ended['state']['name']}: {ended['state']['message']}")
    return _folder(config, finished=only is None)


def _server(config: FlowConfig) -> PrefectServer:
    server = prefect_server(processes.read_state(Layout(config.root.resolve())))
    if server is None:
        raise ServiceError(
            f"placement=workers needs the services, and none run below {config.root}; start them with `engram up`"
        )
    return server


def _watch(console: Console, server: PrefectServer, run_id: str, stages: tuple[str, ...]) -> dict[str, Any]:
    """Poll until the run has ended; print each task once when it is done."""
    told: set[str] = set()
    while True:
        run: dict[str, Any] = server.call("GET", f"/flow_runs/{run_id}")
        for task in _tasks(server, run_id):
            name = task["name"].rsplit("-", 1)[0]
            if name in stages and task["id"] not in told and task["state_type"] in ENDED:
                told.add(task["id"])
                console.print(f"{task['state_name'].lower():>9}  {name}  [dim]{task['total_run_time']:.1f} s[/dim]")
        if run["state"]["type"] in ENDED:
            return run
        time.sleep(POLL_SECONDS)


def _tasks(server: PrefectServer, run_id: str) -> list[dict[str, Any]]:
    """Task runs of a flow run and of its children, in order of their end."""
    children = server.call("POST", "/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}})
    ids = [run_id, *(child["id"] for child in children)]
    found = server.call("POST", "/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": ids}}})
    return sorted(found, key=lambda task: task["end_time"] or "")


def _folder(config: FlowConfig, finished: bool) -> RunFolder:
    """The run that the workers finished, or stopped after one stage."""
    from pipeline.artifacts import list_runs
    from pipeline.config import config_hash

    digest = config_hash(config)
    for run in list_runs(config.root, config.flow, config.deployment):
        if run.config_hash == digest and (run.state == "done") == finished:
            return run
    raise EngramError(f"the flow run completed, but no finished run of these settings lies below {config.root}")
