"""Stage ``pretrain_codebook``: learn to write pictures as codes, where ``parts.measured`` asks for the codebook.

Writes ``codebook.safetensors``; nothing where it is not asked for. Stage ``evaluate`` measures it.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.progress import Progress
from pipeline.sleepwake.building import device_of, save_model
from pipeline.stages.registry import opened

CODEBOOK = "codebook.safetensors"


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: None is read.
        progress: Reports parts of the work.

    Raises:
        DataError: The images are nowhere, or too few.
        TrainingError: An error is not finite.
    """
    with opened(run, config, "pretrain_codebook", inputs) as stage:
        if stage.hit:
            return stage.result
        stage.metrics = {"trained": "codebook" in config.parts.measured}
        if stage.metrics["trained"]:
            from pipeline.sleepwake.codebook_measures import images_of, trained_codebook

            part = config.parts.codebook
            images = images_of(part).training
            book, seconds = trained_codebook(images, part, config.seed, device_of(config), progress)
            stage.add(save_model(book, stage.folder / CODEBOOK))
            stage.metrics["seconds"] = seconds
    return stage.result
