"""How a night's tasks are called: plainly in this process, as Prefect tasks, or on the worker of pool ``cuda``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from prefect import Task

from pipeline.artifacts import RunFolder, stage_results
from pipeline.errors import ConfigError, ServiceError
from pipeline.progress import Quiet, Terminal
from pipeline.stages.registry import plan_run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

Result = dict[str, Any]
"""One stage's result: ``pipeline.artifacts.StageResult`` as a dictionary; paths and digests, no data."""

Call = Callable[..., Result]
"""``call(task, *earlier results)`` runs one task and returns its result."""

GPU_DEPLOYMENT = "gpu-stages/cuda"
GPU_STAGES = ("sleep_distil", "lora_train", "evaluate")
SLOT_VARIABLE = "ENGRAM_SLOT"  # set for each worker of pool cuda, see pipeline.services.workers
CHILD_ATTEMPTS = 3
REJECTED = "Rejected"
POLL_SECONDS = 2.0
LEASE_SECONDS = 90.0  # a killed run gives its GPU back after that; the lease is renewed while it lives


def by_stage(results: tuple[Result, ...] | list[Result]) -> dict[str, Result]:
    """Results under their stages' names."""
    return {result["stage"]: result for result in results}


class StageReached(Exception):
    """The one stage that was asked for (``--only``) is finished; raised to leave the flow, never seen by a person."""


def only_stage(call: Call, run: RunFolder, only: str | None) -> Call:
    """``call``, but for one stage alone: earlier ones have to be finished, and nothing follows.

    Args:
        call: How tasks are called.
        run: The run.
        only: The stage; None calls every task.
    """
    if only is None:
        return call
    finished = {planned.stage for planned in plan_run(run, run.config()) if planned.hit}

    def alone(task: Task[..., Result], *earlier: Result) -> Result:
        if task.name != only and task.name not in finished:
            raise ConfigError(f"stage {only} alone needs {task.name}, which is not finished here; leave out --only")
        result = call(task, *earlier)
        if task.name == only:
            raise StageReached(only)
        return result

    return alone


def inline(run: RunFolder, shown: Terminal | Quiet) -> Call:
    """Call tasks as plain functions: no server, no Prefect run, one progress bar a stage."""

    def call(task: Task[..., Result], *earlier: Result) -> Result:
        with shown.stage(task.name) as progress:
            return task.fn(str(run.path), by_stage(earlier), progress)

    return call


def through_prefect(run: str) -> Call:
    """Call tasks as Prefect task runs of the current flow run."""

    def call(task: Task[..., Result], *earlier: Result) -> Result:
        return task(run, by_stage(earlier))

    return call


def on_cuda_worker(run: RunFolder, *earlier: Result, only: str | None = None) -> list[Result]:
    """Run the GPU stages on a worker of pool ``cuda`` and wait for them; a child that crashes is started again.

    A child that an earlier, crashed attempt of this night left behind is waited for first: it works on the same run.

    Raises:
        ServiceError: The child run did not complete; Prefect itself does not raise then.
    """
    _outlive_orphans(run)
    for attempt in range(1, CHILD_ATTEMPTS + 1):
        child = _child(run, earlier, attempt, only)
        state = child.state
        if state is not None and state.is_completed():
            break
        found = f"{state.name}: {state.message}" if state else "no state"
        if state is None or not state.is_crashed() or attempt == CHILD_ATTEMPTS:
            raise ServiceError(
                f"{GPU_DEPLOYMENT} run {child.name} ended as {found}; see `prefect flow-run logs {child.id}`, "
                "then start the same run again: finished stages are kept"
            )
    done = stage_results(run)
    if only is not None:
        raise StageReached(only)
    return [done[name].to_dict() for name in GPU_STAGES]


def _child(run: RunFolder, earlier: tuple[Result, ...], attempt: int, only: str | None) -> FlowRun:
    """One attempt; its key is new, since Prefect would answer a repeated key with the old, failed run."""
    from prefect.deployments import run_deployment
    from prefect.runtime import flow_run

    child = run_deployment(
        GPU_DEPLOYMENT,
        parameters={"run": str(run.path), "earlier": list(earlier), "only": only},
        idempotency_key=f"{run.run_id}/{flow_run.id}/{flow_run.run_count}/{attempt}",
        flow_run_name=run.run_id,
        timeout=None,
        poll_interval=POLL_SECONDS,
    )
    return cast("FlowRun", child)  # the coroutine is for callers inside an event loop


def _outlive_orphans(run: RunFolder) -> None:
    """Wait until no child of an earlier attempt works on the run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.objects import StateType
    from prefect.logging import get_run_logger

    alive = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    wanted = FlowRunFilter.model_validate({"name": {"any_": [run.run_id]}, "state": {"type": {"any_": alive}}})
    with get_client(sync_client=True) as client:
        while orphans := client.read_flow_runs(flow_run_filter=wanted):
            get_run_logger().info("waiting for %s of an earlier attempt", ", ".join(str(o.id) for o in orphans))
            time.sleep(POLL_SECONDS)


@contextmanager
def occupied() -> Iterator[None]:
    """Hold the strict limit of this worker's GPU (``ENGRAM_SLOT``), so that it never serves two runs; else nothing."""
    slot = os.environ.get(SLOT_VARIABLE)
    if not slot:
        yield
        return
    from prefect.concurrency.sync import concurrency

    with concurrency(slot, strict=True, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False):
        yield


def warn(text: str) -> None:
    """One line in the log of the current flow run."""
    from prefect.logging import get_run_logger

    get_run_logger().warning(text)


def judged(outcome: dict[str, Any]) -> Any:
    """How a flow run ends: ``Completed``, or ``Rejected``, also of type COMPLETED, when a guard failed.

    deployments/automations.yaml pages on the second.
    """
    if outcome["promoted"] or not outcome["failed_guards"]:
        return outcome
    from prefect.states import Completed

    told = ", ".join(outcome["failed_guards"])
    return Completed(name=REJECTED, message=f"guards failed: {told}; the champion stays as it was", data=outcome)
