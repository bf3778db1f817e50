"""Stage ``lora_train``: train the adapter on the targets.

Writes ``adapter/`` (PEFT, safetensors) and ``steps`` (schema steps/3). A continuing night keeps ``slow/`` beside it:
the moving average of the adapters of all champions and its own. A night goes on from the average of the champion, so
one that is rolled back leaves no trace in it. A killed stage leaves ``checkpoint.safetensors`` and goes on from there.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult, read_table, write_table
from pipeline.config import ConsolidationConfig, config_hash
from pipeline.errors import TrainingError
from pipeline.progress import Progress
from pipeline.replay.earlier import NIGHT_SCHEMA
from pipeline.sessions.champion import Champion, find_champion
from pipeline.stages.feedback import write_feedback
from pipeline.stages.order import STEPS_SCHEMA
from pipeline.stages.pending import forgotten_of_night
from pipeline.stages.registry import opened
from pipeline.stages.sleep_distil import TARGETS_SCHEMA, known_facts
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.types import Fact
from pipeline.tracking.registry import SLOW

if TYPE_CHECKING:
    from pipeline.language.exchange import Exchange
    from pipeline.language.rows import TrainingRow
    from pipeline.language.training import Step

CHECKPOINT = "checkpoint.safetensors"
ROWS = "rows.parquet"  # scratch: hands the rows to processes that share the training


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store``, ``replay_sample`` and ``sleep_distil``.
        progress: Reports parts of the work.

    Raises:
        TrainingError: Nothing was trained: no examples, a loss that did not fall, or B still zero.
    """
    with opened(run, config, "lora_train", inputs) as stage:
        if stage.hit:
            return stage.result
        from pipeline.language.lower_states import FILE
        from pipeline.language.models import device_name, resolve_device

        rows = target_rows(inputs["sleep_distil"].path / "targets.parquet", stage.folder)
        lower = inputs["sleep_distil"].path / FILE
        previous = None if config.fresh else find_champion(config.root, config.model, config.tracking)
        start = previous.adapter if previous else None
        replay = read_table(inputs["replay_sample"].path / "replay.parquet", NIGHT_SCHEMA)
        known = known_facts(replay)
        forgotten = [item.as_fact() for item in forgotten_of_night(run.root, config, inputs["persist_store"])]
        trained, losses = train_adapter(rows, config, stage.folder, progress, lower, start, known, forgotten)
        table = pa.Table.from_pylist([vars(step) for step in trained])
        stage.write_table("steps", table, STEPS_SCHEMA)
        stage.add(stage.folder / "adapter")
        if not config.fresh and config.lora.slow_decay:
            keep_slow(stage.folder, previous, config.lora.slow_decay, anew=bool(forgotten))
            stage.add(stage.folder / SLOW)
        write_feedback(stage, losses=losses)
        (stage.folder / CHECKPOINT).unlink(missing_ok=True)
        lower.unlink(missing_ok=True)
        stage.metrics = {
            **training_metrics(trained, stage.folder),
            "device": device_name(resolve_device(config.model.device)),
            "config_hash": config_hash(config, ["lora"]),
            "continues": previous.version if previous else None,
            "forgotten": len(forgotten),
            "processes": processes_of(config)[0],
            "start": os.path.relpath(previous.adapter, run.root) if previous else None,
        }
    return stage.result


def keep_slow(folder: Path, previous: Champion | None, decay: float, anew: bool) -> None:
    """Write ``folder/slow``, the average of the earlier nights' adapters and of ``folder/adapter``.

    Args:
        folder: The stage's.
        previous: The champion that the night went on from. Where it has no average, the average begins with it.
        decay: Weight of the average before.
        anew: Begin with tonight's adapter: the average before still knows what tonight unlearned.
    """
    from pipeline.language.adapter import average_adapters

    before = None if previous is None or anew else previous.slow or previous.adapter
    average_adapters(folder / "adapter", before, decay, folder / SLOW)


