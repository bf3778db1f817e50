"""Take an item's text out of the MLflow run of a night: its tags, and the files that were copied there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifacts import RunFolder, stage_results
from pipeline.artifacts.redaction import TEXT_FILES, Redaction, redact_file
from pipeline.config import FlowConfig
from pipeline.errors import StoreError
from pipeline.tracking.stages import DIGEST_TAG
from pipeline.tracking.store import open_client, quietly, tracking_uri
from pipeline.tracking.tracker import PARENT_TAG, RUN_TAG, STAGE_TAG, experiment_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

REPLACED = ("report.json", "report.md", "report.html", "config.yaml")


def erase_tracked(run: RunFolder, config: FlowConfig, rules: Redaction) -> bool:
    """Bring a finished run's copy in MLflow up to its files on disk, and blank what else tells of the item.

    Digests in tags follow the files. False for a run that was not tracked.

    Raises:
        ServiceError: MLflow cannot be reached.
        StoreError: A parameter holds the text, which MLflow never lets go of but with its run.
    """
    uri = tracking_uri(config.tracking, run.root)
    local = uri.startswith("sqlite:///")
    if not config.tracking.enabled or (local and not Path(uri.removeprefix("sqlite:///")).is_file()):
        return False
    client = open_client(uri)
    key = f"{config.flow}/{config.deployment}/{run.run_id}"
    with quietly(uri):
        names = (experiment_name(config), config.tracking.experiment)  # the latter held the nights of older versions
        experiments = [known.experiment_id for name in names if (known := client.get_experiment_by_name(name))]
        if not experiments:
            return False
        filters = f"tags.`{RUN_TAG}` = '{key}'"
        found = list(client.search_runs(experiments, filter_string=filters, max_results=10))
        found += [stage for night in found for stage in _stages(client, experiments, night.info.run_id)]
        for tracked in found:
            run_id = tracked.info.run_id
            if held := [name for name, value in tracked.data.params.items() if rules.found_in(value)]:
                raise StoreError(
                    f"parameter {held[0]} of MLflow run {run_id} holds the text; delete that run in MLflow, "
                    "then repeat the command"
                )
            _renew_files(client, run_id, run, rules)
            _renew_tags(client, run_id, tracked.data.tags, run, rules)
    return bool(found)


def _stages(client: MlflowClient, experiments: list[str], night: str) -> list[Run]:
    """The runs below a night's."""
    return list(client.search_runs(experiments, filter_string=f"tags.`{PARENT_TAG}` = '{night}'"))


def _renew_files(client: MlflowClient, run_id: str, run: RunFolder, rules: Redaction) -> None:
    for name in REPLACED:
        if (run.path / name).is_file() and any(file.path == name for file in client.list_artifacts(run_id)):
            client.log_artifact(run_id, str(run.path / name))
    with tempfile.TemporaryDirectory() as scratch:
        for path in _others(client, run_id):
            copy = Path(client.download_artifacts(run_id, path, scratch))
            if redact_file(copy, rules):
                folder = str(Path(path).parent)
                client.log_artifact(run_id, str(copy), None if folder == "." else folder)


def _others(client: MlflowClient, run_id: str, folder: str | None = None) -> list[str]:
    """Paths of all other files that may hold text."""
    found: list[str] = []
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            found += _others(client, run_id, entry.path)
        elif entry.path not in REPLACED and Path(entry.path).suffix in TEXT_FILES | {".parquet"}:
            found.append(entry.path)
    return [path for path in found if Path(path).parts[0] != "adapter"]  # the registry compares it with its digest


def _renew_tags(client: MlflowClient, run_id: str, tags: dict[str, str], run: RunFolder, rules: Redaction) -> None:
    renewed = {name: rules.text(value) for name, value in tags.items()}
    for stage, result in stage_results(run).items():
        if f"sha256.{stage}" in tags:
            renewed[f"sha256.{stage}"] = result.digest
        if tags.get(STAGE_TAG) == stage and DIGEST_TAG in tags:
            renewed[DIGEST_TAG] = result.digest
    for name, value in renewed.items():
        if value != tags[name]:
            client.set_tag(run_id, name, value)
