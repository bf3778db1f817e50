"""Stage ``promote``: judge the run by its guards; ``champion`` moves only if all of them pass.

Reads figures of validation sequences alone. Writes ``verdict.json``.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.needle import NeedleConfig
from pipeline.needle.guards import verdicts
from pipeline.progress import Progress
from pipeline.stages.registration import promote_network
from pipeline.stages.registry import opened


def run(run: RunFolder, config: NeedleConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.

    Raises:
        ServiceError: The registry cannot be reached.
    """
    with opened(run, config, "promote", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("judging the guards")
        judged = verdicts(inputs["wake_train"].metrics["guard_figures"], config.guards)
        promote_network(stage, run, config, inputs, judged, progress, trained="wake_train")
    return stage.result
