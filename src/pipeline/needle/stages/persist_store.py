"""Stage ``persist_store``: the splits as Parquet, as a generation of the store; all of them follow from the seed.

Writes ``store.json``, which says which generation this run uses: ``train``, ``val``, ``test``, ``test_length_<L>`` and
``test_pairs_<n>``. No two splits share a sequence.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.needle import NeedleConfig
from pipeline.needle.building import splits_of
from pipeline.needle.tasks.registry import task_of
from pipeline.needle.tasks.tables import SPLIT_SCHEMA, split_figures, split_table
from pipeline.progress import Progress
from pipeline.stages.memory import StoreReference, generations_of, reference_of, session_of
from pipeline.stages.registry import opened

KIND = "needle"


def run(run: RunFolder, config: NeedleConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: None is read.
        progress: Reports parts of the work.

    Raises:
        StoreError: Another process writes the store.
    """
    with opened(run, config, "persist_store", inputs) as stage:
        if stage.hit:
            return stage.result
        splits = splits_of(config.data)
        progress.phase("making sequences", len(splits))
        tables, figures = {}, {}
        for name, (split, data) in splits.items():
            examples = task_of(data).examples(config.seed, split)
            tables[name], figures[name] = split_table(examples), split_figures(examples)
            progress.advance()
        rows = sum(table.num_rows for table in tables.values())
        generation = generations_of(run, config, KIND).publish(
            tables, {"rows": rows}, config_hash=run.config_hash, schemas=dict.fromkeys(tables, SPLIT_SCHEMA)
        )
        reference = StoreReference(
            config.fresh, session_of(config), generation.number, generation.manifest.digest, KIND
        )
        stage.write_json("store.json", vars(reference))
        size = sum(file.stat().st_size for file in generation.path.glob("*.parquet"))
        stage.metrics = {"rows": rows, "bytes": size, "generation": generation.number, "splits": figures}
    return stage.result


def folder_of(run: RunFolder, stored: StageResult) -> Path:
    """Where the splits of a run lie.

    Raises:
        ArtifactError: A file is missing or differs from its digest.
    """
    reference = reference_of(stored)
    return reference.store(run).generation(reference.generation).path
