"""How a night's tasks are called: plainly in this process, as Prefect tasks, or on the worker of pool ``cuda``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from prefect import Task

from pipeline.artifacts import RunFolder, stage_results
from pipeline.errors import ServiceError
from pipeline.progress import Quiet, Terminal

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

Result = dict[str, Any]
"""One stage's result: ``pipeline.artifacts.StageResult`` as a dictionary; paths and digests, no data."""

Call = Callable[..., Result]
"""``call(task, *earlier results)`` runs one task and returns its result."""

GPU_DEPLOYMENT = "gpu-stages/cuda"
GPU_SLOT = "gpu:0"
POLL_SECONDS = 2.0
LEASE_SECONDS = 90.0  # a killed run gives its GPU back after that; the lease is renewed while it lives


def by_stage(results: tuple[Result, ...] | list[Result]) -> dict[str, Result]:
    """Results under their stages' names."""
    return {result["stage"]: result for result in results}


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


def on_cuda_worker(run: RunFolder, *earlier: Result) -> list[Result]:
    """Run the GPU stages on the worker of pool ``cuda`` and wait for them.

    The key holds this flow run's attempt: Prefect would answer a repeated key with the old, failed run.

    Raises:
        ServiceError: The child run did not complete; Prefect itself does not raise then.
    """
    from prefect.deployments import run_deployment
    from prefect.runtime import flow_run

    child = cast(
        "FlowRun",  # the coroutine is for callers inside an event loop
        run_deployment(
            GPU_DEPLOYMENT,
            parameters={"run": str(run.path), "earlier": list(earlier), "slot": GPU_SLOT},
            idempotency_key=f"{run.run_id}/{flow_run.id}/{flow_run.run_count}",
            flow_run_name=run.run_id,
            timeout=None,
            poll_interval=POLL_SECONDS,
        ),
    )
    state = child.state
    if state is None or not state.is_completed():
        found = f"{state.name}: {state.message}" if state else "no state"
        raise ServiceError(
            f"{GPU_DEPLOYMENT} run {child.name} ended as {found}; see `prefect flow-run logs {child.id}`, "
            "then start the same run again: finished stages are kept"
        )
    done = stage_results(run)
    return [done[name].to_dict() for name in ("sleep_distil", "lora_train", "evaluate")]


@contextmanager
def occupied(slot: str | None) -> Iterator[None]:
    """Hold one slot of a strict global concurrency limit, so that a GPU never serves two runs; None holds nothing."""
    if slot is None:
        yield
        return
    from prefect.concurrency.sync import concurrency

    with concurrency(slot, strict=True, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False):
        yield
