"""How the last night went, at a glance: verdict, headline figures, what changed since the one before. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import EngramError

if TYPE_CHECKING:
    from pipeline.artifacts import RunFolder
    from pipeline.report.base import RunReport

_SHOWN = (
    ("arms.post_off_heldout.em", "EM, unseen phrasings"),
    ("arms.post_off.em", "EM, taught phrasings"),
    ("sanity.delta", "general questions"),
    ("drift.kl_base", "drift, nats a token"),
    ("takeover", "takeover"),
    ("store.size", "memories in the store"),
    ("accuracy.after_sleep.mean", "accuracy after sleep"),
)


@dataclass(frozen=True)
class Figure:
    """One headline figure of the last night, and of the one before if it has it."""

    title: str
    value: float
    before: float | None


@dataclass(frozen=True)
class LastNight:
    """The newest run, finished or not.

    Attributes:
        name: ``flow/deployment/run id``.
        state: ``running``, ``done``, ``failed`` or ``interrupted`` (its process is gone).
        verdict: In a few words; what went wrong, of a run that has no verdict.
        when: Start in local time, and how long it took.
        figures: Headlines of a finished run.
        report: Path of its page, if there is one.
        next_step: A command that helps, if something went wrong.
    """

    name: str
    state: str
    verdict: str
    when: str
    figures: tuple[Figure, ...] = ()
    report: Path | None = None
    next_step: str = ""


def last_night(root: Path) -> LastNight | None:
    """What became of the newest run below ``root``; None before the first."""
    from pipeline.artifacts import list_runs

    runs = list_runs(root)
    if not runs:
        return None
    run = runs[0]
    known = run.manifest()
    name = f"{known['flow']}/{known['deployment']}/{known['run_id']}"
    state = run_state(run)
    if state == "done":
        return _finished(run, name, runs[1:])
    again = f"engram run {known['flow']}/{known['deployment']} --run-id {known['run_id']}"
    verdict, step = {
        "running": (f"at work, {_progress(run)}", ""),
        "failed": (f"failed after {_progress(run)}: {_first_line(known.get('error'))}", again),
        "interrupted": (f"interrupted after {_progress(run)}; finished stages are kept", again),
    }[state]
    return LastNight(name, state, verdict, _when(known), next_step=step)


def run_state(run: RunFolder) -> str:
    """The state in the manifest, but ``interrupted`` for a run that says "running" and that no process owns."""
    import fcntl

    if run.state != "running":
        return run.state
    try:
        with (run.path / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return "interrupted"
    except OSError:
        return "running"
    return "interrupted"


def _finished(run: RunFolder, name: str, earlier: list[RunFolder]) -> LastNight:
    from pipeline.report.flows import load_any_report

    known = run.manifest()
    try:
        report = load_any_report(run.path)
    except EngramError as error:
        return LastNight(
            name, "done", f"finished, but its report cannot be read: {_first_line(str(error))}", _when(known)
        )
    failed = [guard.name for guard in report.guards if not guard.passed]
    verdict = "promoted to champion" if report.promoted else "not promoted"
    if failed:
        verdict += f": guard {', '.join(failed)} failed; the champion stayed as it was"
    same = next((r for r in earlier if r.path.parent == run.path.parent and r.state == "done"), None)
    page = run.path / "report.html"
    return LastNight(
        name,
        "done",
        verdict,
        _when(known),
        _figures(report, same),
        page if page.is_file() else None,
        f"engram compare {same.run_id} {run.run_id}" if same is not None else "",
    )


def _figures(report: RunReport, before: RunFolder | None) -> tuple[Figure, ...]:
    from pipeline.report.flows import load_any_report

    then: dict[str, float] = {}
    if before is not None:
        try:
            then = _numbers(load_any_report(before.path))
        except EngramError:
            then = {}
    now = _numbers(report)
    return tuple(Figure(title, now[name], then.get(name)) for name, title in _SHOWN if name in now)


def _numbers(report: RunReport) -> dict[str, float]:
    from statistics import fmean

    from pipeline.report.numbers import numbers_of

    numbers = numbers_of(report)
    tasks = [value for name, value in numbers.items() if name.startswith("accuracy.after_sleep.")]
    numbers |= {"accuracy.after_sleep.mean": fmean(tasks)} if tasks else {}
    return numbers | {name.removeprefix("telemetry."): value for name, value in numbers.items()}


def _progress(run: RunFolder) -> str:
    from pipeline.artifacts import stage_results
    from pipeline.stages.registry import stages_of

    names = stages_of(run.path.parts[-3]).names
    done = stage_results(run)
    return f"{sum(name in done for name in names)} of {len(names)} stages"


def _when(known: dict[str, str]) -> str:
    started = datetime.fromisoformat(known["started"])
    told = started.astimezone().strftime("%a %Y-%m-%d %H:%M")
    if not known.get("finished"):
        return f"started {told}"
    minutes = (datetime.fromisoformat(known["finished"]) - started).total_seconds() / 60
    return f"{told}, {minutes:.1f} min"


def _first_line(text: str | None) -> str:
    return (text or "no reason was recorded").splitlines()[0][:200]
