"""Stage ``evaluate``: test questions once, at every length and load; controls; the memory alone; a sweep if asked for.

The one stage that reads test sequences. Writes ``metrics.json`` and ``samples.parquet`` with every read and write of
the split test. A control or variant that is finished is kept beside, so that a stage that was cut short goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipeline.artifacts import RunFolder, Stage, StageResult, read_json, write_json
from pipeline.config.needle import NeedleConfig
from pipeline.devices import device_of
from pipeline.needle.building import others, stored
from pipeline.needle.capacity import capacity
from pipeline.needle.controls import Trained, control_epochs, controls_of
from pipeline.needle.course import load_model
from pipeline.needle.evaluation import evaluate
from pipeline.needle.measures import by_tokens, measures, samples
from pipeline.needle.stages.persist_store import folder_of
from pipeline.needle.stages.wake_train import MODEL
from pipeline.needle.sweep import over_variants, trained_variant, variants
from pipeline.needle.tasks.tables import read_split
from pipeline.needle.telemetry import SAMPLES_SCHEMA, samples_table
from pipeline.progress import Progress
from pipeline.stages.registry import opened


def run(run: RunFolder, config: NeedleConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store`` and ``wake_train``.
        progress: Reports parts of the work.
    """
    with opened(run, config, "evaluate", inputs) as stage:
        if stage.hit:
            return stage.result
        device, folder = device_of(config.device), folder_of(run, inputs["persist_store"])
        model = load_model(config, inputs["wake_train"].path / MODEL, device)
        training, validation, test = (stored(folder, name, device) for name in ("train", "val", "test"))
        trained = Trained(config, model, device, training, validation, test, progress.advance)
        measured, by_split = _tested(stage, trained, folder, progress)
        names = controls_of(config)
        progress.phase("controls", control_epochs(config, training) or None)
        measured["controls"], seconds = {}, dict[str, float]()
        for name, control in names.items():
            progress.note(name)
            started = time.perf_counter()
            measured["controls"][name] = _kept(stage, f"control_{name}", lambda c=control: c(trained))  # type: ignore[misc]
            seconds[name] = round(time.perf_counter() - started, 3)
        progress.phase("the memory alone")
        settings = config.evaluation
        measured["capacity"] = {
            str(pairs): capacity(
                config.model.mem_dim, model.layout.values, pairs, settings.capacity_trials, config.seed
            )
            for pairs in settings.capacity_pairs
        }
        measured["sweep"] = _swept(stage, config, device, progress)
        stage.write_json("metrics.json", measured)
        stage.write_json("measures.json", by_split)
        stage.metrics = {"accuracy": measured["accuracy"], "control_seconds": seconds}
    return stage.result


def _tested(
    stage: Stage, trained: Trained, folder: Path, progress: Progress
) -> tuple[dict[str, Any], dict[str, dict[str, float | None]]]:
    """Accuracy on every test split, and what else was measured there."""
    config, size = trained.config, trained.config.train.eval_batch_size
    lengths, loads = others(config.data, "length"), others(config.data, "n_pairs")
    progress.phase("test questions", 1 + len(lengths) + len(loads))
    test = evaluate(trained.model, trained.test, size)
    stage.write_table("samples", samples_table(samples(test, "test", 0)), SAMPLES_SCHEMA)
    by_split = {"test": measures(test)}
    progress.advance()
    for name in (*(f"test_length_{n}" for n in lengths), *(f"test_pairs_{n}" for n in loads)):
        by_split[name] = measures(evaluate(trained.model, stored(folder, name, trained.device), size))
        progress.advance()
    main, own = by_split["test"], config.data
    by_length = {own.length: main} | {n: by_split[f"test_length_{n}"] for n in lengths}
    used = torch.tensor(read_split(folder / "test.parquet").tokens_used)
    lengths_told = {str(n): by_length[n]["acc"] for n in sorted(by_length)}
    if used.min() < used.max():
        lengths_told = {str(tokens): value for tokens, value in by_tokens(test, used).items()}
    by_load = {own.n_pairs: main} | {n: by_split[f"test_pairs_{n}"] for n in loads} if own.blocks else {}
    measured = {
        "accuracy": {
            "test": main["acc"],
            "by_length": lengths_told,
            "by_load": {str(n): by_load[n]["acc"] for n in sorted(by_load)},
        },
        "questions": len(test.questions["pred"]),
        "read_cosine_by_load": {str(n): by_load[n]["read_cos.raw"] for n in sorted(by_load)},
        "collisions": main["collisions.mean"],
        "cosine": {
            "write": _number(main["write_cos.mean"]),
            "read_raw": main["read_cos.raw"],
            "read_clean": main["read_cos.clean"],
        },
        "written": {
            "precision": main["gate.precision"],
            "recall": main["gate.recall"],
            "per_sequence": main["writes_per_seq.mean"],
        },
    }
    told = {name: {key: _number(value) for key, value in found.items()} for name, found in by_split.items()}
    return measured, told


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _kept(stage: Stage, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured by an attempt that was cut short, else what is measured now."""
    path = stage.folder / f"{name}.json"
    if not path.is_file():
        write_json(path, measure())
    stage.add(path)
    found: dict[str, Any] = read_json(path)
    return found


def _swept(stage: Stage, config: NeedleConfig, device: str, progress: Progress) -> dict[str, Any]:
    """The sweep's figures over seeds, by variant."""
    asked = variants(config)
    if not asked:
        return {}
    progress.phase("sweep", sum(variant.of(config).train.epochs for variant in asked))
    found: dict[str, dict[int, dict[str, float]]] = {}
    for variant in asked:
        progress.note(f"{variant.name}, seed {variant.seed}")
        told = _kept(
            stage,
            f"sweep_{variant.file}",
            lambda v=variant: trained_variant(v, config, device, progress.advance),  # type: ignore[misc]
        )
        found.setdefault(variant.name, {})[variant.seed] = told
    return over_variants(found)
