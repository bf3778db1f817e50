"""Stage ``promote``: judge the night by its guards; ``champion`` moves only if all of them pass.

Reads figures of validation images alone. Writes ``verdict.json``.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.columns.guards import verdicts
from pipeline.config import ColumnsConfig
from pipeline.progress import Progress
from pipeline.stages.registration import promote_network


def run(run: RunFolder, config: ColumnsConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.

    Raises:
        ServiceError: The registry cannot be reached.
    """
    return promote_network(run, config, inputs, progress, lambda figures: verdicts(figures, config.guards))
