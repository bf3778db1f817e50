"""Nights that keep a mirror (``mirror.url``): what one pulls before it begins, and what it pushes when it is done.

A continuing night pulls the newest generation of its session's stores, the session's finished nights, whose feedback,
retention and adapters it reads, and the run that trained the champion. A night that is done pushes every finished run
of this mirror that is not there yet, and the stores of their sessions; what fails is said, and the next night tries
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from pipeline.artifacts import GenerationStore, list_runs
from pipeline.artifacts.mirror import (
    is_behind,
    local_stores,
    pull_run,
    pull_store,
    push_run,
    push_store,
    remote_config,
    remote_runs,
    remote_stores,
    run_name,
    was_mirrored,
)
from pipeline.artifacts.remote import Remote
from pipeline.config import ConsolidationConfig, FlowConfig
from pipeline.errors import ArtifactError, ConfigError, EngramError
from pipeline.sessions.champion import adapter_name
from pipeline.stages.memory import session_of
from pipeline.tracking.registry import champion_place

Tell = Callable[[str], object]
"""Shows one line to whoever watches the night."""


@contextmanager
def mirrored(config: FlowConfig, tell: Tell) -> Iterator[None]:
    """Pull what the night in the block needs, and push what was done after it ended well; nothing without a URL.

    Args:
        config: Of the night.
        tell: Gets what could not be pulled or pushed; the night goes on without.

    Raises:
        ConfigError: The URL cannot be used.
        StoreError: This machine's store and the mirror's have gone different ways.
        ArtifactError: The mirror cannot be read, and this machine has never seen it; or what is newer there is damaged.
    """
    if config.mirror.url is None:
        yield
        return
    remote = Remote.at(config.mirror.url)
    if not config.fresh:  # a fresh one reads nothing of others
        _pull(config, remote, tell)
    yield
    for problem in push_missing(config, remote):
        tell(problem)


def _pull(config: FlowConfig, remote: Remote, tell: Tell) -> None:
    try:
        behind = kinds_behind(config, remote)
    except ArtifactError as error:
        if not any(was_mirrored(store, remote) for store in local_stores(config.root, session_of(config))):
            raise
        tell(f"nothing was pulled from {remote.url}, this night goes on from what is here: {error}")
    else:
        pull_session(config, remote, behind)


def kinds_behind(config: FlowConfig, remote: Remote) -> list[str]:
    """Kinds of the session's stores of which the mirror holds what this machine has not."""
    session = session_of(config)
    kinds = [kind for _, kind in remote_stores(remote, session)]
    return [kind for kind in kinds if is_behind(GenerationStore.of(config.root, session, kind), remote)]


def pull_session(config: FlowConfig, remote: Remote, kinds: Sequence[str]) -> None:
    """Bring what a continuing night reads, as far as it is not here: stores, the session's nights, the champion."""
    for kind in kinds:
        pull_store(session_of(config), kind, remote, config.root)
    missing = [name for name in remote_runs(remote) if not (config.root / name).exists()]
    if not missing:
        return
    champion = _champion_run(config)
    for name in missing:
        if name == champion or _is_of_session(name, config, remote):
            pull_run(name, remote, config.root)


def _is_of_session(name: str, config: FlowConfig, remote: Remote) -> bool:
    if PurePosixPath(name).parts[1] != config.flow:
        return False
    with suppress(ConfigError):  # of another version: it can be read by no night
        known = remote_config(name, remote, config.root)
        return not known.fresh and session_of(known) == session_of(config)
    return False


def _champion_run(config: FlowConfig) -> str | None:
    """The name of the run that trained the champion, as the registry has it."""
    if not isinstance(config, ConsolidationConfig):
        return None
    place = champion_place(config.tracking, config.root, adapter_name(config.model))
    return None if place is None else "/".join(PurePosixPath(place).parts[:4])


def push_missing(config: FlowConfig, remote: Remote) -> list[str]:
    """Push every finished run that was started with this mirror and is not there, and the stores of their sessions.

    Returns:
        One line for everything that could not be pushed, with how to do it by hand.
    """
    try:
        there = set(remote_runs(remote))
        runs = [run for run in reversed(list_runs(config.root)) if run.state == "done" and run_name(run) not in there]
    except ArtifactError as error:
        return [_problem("what this night did", remote, error, "")]
    problems: list[str] = []
    sessions = [] if config.fresh else [session_of(config)]
    for run in runs:
        try:
            known = run.config()
            if known.mirror.url != config.mirror.url:
                continue
            sessions += [] if known.fresh else [session_of(known)]
            push_run(run, remote)
        except EngramError as error:
            problems.append(_problem(run_name(run), remote, error, f" --run {run_name(run).removeprefix('runs/')}"))
    for session in dict.fromkeys(sessions):
        for store in local_stores(config.root, session):
            try:
                push_store(store, remote)
            except EngramError as error:
                told = f"memory/{session}/{store.folder.name}"
                problems.append(_problem(told, remote, error, f" --session {session}"))
    return problems


def _problem(what: str, remote: Remote, error: EngramError, chosen: str) -> str:
    return (
        f"not pushed to {remote.url}: {what} ({error}). All of it is finished and lies here; the next night with this "
        f'mirror tries again, or by hand: engram push "{remote.url}"{chosen}'
    )
