"""What the nights before this one left: their facts, the adapter they trained, and the retention that they reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.artifacts import RunFolder, StageResult, list_runs, read_json, stage_results
from pipeline.artifacts.manifest import check_listed
from pipeline.config import ConsolidationConfig
from pipeline.evaluation.retention import Row, backward_transfer
from pipeline.stages.memory import facts_of_generation, references_of, session_of
from pipeline.stages.pending import Forgotten
from pipeline.stores.episode import Episode
from pipeline.suites.types import Fact


def nights_of_session(run: RunFolder, config: ConsolidationConfig) -> list[RunFolder]:
    """The finished nights that continue the same session, oldest first, this one left out."""
    found = []
    for earlier in reversed(list_runs(run.root, config.flow)):
        if earlier.run_id == run.run_id or earlier.state != "done":
            continue
        known = earlier.config()
        if isinstance(known, ConsolidationConfig) and not known.fresh and session_of(known) == session_of(config):
            found.append(earlier)
    return found


def earlier_facts(
    run: RunFolder, stored: StageResult, episodes: Iterable[Episode], tonight: Iterable[str]
) -> dict[int, list[Fact]]:
    """Facts that earlier nights taught, learned or not, with all their questions, by the night that wrote them.

    Args:
        run: The run.
        stored: Result of ``persist_store``.
        episodes: Rows of its stores.
        tonight: Ids that tonight's own suite examines.
    """
    own = set(tonight)
    nights = {row.episode_id: row.night for row in episodes if row.consolidate and row.episode_id not in own}
    found: dict[int, list[Fact]] = defaultdict(list)
    for reference in references_of(stored):
        for fact in facts_of_generation(reference.store(run).generation(reference.generation)):
            if fact.id in nights:
                found[nights[fact.id]].append(fact)
    return dict(sorted(found.items()))


def neighbours_of(run: RunFolder, stored: StageResult, forgotten: Sequence[Forgotten]) -> list[Fact]:
    """Facts of the night's stores that are most like what it unlearns, and are to stay."""
    wanted = {name for item in forgotten for name in item.neighbours}
    if not wanted:
        return []
    generations = [reference.store(run).generation(reference.generation) for reference in references_of(stored)]
    return [fact for generation in generations for fact in facts_of_generation(generation) if fact.id in wanted]


def adapter_before(run: RunFolder, trained: StageResult) -> Path | None:
    """The adapter from which stage ``lora_train`` went on; None for a night that began anew, or when it is gone."""
    start = trained.metrics.get("start")
    if start is None:
        return None
    folder = run.root / str(start)
    return folder if folder.is_dir() else None


def retention_before(run: RunFolder, config: ConsolidationConfig) -> dict[str, Row]:
    """Rows of the retention matrix that earlier nights of the session measured, by night."""
    matrix: dict[str, Row] = {}
    for earlier in nights_of_session(run, config):
        measured = stage_results(earlier).get("evaluate")
        if measured is not None:
            matrix |= read_json(check_listed(measured.path / "metrics.json")).get("retention", {})
    return matrix


def over_nights(run: RunFolder, config: ConsolidationConfig, row: Row, night: int) -> dict[str, object]:
    """The retention matrix up to this night, and what it says about learning backwards."""
    matrix = retention_before(run, config) | {str(night): row}
    transfer = backward_transfer(matrix)
    return {"retention": matrix} | ({} if transfer is None else {"backward_transfer": transfer})