def target_rows(path: Path, scratch: Path) -> list[TrainingRow]:
    """The rows of ``targets.parquet``, read through a memory-mapped dataset."""
    from datasets import Dataset, disable_progress_bars

    from pipeline.language.rows import table_rows

    read_table(path, TARGETS_SCHEMA)  # refuses another schema by name
    disable_progress_bars()
    cache = scratch / ".dataset"
    rows = table_rows(Dataset.from_parquet(str(path), cache_dir=str(cache)).with_format("arrow")[:])
    shutil.rmtree(cache, ignore_errors=True)
    return rows


def train_adapter(
    rows: Sequence[TrainingRow],
    config: ConsolidationConfig,
    folder: Path,
    progress: Progress,
    lower: Path | None = None,
    start: Path | None = None,
    known: Collection[str] = (),
    forgotten: Sequence[Fact] = (),
) -> tuple[list[Step], dict[str, float]]:
    """Train an adapter on ``rows`` and save it as ``folder/adapter``.

    Args:
        rows: What to train on.
        config: The run's configuration.
        folder: Where the adapter and its checkpoints go.
        progress: Reports parts of the work.
        lower: The frozen layers' output for these rows, if an earlier stage left it.
        start: Folder of the adapter that this night goes on from; None begins anew.
        known: Facts that earlier nights consolidated.
        forgotten: What is to be unlearned. Its rows exist in memory alone.

    Returns:
        Every step, and the last loss of every fact, nats per answer token.

    Raises:
        ConfigError: There are fewer GPUs than ``lora.processes``.
        TrainingError: There is nothing to learn from, nothing was learned, or one of several processes failed.
    """
    from pipeline.language.exchange import ALONE
    from pipeline.language.processes import in_processes
    from pipeline.language.rows import UNTAUGHT, rows_table

    if not any(row.split == "train" and row.kind not in UNTAUGHT for row in rows):
        raise TrainingError("the targets hold no trained question, statement or memory prompt: nothing to learn from")
    count, on_gpu = processes_of(config)
    given = (config, folder, lower, start, frozenset(known), tuple(forgotten))
    if count == 1:
        return train_share(rows, *given, ALONE, progress)
    progress.phase(f"starting {count} processes")
    write_table(folder / ROWS, rows_table(rows), TARGETS_SCHEMA, config_hash(config))
    try:
        return in_processes(train_written, (folder / ROWS, *given), count, on_gpu, progress)
    finally:
        (folder / ROWS).unlink(missing_ok=True)


def processes_of(config: ConsolidationConfig) -> tuple[int, bool]:
    """How many processes share the training, and whether each has a GPU of its own.

    Raises:
        ConfigError: There are fewer GPUs.
    """
    from pipeline.language.models import resolve_device
    from pipeline.language.processes import process_count

    on_gpu = resolve_device(config.model.device).type == "cuda"
    return process_count(config.lora.processes, on_gpu), on_gpu


def train_written(path: Path, *given: Any) -> tuple[list[Step], dict[str, float]]:
    """`train_share` on the rows of a file."""
    from pipeline.language.rows import table_rows

    return train_share(table_rows(read_table(path, TARGETS_SCHEMA)), *given)


