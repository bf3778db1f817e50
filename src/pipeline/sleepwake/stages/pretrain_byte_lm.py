"""Stage ``pretrain_byte_lm``: learn bytes, and to recall what stood farther back than attention sees.

Writes ``model.safetensors``; ``steps.parquet`` with the losses of every step; ``patcher.json`` with the threshold at
which patches of bytes begin. Figures are of validation text and keys.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.sleepwake import PatchConfig
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.devices import device_name
from pipeline.progress import Progress
from pipeline.sleepwake.building import corpus_of, device_of, new_model, parameters, save_model
from pipeline.sleepwake.byte_model import entropies
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.patcher import fit_threshold, mean_patch, patch_sizes, patch_starts
from pipeline.sleepwake.pretraining import nats, pretrain, stream_recall
from pipeline.sleepwake.streams import recall_streams
from pipeline.sleepwake.text import Bytes, Corpus
from pipeline.stages.registry import opened

MODEL, STEPS_SCHEMA = "model.safetensors", "sleepwake-steps/1"
_NOTED = 25  # steps between live figures


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: None is read.
        progress: Reports parts of the work.

    Raises:
        TrainingError: A loss is not a number.
    """
    with opened(run, config, "pretrain_byte_lm", inputs) as stage:
        if stage.hit:
            return stage.result
        device, corpus = device_of(config), corpus_of(config)
        model = new_model(config, device)
        progress.phase("training", config.pretrain.steps)

        def told(step: int, row: dict[str, float]) -> None:
            progress.advance()
            if step % _NOTED == _NOTED - 1:
                progress.note(f"step {step + 1}: loss of text {row['loss.text']:.3f}")

        rows = pretrain(model, corpus.train, config.pretrain, config.seed, told)
        stage.add(save_model(model, stage.folder / MODEL))
        stage.write_table("steps", steps_table(rows), STEPS_SCHEMA)
        progress.phase("validation text")
        patches = patch_figures(model, corpus.validation, config.patches)
        stage.write_json("patcher.json", patches)
        stage.metrics = validation_figures(model, corpus, config) | {
            "steps": len(rows),
            "loss_first": rows[0]["loss"],
            "loss_last": rows[-1]["loss"],
            "parameters": parameters(model),
            "device": device_name(device),
            "patcher": {name: patches[name] for name in ("threshold", "mean_patch", "entropy_mean", "at_spaces")},
        }
    return stage.result


def validation_figures(model: SleepWakeModel, corpus: Corpus, config: SleepWakeConfig) -> dict[str, float]:
    """Nats of validation text, and recall in streams of validation keys with the memory and without it."""
    generator = np.random.default_rng([config.seed, *b"validation streams"])
    shape, count = config.pretrain.stream, config.evaluation.recall_streams
    drawn = recall_streams(generator, corpus.validation, "validation", shape, count)
    return {
        "nats": nats(model, corpus.validation),
        "nats_memory": nats(model, corpus.validation, memory=True),
        "recall_memory": stream_recall(model, drawn, memory=True),
        "recall_window": stream_recall(model, drawn, memory=False),
    }


def patch_figures(model: SleepWakeModel, text: Bytes, config: PatchConfig) -> dict[str, Any]:
    """The threshold fitted on the first half of a text, and what it gives on the second: means and histograms."""
    fitted, other = (_entropies(model, part) for part in np.array_split(text, 2))
    threshold = fit_threshold(fitted, config)
    starts = patch_starts(other, threshold, config)
    half = text[len(text) - len(text) // 2 :][: other.numel()]
    sizes = patch_sizes(starts).numpy()
    behind_space = np.concatenate([[False], (half == 32) | (half == 10)])[: len(half)]
    begun = starts.flatten().numpy()[: len(half)]
    return {
        "threshold": threshold,
        "mean_patch": mean_patch(starts),
        "entropy_mean": float(other.mean()),
        "at_spaces": float((begun & behind_space).sum() / max(1, behind_space.sum())),
        "size_histogram": np.bincount(sizes.clip(max=32), minlength=33).tolist(),
        "entropy_histogram": np.histogram(other.numpy(), bins=32, range=(0, 5.6))[0].tolist(),
    }


@torch.no_grad()
def _entropies(model: SleepWakeModel, text: Bytes) -> torch.Tensor:
    """Entropy of every byte of rows as long as the context, (B, L)."""
    length = model.config.context
    rows = len(text) // length
    values = torch.from_numpy(text[: rows * length].astype(np.int64)).view(rows, length)
    device = model.embedding.weight.device
    return torch.cat([entropies(model, part.to(device)).cpu() for part in torch.split(values, 32)])


def steps_table(rows: list[dict[str, float]]) -> pa.Table:
    """One row a step."""
    names = sorted({name for row in rows for name in row})
    columns = {name: pa.array([row.get(name) for row in rows], pa.float64()) for name in names}
    return pa.table({"step": pa.array(range(len(rows)), pa.int64()), **columns})
