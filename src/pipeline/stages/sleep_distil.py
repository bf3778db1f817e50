"""Stage ``sleep_distil``: from what is replayed to what sleep trains on, with the frozen base as its own teacher.

Writes ``targets`` (schema targets/1): forms of every replayed fact, memory-ON soft targets where the teacher is right,
and rehearsal that the base wrote itself. Writes ``study`` (questions/1) where facts without questions were studied.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifacts import RunFolder, StageResult, read_table
from pipeline.config import ConsolidationConfig
from pipeline.progress import Progress
from pipeline.replay.earlier import NIGHT_SCHEMA
from pipeline.stages.feedback import write_feedback
from pipeline.stages.memory import open_stores
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import write_study
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episode import Episode, forms_of
from pipeline.stores.retriever import StoreRetriever
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.sanity import load_sanity
from pipeline.suites.types import Fact

TARGETS_SCHEMA = "targets/1"


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store`` and ``replay_sample``.
        progress: Reports parts of the work.

    Raises:
        ModelError: The language model is absent.
        StoreError: The store was written by another encoder.
    """
    with opened(run, config, "sleep_distil", inputs) as stage:
        if stage.hit:
            return stage.result
        from pipeline.language.lower_states import FILE, save_lower
        from pipeline.language.models import load_model
        from pipeline.language.rows import rows_table
        from pipeline.language.self_study import study
        from pipeline.language.sharding import opened_shards, shared
        from pipeline.language.study import count_rewrites
        from pipeline.language.targets import Rehearsal, build_targets, count_kinds, teacher_share

        encoder = SentenceEncoder(config.encoder)
        stores = open_stores(run, inputs["persist_store"], config.store, encoder)
        replay = read_table(inputs["replay_sample"].path / "replay.parquet", NIGHT_SCHEMA)
        replayed = dict.fromkeys(replay.column("episode_id").to_pylist())
        kept = [store.episodes.records for store in stores]
        episodes = {row.episode_id: row for rows in kept for row in rows.take(rows.where("episode_id", replayed))}
        facts = [replayed_fact(episodes[name]) for name in replayed]
        donors = sorted({subject for rows in kept for subject in rows.column("subject").tolist() if subject})
        retriever = StoreRetriever(stores, encoder)
        progress.phase("loading the model")
        lm = load_model(config.model)
        with opened_shards(config.sharding, stage.folder) as shards:
            studied = study(shared(lm, shards), facts, config.study, config.model, config.seed, phase_of(progress))
            facts = list(studied.facts)
            rehearsal, first_layer = Rehearsal(load_rehearsal(), load_sanity()), config.lora.first_layer
            night = int(inputs["replay_sample"].metrics["night"])
            known = known_facts(replay)
            rows, encoded = build_targets(
                shared(lm, shards),
                facts,
                donors,
                rehearsal,
                retriever,
                config.distil,
                first_layer,
                config.seed,
                phase_of(progress),
                known,
                night,
            )
        stage.write_table("targets", rows_table(rows), TARGETS_SCHEMA)
        write_study(stage, studied.questions)
        save_lower(lm, encoded, stage.folder / FILE)
        write_feedback(stage, retriever.usage, {})
        stage.metrics = {
            "rows": len(rows),
            "kinds": count_kinds(rows),
            "base_rewrites": count_rewrites(facts, rows, config.distil.base_rewrites),
            "teacher_right": teacher_share(rows),
            "retrieval": {"requests": retriever.requests, "hits": retriever.hits},
            "study": dict(studied.counts) | {"generator": studied.generator},
            "model_digest": lm.digest,
        }
    return stage.result


def known_facts(replay: pa.Table) -> frozenset[str]:
    """Ids of the replayed facts that an earlier night consolidated."""
    return frozenset(replay.filter(pc.field("known")).column("episode_id").to_pylist())


def replayed_fact(episode: Episode) -> Fact:
    """A stored episode as a fact with its train and probe questions."""
    forms = forms_of(episode.forms, episode.episode_id)
    return Fact(
        id=episode.episode_id,
        text=episode.text,
        session=episode.session,
        subject=episode.subject,
        relation=episode.relation,
        statements=forms.statements,
        questions=forms.questions,
    )


def phase_of(progress: Progress) -> Callable[[str, int], Callable[[int], None]]:
    """Announce parts of the work through a progress bar."""

    def phase(description: str, total: int) -> Callable[[int], None]:
        progress.phase(description, total)
        return progress.advance

    return phase
