"""Answer one question the way a night is examined: the same prompts, greedy decoding, memory on or off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.artifacts import GenerationStore, RunFolder, find_run, list_runs, stage_results
from pipeline.config import ConsolidationConfig
from pipeline.errors import ArtifactError, DataError, ModelError, StoreError
from pipeline.evaluation.types import Memory
from pipeline.sessions.champion import WEIGHTS, adapter_of, find_champion, find_slow, need_slow, run_around
from pipeline.stages.memory import identity_of, open_stores, reference_of, written_kinds
from pipeline.stages.night import configure
from pipeline.stages.recalls import note_recall
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.persistence import KIND, load
from pipeline.stores.retriever import StoreRetriever
from pipeline.suites.control_tokens import neutral
from pipeline.suites.rows import CHAT_TOKENS
from pipeline.suites.types import Question


@dataclass(frozen=True)
class Reply:
    """The model's answer, the memories that it was shown, and in words with what it was produced."""

    text: str
    memories: tuple[Memory, ...]
    setting: str


@dataclass(frozen=True)
class _Source:
    """Adapter folder, run and slow average behind ``--adapter``; all None for the untouched base."""

    adapter: Path | None
    run: RunFolder | None
    name: str
    slow: Path | None = None


@dataclass(frozen=True)
class _Memory:
    """Stores to ask, and the session whose they are; None for those of a fresh run, which no night continues."""

    stores: tuple[EpisodicStore, ...]
    session: str | None


def ask_question(
    question: str,
    *,
    memory: bool,
    adapter: str,
    session: str | None,
    k: int,
    root: Path,
    count: bool = True,
    slow: bool = False,
    overrides: Sequence[str] = (),
) -> Reply:
    """Ask one question; what it recalls from a session's memory counts as used, from the session's next night on.

    Args:
        question: Plain words.
        memory: Whether the prompt shows retrieved memories; else it holds the question alone.
        adapter: ``champion``, ``none``, an adapter's folder, or a run.
        session: Store to retrieve from; None takes the adapter's run's, else the newest run's.
        k: Memories to retrieve, at least 1.
        root: Artifact root.
        count: Whether a recall may count; ``store.count_recalls`` must agree.
        slow: Whether the slow average over nights beside the adapter answers in its place.
        overrides: Settings that replace those of the adapter's run.

    Raises:
        DataError: The question is empty or holds a token of the chat template.
        ModelError: There is no such adapter, or no slow average of it.
        StoreError: There is no store, or an empty one.
    """
    _check(question)
    question = neutral(question)
    source = _source(adapter, root, overrides)
    if slow:
        source = replace(source, adapter=need_slow(source.slow, source.name), name=f"{source.name}, slow average")
    config = _config(source, root, overrides)
    asked = _memory_of(source, session, root, config) if memory else None
    shown, usage = _retrieve(question, asked, config, k) if asked else ((), {})
    answer = _generate(question, shown if memory else None, source, config)
    weights = source.name if source.adapter is None else f"adapter {source.name}"
    setting = f"memory {'on' if memory else 'off'}, {weights}, model {config.model.name}"
    if asked and asked.session and count and config.store.count_recalls:
        setting += _noted(root, asked.session, usage)
    return Reply(answer, shown, setting)


def _check(question: str) -> None:
    if not question.strip():
        raise DataError("expected a question, found an empty text")
    found = re.search(CHAT_TOKENS, question)
    if found:
        raise DataError(f"the question holds {found.group(0)!r}, a token of the chat template; remove it")


