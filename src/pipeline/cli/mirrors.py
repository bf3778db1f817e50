"""``engram push`` and ``engram pull``: finished runs and stores at a URL, for backup and for other machines."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.terminal import Console

Url = Annotated[str, typer.Argument(help="file:///FOLDER or s3://BUCKET/PREFIX.", show_default=False)]
Runs = Annotated[list[str] | None, typer.Option("--run", help="A run; repeatable.", show_default=False)]
Sessions = Annotated[list[str] | None, typer.Option("--session", help="A session; repeatable.", show_default=False)]


def push(url: Url, runs: Runs = None, sessions: Sessions = None) -> None:
    """Publish finished runs and current store generations; without options, all of them."""
    from pipeline.artifacts import find_run, list_runs
    from pipeline.artifacts.mirror import local_stores, push_run, push_store
    from pipeline.artifacts.remote import Remote
    from pipeline.config import default_root
    from pipeline.stages.memory import MEMORY

    root, remote = default_root(), Remote.at(url)
    everything = not runs and not sessions
    chosen = [find_run(name, root) for name in runs or ()]
    names = list(sessions or ())
    if everything:
        chosen = [run for run in list_runs(root) if run.state == "done"]
        names = sorted(path.name for path in (root / MEMORY).glob("*") if path.is_dir())
    for session in names:
        for store in local_stores(root, session):
            _say(push_store(store, remote))
    for run in chosen:
        _say(push_run(run, remote))


def pull(url: Url, runs: Runs = None, sessions: Sessions = None) -> None:
    """Bring what was published below the artifact root, every digest checked; without options, all of it."""
    from pipeline.artifacts.mirror import pull_run, pull_store, remote_runs, remote_stores
    from pipeline.artifacts.remote import Remote
    from pipeline.config import default_root
    from pipeline.errors import ArtifactError

    root, remote = default_root(), Remote.at(url)
    everything = not runs and not sessions
    stores, published = remote_stores(remote), remote_runs(remote)
    for session in sessions or ():
        if session not in {name for name, _ in stores}:
            raise ArtifactError(f"{url} holds no session {session!r}")
    for session, kind in stores:
        if everything or session in (sessions or ()):
            _say(pull_store(session, kind, remote, root))
    for wanted in published if everything else runs or ():
        matches = [name for name in published if name == wanted or name.endswith(f"/{wanted}")]
        if len(matches) != 1:
            raise ArtifactError(f"{url} holds {len(matches) or 'no'} runs {wanted!r}; name FLOW/DEPLOYMENT/ID")
        _say(pull_run(matches[0], remote, root))


def _say(moved: object) -> None:
    from pipeline.artifacts.mirror import Moved

    assert isinstance(moved, Moved)
    Console().print(f"{moved.name}: {f'{moved.files} files' if moved.files else 'there already'}")
