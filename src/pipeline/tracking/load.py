"""Load of the machine while a stage runs: processor, memory, disk, network and GPU, sampled by MLflow's own monitor."""

from __future__ import annotations

import logging
from contextlib import suppress

from pipeline.tracking.store import quietly


class MachineLoad:
    """Samples until `stop`; a stage that is shorter than the interval still gets one sample, at its end.

    Args:
        run_id: MLflow's id of the run that gets ``system/…``; it has to be running.
        uri: Of the tracking store.
        seconds: Between samples.
    """

    def __init__(self, run_id: str, uri: str, seconds: float) -> None:
        with quietly(uri):
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)  # its thread outlives this block
            self._uri = uri
            self._monitor = SystemMetricsMonitor(
                run_id, sampling_interval=seconds, resume_logging=True, tracking_uri=uri
            )
            self._first = self._monitor._logging_step
            self._monitor.start()

    def stop(self) -> None:
        """Stop the thread and write what it holds; a sample that cannot be written is lost, the stage is not."""
        with suppress(Exception), quietly(self._uri):
            self._monitor._shutdown_event.set()
            if self._monitor._process is not None:
                self._monitor._process.join()
            if self._monitor._logging_step == self._first:
                self._monitor.collect_metrics()
                self._monitor.publish_metrics(self._monitor.aggregate_metrics())
            self._monitor.finish()
