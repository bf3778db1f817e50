"""One night: what was lived by day moves from the memory into the adapter, and has to prove itself.

teach ─▶ persist_store ─▶ replay_sample ─▶ sleep_distil ─▶ lora_train ─▶ evaluate ─▶ promote ─▶ report
└────────── pool `cpu` ───────────────┘   └──────── gpu-stages, pool `cuda` ──────┘  └── `cpu` ──┘

engram run consolidation/episodic                               in this process, without a server
prefect deployment run consolidation/episodic --watch           through the workers, after `make up`
"""

from __future__ import annotations

from typing import Any, Literal

from prefect import flow

from pipeline.progress import Quiet, Terminal
from pipeline.stages.month import nights_before
from pipeline.stages.night import Night, begin
from tasks.evaluate import evaluate
from tasks.lora_train import lora_train
from tasks.persist_store import persist_store
from tasks.placement import Call, Result, inline, occupied, on_cuda_worker, through_prefect
from tasks.promote import promote
from tasks.replay_sample import replay_sample
from tasks.report import report
from tasks.sleep_distil import sleep_distil
from tasks.teach import teach


def by_day(call: Call) -> tuple[Result, Result, Result]:
    """What happens before sleep; the arguments of each task are what it reads."""
    taught = call(teach)
    stored = call(persist_store, taught)
    replayed = call(replay_sample, stored)
    return taught, stored, replayed


def asleep(call: Call, taught: Result, stored: Result, replayed: Result) -> tuple[Result, Result, Result]:
    """What needs the language model; training never receives ``taught``, where the test questions lie."""
    targets = call(sleep_distil, stored, replayed)
    adapter = call(lora_train, stored, replayed, targets)
    answers = call(evaluate, taught, stored, targets, adapter)
    return targets, adapter, answers


def by_morning(call: Call, *night: Result) -> Result:
    """Judge and report everything that happened."""
    verdict = call(promote, *night)
    return call(report, *night, verdict)


def run_inline(night: Night, shown: Terminal | Quiet) -> Result:
    """The whole night in this process, as plain functions; what ``engram run`` does. Of a month, every night."""
    for earlier in nights_before(night):
        _one_inline(earlier, shown)
    return _one_inline(night, shown)


def _one_inline(night: Night, shown: Terminal | Quiet) -> Result:
    call = inline(night.run, shown)
    day = by_day(call)
    return by_morning(call, *day, *asleep(call, *day))


@flow(name="gpu-stages", persist_result=False)
def gpu_stages(run: str, earlier: list[dict[str, Any]], slot: str | None = None) -> list[dict[str, Any]]:
    """Distil, train and examine, each as its own task.

    Args:
        run: Path of the run's folder.
        earlier: Results of teach, persist_store and replay_sample.
        slot: Global concurrency limit to hold meanwhile.
    """
    with occupied(slot):
        return list(asleep(through_prefect(run), *earlier))


@flow(name="consolidation", persist_result=False)
def consolidation(
    deployment: str = "episodic",
    placement: Literal["inline", "workers"] = "inline",
    overrides: list[str] | None = None,
    run_id: str | None = None,
    from_stage: str | None = None,
) -> dict[str, Any]:
    """One night as a Prefect flow.

    Args:
        deployment: Which file of configs/consolidation/ to use.
        placement: ``workers`` sends the GPU stages to pool ``cuda``; ``inline`` keeps them here.
        overrides: Settings such as ``suite.n=8``.
        run_id: A new run's name, or an unfinished run to take up; null resumes or chooses.
        from_stage: Run this stage and all later ones again.
    """
    settings = [*(overrides or []), f"placement={placement}"]
    with begin(f"consolidation/{deployment}", settings, run_id=run_id, start=from_stage) as night:
        for earlier in nights_before(night):
            _one_through_prefect(earlier, placement)
        _one_through_prefect(night, placement)
        return night.outcome()


def _one_through_prefect(night: Night, placement: Literal["inline", "workers"]) -> None:
    path = str(night.run.path)
    call = through_prefect(path)
    day = by_day(call)
    slept = on_cuda_worker(night.run, *day) if placement == "workers" else gpu_stages(path, list(day))
    by_morning(call, *day, *slept)