def train_share(
    rows: Sequence[TrainingRow],
    config: ConsolidationConfig,
    folder: Path,
    lower: Path | None,
    start: Path | None,
    known: Collection[str],
    forgotten: Sequence[Fact],
    exchange: Exchange,
    progress: Progress,
) -> tuple[list[Step], dict[str, float]]:
    """Train in this process its share of every step; the first of all processes saves the adapter.

    Arguments, result and errors are those of `train_adapter`.
    """
    from pipeline.language.adapter import attach, b_norm, go_on_from, save_adapter
    from pipeline.language.curvature import CurvatureAnchor, general_moments
    from pipeline.language.encoding import encode, run_lower
    from pipeline.language.forgetting import extend, forget_rows
    from pipeline.language.initialisation import start_from_data
    from pipeline.language.lower_states import load_lower
    from pipeline.language.models import load_model
    from pipeline.language.training import Trainer

    progress.phase("loading the model")
    lm = load_model(config.model)

    def to_unlearn() -> list[TrainingRow]:
        return forget_rows(lm, forgotten, load_rehearsal(), config.distil, config.seed) if forgotten else []

    unlearned = exchange.ask_first(to_unlearn)
    peft = attach(lm, config.lora, config.seed)
    encoded = encode(lm, rows, config.lora.first_layer)
    if lower is None or not load_lower(lm, encoded, lower):
        progress.phase(f"layers 0 to {config.lora.first_layer - 1}", len(rows))
        run_lower(lm, encoded, progress=progress.advance)
    progress.phase("finding where general text must not move")
    general = general_moments(lm, encoded, config.seed, config.lora.anchor_every)
    extend(lm, encoded, unlearned)
    if start is not None:
        go_on_from(peft, start)
    elif config.lora.start == "distinctive":
        progress.phase("finding where facts stand out")
        start_from_data(lm, encoded, general, config.seed, exchange)
    anchor = CurvatureAnchor(lm, general, exchange) if config.lora.curvature_weight else None
    trainer = Trainer(lm, encoded, config.lora, config.seed, anchor, folder / CHECKPOINT, known, exchange)
    progress.phase("training", trainer.total)
    progress.advance(len(trainer.records))

    def on_step(step: Step) -> None:
        progress.advance()
        progress.note(f"loss {step.loss:.2f}")

    steps = trainer.run(on_step)
    news = any(row.kind == "question" and row.episode_id not in known for row in rows)
    require_learning(steps, b_norm(lm.model), news or not unlearned)
    if exchange.rank == 0:
        save_adapter(peft, folder / "adapter")
    return steps, trainer.standing.loss


def require_learning(steps: Sequence[Step], norm: float, news: bool = True) -> None:
    """Refuse a night in which nothing was learned.

    Args:
        steps: Every step.
        norm: Of the adapter's B matrices.
        news: Whether something new was to be learned; a night that only unlearns rehearses what it knows well already.

    Raises:
        TrainingError: No examples, a cross-entropy that did not fall, or B still zero.
    """
    if not steps or not sum(step.examples for step in steps):
        raise TrainingError("training saw no examples")
    first, last = first_and_last(steps)
    if not math.isfinite(last) or (news and len(steps) > 1 and last >= first):
        raise TrainingError(
            f"the loss did not fall: {first:.4f} at first, {last:.4f} at last; "
            "lower lora.learning_rate, or raise lora.epochs"
        )
    if norm == 0.0 or not math.isfinite(norm):
        raise TrainingError(f"the adapter's B matrices have norm {norm}: nothing was learned")


def first_and_last(steps: Sequence[Step]) -> tuple[float, float]:
    """Mean cross-entropy of the first and the last tenth of the steps, nats per answer token."""
    part = max(1, len(steps) // 10)
    means = [sum(s.cross_entropy for s in some) / part for some in (steps[:part], steps[-part:])]
    return means[0], means[1]


def training_metrics(steps: Sequence[Step], folder: Path) -> dict[str, Any]:
    """What the contract asks of this stage."""
    from safetensors.torch import load_file

    first, last = first_and_last(steps)
    weights = load_file(folder / "adapter" / "adapter_model.safetensors")
    squares = sum(float(w.double().square().sum()) for name, w in weights.items() if "lora_B" in name)
    accuracies = [step.probe_accuracy for step in steps if not math.isnan(step.probe_accuracy)]
    return {
        "steps": len(steps),
        "examples": sum(step.examples for step in steps),
        "tokens": sum(step.tokens for step in steps),
        "loss_first": first,
        "loss_last": last,
        "b_norm": math.sqrt(squares),
        "probe_accuracy": accuracies[-1] if accuracies else None,
    }
