"""Stage ``promote``: judge the run by its guards; ``champion`` moves only if all of them pass.

Reads figures of validation keys and text alone. Writes ``verdict.json``.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.progress import Progress
from pipeline.sleepwake.guards import verdicts
from pipeline.stages.registration import promote_network


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.

    Raises:
        ServiceError: The registry cannot be reached.
    """
    return promote_network(
        run,
        config,
        inputs,
        progress,
        lambda figures: verdicts(figures, config.guards),
        trained="sleep",
        stored="later_cycles",
    )
