"""What Prefect's pages show of a finished stage and night: figures as Markdown, guards as a table, links to MLflow."""

from __future__ import annotations

import re
from contextlib import suppress

from pipeline.artifacts import RunFolder, StageResult, read_json
from pipeline.config import FlowConfig
from pipeline.report.markdown import escape
from pipeline.services.dashboard import dashboard, run_page
from pipeline.tracking.flatten import flat_metrics
from pipeline.tracking.stages import TrackedStage

_MOST = 40  # figures of a stage that are shown; MLflow has all of them
_PLOT = re.compile(r"!\[([^\]]*)\]\((plots/[^)]+)\)")


def publish_stage(folder: RunFolder, config: FlowConfig, result: StageResult, tracked: TrackedStage) -> None:
    """Show a stage, and after the last one the night, in Prefect's UI; nothing happens outside of a task run."""
    from prefect.artifacts import create_markdown_artifact
    from prefect.context import TaskRunContext

    if TaskRunContext.get() is None:
        return
    with suppress(Exception):  # the UI is a convenience, the night is not
        address = dashboard(config.tracking, config.root)
        links = _links(address, tracked)
        text = stage_markdown(result, links)
        create_markdown_artifact(text, key=result.stage.replace("_", "-"), description=f"Run {folder.run_id}")
        if result.stage == "report":
            _publish_night(folder, links)


def _links(address: str | None, tracked: TrackedStage) -> dict[str, str]:
    """Pages of the stage and the night in MLflow; none where nobody serves them."""
    if address is None or tracked.experiment_id is None or tracked.run_id is None or tracked.night_id is None:
        return {}
    return {
        "stage": run_page(address, tracked.experiment_id, tracked.run_id),
        "night": run_page(address, tracked.experiment_id, tracked.night_id),
    }


def stage_markdown(result: StageResult, links: dict[str, str]) -> str:
    """Where a stage ran, how long it took, what it wrote, and its figures."""
    how = f"reused, ran {result.seconds:.1f} s" if result.cached else f"{result.seconds:.1f} s"
    memory = f", {result.peak_memory_bytes / 2**30:.2f} GiB at most" if result.peak_memory_bytes else ""
    lines = [f"## {result.stage}: {how} on {result.worker}{memory}", ""]
    if links:
        lines += [f"[This stage in MLflow]({links['stage']}) · [the night in MLflow]({links['night']})", ""]
    lines += [f"`{result.path}`, digest `{result.digest[:16]}`", ""]
    figures = flat_metrics(result.metrics)
    if figures:
        lines += ["| figure | value |", "|---|---|"]
        lines += [f"| {escape(name)} | {value:.4g} |" for name, value in list(figures.items())[:_MOST]]
        lines += [f"| … | {len(figures) - _MOST} more in MLflow |"] if len(figures) > _MOST else []
    return "\n".join(lines)


def night_markdown(text: str, links: dict[str, str]) -> str:
    """``report.md`` for a page that cannot load its plots: links to MLflow in their place, or their names alone."""

    def plot(found: re.Match[str]) -> str:
        target = f"{links['night']}/artifacts/{found.group(2)}" if links else None
        return f"[Plot: {found.group(1)}]({target})" if target else f"Plot: `{found.group(2)}`"

    head = f"[This night in MLflow]({links['night']})\n\n" if links else ""
    return head + _PLOT.sub(plot, text)


def _publish_night(folder: RunFolder, links: dict[str, str]) -> None:
    from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

    guards = read_json(folder.path / "report.json")["guards"]
    create_table_artifact(guards, key="guards", description=f"Run {folder.run_id}")
    text = (folder.path / "report.md").read_text(encoding="utf-8")
    create_markdown_artifact(night_markdown(text, links), key="night", description=str(folder.path))
    if links:
        create_link_artifact(links["night"], link_text=f"{folder.run_id} in MLflow", key="mlflow")
