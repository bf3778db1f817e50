"""One MLflow run per night, found again by the run folder's name: a resumed night goes on in the same MLflow run.

tracker = open_tracker(config, run.path)     # in every process of a night, the parent first
tracker.log_params(config_dict(config))
tracker.log_steps(steps)
tracker.log_metrics(report.to_json())
tracker.finish("FINISHED")
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.config import FlowConfig, config_hash
from pipeline.tracking.flatten import flat_metrics, flat_params, metric_name, split_fine
from pipeline.tracking.protocol import NoTracker, Status, Tracker
from pipeline.tracking.registry import SLOW, champion_path, champion_version, move_champion, register
from pipeline.tracking.store import experiment_id, open_client, quietly, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_TAG, KIND_TAG, STAGE_TAG = "engram.run", "engram.kind", "engram.stage"
"""Which run folder an MLflow run mirrors; whether it is a night or a stage of one; and which stage."""
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"  # the description that MLflow's pages show, Markdown
_METRICS, _PARAMS, _DIGEST = 1000, 100, 36  # MLflow's limits of a batch, and of a data set's digest


class MlflowTracker:
    """A night's run in MLflow.

    Args:
        client: Of tracking store and registry.
        uri: Where both are, for messages.
        run_id: MLflow's id of the run.
        root: The artifact root, to which registered adapters are relative.
        experiment_id: MLflow's id of the experiment.
    """

    def __init__(self, client: MlflowClient, uri: str, run_id: str, root: Path, experiment_id: str) -> None:
        self._client, self._uri, self._root = client, uri, root
        self._run_id, self._experiment_id = run_id, experiment_id

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return self._run_id

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment."""
        return self._experiment_id

    @property
    def client(self) -> MlflowClient:
        """Of tracking store and registry."""
        return self._client

    @property
    def uri(self) -> str:
        """Where both are."""
        return self._uri

    def at(self, run_id: str) -> MlflowTracker:
        """The same store, another run of the same experiment."""
        return MlflowTracker(self._client, self._uri, run_id, self._root, self._experiment_id)

    def log_params(self, config: Mapping[str, Any]) -> None:
        """See `Tracker`; a parameter never changes, so only those that are missing are logged."""
        with quietly(self._uri):
            from mlflow.entities import Param

            known = self._client.get_run(self._run_id).data.params
            missing = [Param(name, text) for name, text in flat_params(config).items() if name not in known]
            for start in range(0, len(missing), _PARAMS):
                self._client.log_batch(self._run_id, params=missing[start : start + _PARAMS])

    def log_metrics(self, figures: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        with quietly(self._uri):
            known = self._client.get_run(self._run_id).data.metrics
            changed = {name: value for name, value in flat_metrics(figures).items() if known.get(name) != value}
            self._log([(name, value, 0) for name, value in changed.items()])

    def log_report(self, figures: Mapping[str, Any]) -> None:
        """See `Tracker`; without a run of that stage, all goes to the night's."""
        told, fine = split_fine(flat_metrics(figures))
        with quietly(self._uri):
            stage = self.stage_run("evaluate")
        self.log_metrics(told)
        (self if stage is None else self.at(stage.info.run_id)).log_metrics(fine)

    def stage_run(self, name: str) -> Run | None:
        """The run of one of the night's stages, if there is one."""
        filters = f"tags.`{PARENT_TAG}` = '{self._run_id}' and tags.`{STAGE_TAG}` = '{name}'"
        found = self._client.search_runs([self._experiment_id], filter_string=filters, max_results=1)
        return found[0] if found else None

    def log_steps(self, steps: pa.Table, prefix: str = "train") -> None:
        """See `Tracker`."""
        numeric = [f.name for f in steps.schema if _is_number(f.type) and f.name != "step"]
        numbers = steps.column("step").to_pylist()
        with quietly(self._uri):
            points: list[tuple[str, float, int]] = []
            for column in numeric:
                name = metric_name(f"{prefix}.{column}")
                known = {point.step for point in self._client.get_metric_history(self._run_id, name)}
                values = zip(numbers, steps.column(column).to_pylist(), strict=True)
                points += [
                    (name, float(v), s) for s, v in values if s not in known and v is not None and np.isfinite(v)
                ]
            self._log(points)

    def _log(self, points: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in points]
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(self._run_id, metrics=metrics[start : start + _METRICS])

    def log_inputs(self, digests: Mapping[str, str], context: str, tags: bool = True) -> None:
        """See `Tracker`; MLflow keeps 36 characters, the whole digest stands in a tag."""
        with quietly(self._uri):
            from mlflow.entities import Dataset, DatasetInput, InputTag

            known = {
                (i.dataset.name, i.dataset.digest) for i in self._client.get_run(self._run_id).inputs.dataset_inputs
            }
            inputs = [
                DatasetInput(Dataset(name, digest[:_DIGEST], "local", "{}"), [InputTag("mlflow.data.context", context)])
                for name, digest in digests.items()
                if (name, digest[:_DIGEST]) not in known
            ]
            if inputs:
                self._client.log_inputs(self._run_id, inputs)
        if tags:
            self.set_tags({f"sha256.{metric_name(name)}": digest for name, digest in digests.items()})

    def rename(self, name: str) -> None:
        """See `Tracker`."""
        with quietly(self._uri):
            self._client.update_run(self._run_id, name=name)

    def log_artifacts(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """See `Tracker`."""
        with quietly(self._uri):
            for path in paths:
                if path.is_dir():
                    target = f"{folder}/{path.name}" if folder else path.name
                    self._client.log_artifacts(self._run_id, str(path), target)
                else:
                    self._client.log_artifact(self._run_id, str(path), folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""
        with quietly(self._uri):
            from mlflow.entities import RunTag

            self._client.log_batch(self._run_id, tags=[RunTag(name, text) for name, text in tags.items()])

    def register_adapter(
        self, path: Path, name: str, slow: Path | None = None, lineage: Mapping[str, str] | None = None
    ) -> int | None:
        """See `Tracker`; the files are copied to the run's artifacts first."""
        with quietly(self._uri):
            self._client.log_artifacts(self._run_id, str(path), "adapter")
            if slow is not None:
                self._client.log_artifacts(self._run_id, str(slow), SLOW)
            uri = f"{self._client.get_run(self._run_id).info.artifact_uri}/adapter"
            return register(self._client, self._root, self._run_id, path, name, uri, slow, lineage)

    def promote(self, name: str, version: int | None) -> bool:
        """See `Tracker`."""
        if version is None:
            return False
        with quietly(self._uri):
            move_champion(self._client, name, version)
        return True

    def champion(self, name: str) -> Path | None:
        """See `Tracker`."""
        with quietly(self._uri):
            return champion_path(self._client, self._root, name)

    def champion_version(self, name: str) -> int | None:
        """See `Tracker`."""
        with quietly(self._uri):
            return champion_version(self._client, name)

    def finish(self, status: Status = "FINISHED") -> None:
        """See `Tracker`."""
        with quietly(self._uri):
            self._client.set_terminated(self._run_id, status)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def open_tracker(config: FlowConfig, run_folder: Path) -> Tracker:
    """Start the MLflow run of a night, or take up the one that it began before a crash.

    Args:
        config: Its ``tracking`` section says where; its ``root`` is where the database lies by default.
        run_folder: ``runs/<flow>/<deployment>/<run id>``.

    Raises:
        ServiceError: MLflow cannot be reached or opened.
    """
    if not config.tracking.enabled:
        return NoTracker()
    uri = tracking_uri(config.tracking, config.root)
    client = open_client(uri)
    key = f"{config.flow}/{config.deployment}/{run_folder.name}"
    with quietly(uri):
        experiment = experiment_id(client, experiment_name(config), uri, config.root)
        found = client.search_runs([experiment], filter_string=f"tags.`{RUN_TAG}` = '{key}'", max_results=1)
        if found:
            run_id = found[0].info.run_id
            client.update_run(run_id, status="RUNNING")
        else:
            name = f"{config.deployment} {run_folder.name}"
            run_id = client.create_run(experiment, tags=_tags(config, key), run_name=name).info.run_id
    return MlflowTracker(client, uri, str(run_id), config.root, experiment)


def experiment_name(config: FlowConfig) -> str:
    """The experiment of a flow: nights of one flow have the same figures, so one table compares them all."""
    return f"{config.tracking.experiment}/{config.flow}"


def _tags(config: FlowConfig, key: str) -> dict[str, str]:
    """By what nights are found and grouped."""
    told = {
        "flow": config.flow,
        "deployment": config.deployment,
        "seed": str(config.seed),
        "placement": config.placement,
        "config_hash": config_hash(config),
    }
    told |= {"session": config.session} if config.session else {}
    return {RUN_TAG: key, KIND_TAG: "night"} | {f"engram.{name}": text for name, text in told.items()}