def _source(adapter: str, root: Path, overrides: Sequence[str]) -> _Source:
    if adapter == "none":
        return _Source(None, None, "the untouched base")
    if adapter == "champion":
        wanted = configure("consolidation/episodic", overrides, root)
        champion = find_champion(root, wanted.model, wanted.tracking)
        if champion is None:
            raise ModelError(
                f"there is no champion below {root} yet: no night passed its guards; "
                "run `engram run consolidation/episodic`, name a RUN by --adapter, or use --adapter none"
            )
        return _Source(champion.adapter, champion.run, f"champion (version {champion.version})", champion.slow)
    folder = Path(adapter)
    if folder.is_dir() and not (folder / "manifest.json").is_file():
        from pipeline.language.adapter_check import require_weights

        require_weights(folder)
        return _Source(folder, run_around(folder), adapter, find_slow(folder))
    try:
        run = find_run(adapter, root)
    except ArtifactError as error:
        raise ModelError(
            f"--adapter {adapter!r}: expected champion, none, a folder with {WEIGHTS}, or a run; {error}"
        ) from None
    own = adapter_of(run)
    return _Source(own, run, run.run_id, find_slow(own))


def _config(source: _Source, root: Path, overrides: Sequence[str]) -> ConsolidationConfig:
    if source.run is not None and not overrides:
        config = source.run.config()
        if isinstance(config, ConsolidationConfig):
            return config
    return configure("consolidation/episodic", overrides, root)


def _memory_of(source: _Source, session: str | None, root: Path, config: ConsolidationConfig) -> _Memory:
    """The named session's stores of every kind, those of the adapter's run, or those of the newest run."""
    encoder = SentenceEncoder(config.encoder)
    if session is not None:
        identity = identity_of(encoder)
        stores = tuple(
            load(GenerationStore.of(root, session, kind), session, config.store, identity, kind)
            for kind in written_kinds(root, session) or (KIND,)
        )
        return _Memory(stores, session)
    for run in [source.run] if source.run else list_runs(root):
        stored = stage_results(run).get("persist_store")
        if stored is not None:
            first = reference_of(stored)
            stores = open_stores(run, stored, config.store, encoder)
            return _Memory(stores, None if first.private else first.session)
    raise StoreError(
        f"there is no memory below {root} yet; run a night, or `engram teach FILE --session S` and add --session S"
    )


def _retrieve(
    question: str, asked: _Memory, config: ConsolidationConfig, k: int
) -> tuple[tuple[Memory, ...], dict[str, int]]:
    """The memories, best first, and what counts as used: the best one where it is near enough."""
    retriever = StoreRetriever(asked.stores, SentenceEncoder(config.encoder))
    (found,) = retriever.retrieve([question], k)
    return tuple(found), retriever.usage


def _noted(root: Path, session: str, usage: dict[str, int]) -> str:
    """Count the recall; an answer is worth showing even where that fails, so the reason is returned."""
    try:
        note_recall(root, session, usage)
    except (ArtifactError, StoreError) as error:
        return f"; this recall is not counted ({error})"
    return ""


def _generate(question: str, memories: tuple[Memory, ...] | None, source: _Source, config: ConsolidationConfig) -> str:
    """One greedy answer; ``memories`` None means closed book."""
    from pipeline.language.adapter import load_adapter
    from pipeline.language.generation import generate
    from pipeline.language.models import load_for_evaluation
    from pipeline.language.prompts import closed_book_prompt, memory_prompt
    from pipeline.protocol.checkpoints import require_same_base

    lm = load_for_evaluation(config.model)
    if source.adapter is not None:
        if source.run is None:  # brought from elsewhere
            require_same_base(source.adapter, lm)
        lm = load_adapter(lm, source.adapter)
    limit, contrast = config.evaluation.max_new_tokens, config.evaluation.memory_contrast
    if memories is None:
        prompt = closed_book_prompt(lm.tokenizer, Question("ask", "ask", "ask", "test", question, ""))
        (reply,) = generate(lm, [prompt], max_new_tokens=limit)
    else:
        prompt, untold = (memory_prompt(question, texts) for texts in ([m.text for m in memories], []))
        (reply,) = generate(lm, [prompt], max_new_tokens=limit, one_line=True, against=[untold], contrast=contrast)
    return reply.text.strip()
