"""Stage ``persist_store``: the candidates become part of a new generation of the store of their kind.

A continuing night first folds in what earlier nights reported (usage, probe outcomes), each run once, and what
questions recalled since (`pipeline.stages.recalls`), and lets one night of decay pass, in every kind of store that the
session has. Writes ``store.json``, the references to the
generations; the generations lie in ``memory/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.artifacts import (
    Generation,
    GenerationStore,
    RunFolder,
    StageResult,
    code_version,
    read_table,
)
from pipeline.config import ConsolidationConfig
from pipeline.errors import ArtifactError
from pipeline.progress import Progress
from pipeline.stages.earlier import nights_of_session
from pipeline.stages.feedback import is_withdrawn, read_feedback, withdrawn_passes
from pipeline.stages.memory import (
    StoreReference,
    generations_of,
    merge_facts,
    publish_store,
    session_facts,
    session_of,
    store_before,
    written_kinds,
)
from pipeline.stages.pending import TONIGHT, drop_pending, read_pending
from pipeline.stages.recalls import Recalls, drop_folded, seal_recalls
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import read_suite
from pipeline.stages.teach import candidates_table, facts_by_kind
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.stores.episode_table import from_table
from pipeline.stores.episodic import EpisodicStore
from pipeline.suites.types import Fact


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``teach``.
        progress: Reports parts of the work.

    Raises:
        StoreError: Another process writes the store, or another encoder wrote it.
    """
    with opened(run, config, "persist_store", inputs) as stage:
        if stage.hit:
            return stage.result
        suite = read_suite(inputs["teach"].path)
        facts = facts_by_kind((*suite.taught, *suite.distractors))
        known = () if config.fresh else written_kinds(run.root, session_of(config))
        recalls = () if config.fresh else seal_recalls(run.root, session_of(config))
        encoder = SentenceEncoder(config.encoder)
        progress.phase("writing the generations")
        written = {
            kind: _written(run, config, inputs["teach"], tuple(facts.get(kind, ())), recalls, encoder, kind)
            for kind in dict.fromkeys((*facts, *known))
        }
        drop_folded(recalls, [generation.metadata["folded_runs"] for generation in written.values()])
        references = [
            StoreReference(config.fresh, session_of(config), generation.number, generation.manifest.digest, kind)
            for kind, generation in written.items()
        ]
        stage.write_json("store.json", {"stores": [asdict(reference) for reference in references]})
        if ids := () if config.fresh else _to_forget(run, config, written):
            stage.write_json(TONIGHT, {"ids": list(ids)})
        stage.metrics = _all_metrics({kind: g.metadata["told"] | _size(g) for kind, g in written.items()})
    return stage.result


def _to_forget(run: RunFolder, config: ConsolidationConfig, written: dict[str, Generation]) -> tuple[str, ...]:
    """Ids of what this night unlearns; what was taught again is struck off."""
    stored = {
        name
        for g in written.values()
        for name in g.table("episodes", EPISODE_SCHEMA, ("episode_id",)).column("episode_id").to_pylist()
    }
    pending = [item.id for item in read_pending(run.root, session_of(config))]
    if again := [name for name in pending if name in stored]:
        drop_pending(run.root, session_of(config), again)
    return tuple(name for name in pending if name not in stored)


def _written(
    run: RunFolder,
    config: ConsolidationConfig,
    taught: StageResult,
    facts: tuple[Fact, ...],
    recalls: Sequence[Recalls],
    encoder: SentenceEncoder,
    kind: str,
) -> Generation:
    """The next generation of one kind, or the one that an earlier attempt of this very stage published."""
    generations = generations_of(run, config, kind)
    with generations.writing():
        written_for = f"{run.run_id} {taught.digest} {code_version()}"
        written = _written_before(generations, written_for)
        if written is None:
            store = store_before(run, config, encoder, kind)
            told = _take_in(run, config, taught, recalls, store)
            before = () if config.fresh else session_facts(generations)
            origin = {"written_for": written_for, "told": told}
            written = publish_store(store, generations, merge_facts(before, facts), run.config_hash, origin)
    return written


def _take_in(
    run: RunFolder,
    config: ConsolidationConfig,
    taught: StageResult,
    recalls: Sequence[Recalls],
    store: EpisodicStore,
) -> dict[str, Any]:
    """Fold, decay, prune and write; returns what happened, as counts."""
    asked = sum(log.questions for log in recalls if store.fold_feedback(log.usage, {}, log.name))
    folded = [] if config.fresh else _fold(run, config, store)
    if not config.fresh:
        store.decay()
    pruned = store.prune()
    lived = taught.path / f"{candidates_table(store.kind)}.parquet"
    candidates = from_table(read_table(lived, EPISODE_SCHEMA), store.expansion) if lived.exists() else store.nothing
    report = store.write(candidates, enforce=config.gate.enforce)
    counts = {name: len(ids) for name, ids in asdict(report).items()}
    return {**counts, "pruned": len(pruned), "folded": len(folded), "recalls": asked, "night": store.night}


def _fold(run: RunFolder, config: ConsolidationConfig, store: EpisodicStore) -> list[str]:
    """Take in the feedback of the session's finished nights, oldest first, each once; undo what was rolled back."""
    folded = []
    for earlier in nights_of_session(run, config):
        if is_withdrawn(earlier) and earlier.run_id in store.folded_runs:
            store.withdraw_feedback(withdrawn_passes(earlier), earlier.run_id)
        feedback = read_feedback(earlier)
        if store.fold_feedback(feedback.usage, feedback.probes, earlier.run_id, losses=feedback.losses):
            folded.append(earlier.run_id)
    return folded


def _written_before(generations: GenerationStore, written_for: str) -> Generation | None:
    """The generation that an attempt of this very stage published before it was killed, if there is one."""
    newest = generations.current()
    for number in range(newest.number if newest else 0, 0, -1):
        try:
            found = generations.generation(number)
        except ArtifactError:  # an older generation may have been removed
            continue
        if found.metadata.get("written_for") == written_for:
            return found
    return None


def _all_metrics(by_kind: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Counts and sizes of all kinds together; nights, folded runs and recalls are the same for each.

    ``kinds`` tells them apart.

    ``generation`` and ``schema`` are those of the first kind.
    """
    first, *others = by_kind.values()
    shared = ("night", "folded", "recalls", "generation", "schema")
    summed = {name: first[name] + sum(other[name] for other in others) for name in first if name not in shared}
    own = {kind: {name: told[name] for name in ("rows", "bytes", "generation")} for kind, told in by_kind.items()}
    return first | summed | {"kinds": own}


def _size(generation: Generation) -> dict[str, Any]:
    """Rows of the episodes, bytes of the generation, and the schema's version."""
    rows = {file.path.rsplit("/", 1)[-1]: file.rows for file in generation.manifest.files}
    return {
        "rows": rows["episodes.parquet"],
        "bytes": sum(file.bytes for file in generation.manifest.files),
        "schema": EPISODE_SCHEMA,
        "generation": generation.number,
    }
