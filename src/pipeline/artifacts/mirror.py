"""Finished runs and the current generations of stores at a URL: pushed there, and pulled from there by another machine.

    <URL>/runs/<flow>/<deployment>/<run id>/…       with published.json, put last: path, size, SHA-256 of every file
          memory/<session>/<kind>/gen-000007/…      then gen-000007/manifest.json, then CURRENT.json

What is pushed never changes afterwards, manifests come last, and whoever pulls checks every digest: so a reader sees a
whole run or generation or none, and a push that was cut short is taken up by the next. Locks have no counterpart on
S3. In their place ``MIRRORS.json`` beside a store notes which generation this machine last had in common with a URL. A
push refuses a store whose remote generation is neither that one nor an ancestor that this machine has itself (pull
first), as git refuses a branch that is no fast-forward; a pull refuses to replace what was never published. Two
machines that push one session in the same second can still overtake each other: let one machine write a session, and
others read it.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.artifacts.atomic import sweep
from pipeline.artifacts.digests import digest_file
from pipeline.artifacts.disk import cannot_write, fsync_folder, remove_tree
from pipeline.artifacts.generations import CURRENT, Generation, GenerationStore
from pipeline.artifacts.manifest import SCHEMA_VERSION, Manifest, ManifestFile, files_below, load
from pipeline.artifacts.remote import Remote
from pipeline.artifacts.runs import RunFolder
from pipeline.artifacts.sealed import read_sealed, write_sealed
from pipeline.config import FlowConfig, check_name, read_config
from pipeline.errors import ArtifactError, StoreError

PUBLISHED = "published.json"
MANIFEST = "manifest.json"
MIRRORS = "MIRRORS.json"


@dataclass(frozen=True)
class Moved:
    """What one push or pull did: its name, and how many files went; none when it was there already."""

    name: str
    files: int


def push_run(run: RunFolder, remote: Remote) -> Moved:
    """Publish a finished run.

    Raises:
        ArtifactError: It is not finished; or another run of that name was published.
    """
    name = run_name(run)
    if run.state != "done":
        raise ArtifactError(f"run {name} is {run.state}; only finished runs are pushed, which never change again")
    files = [path for path in files_below(run.path) if not path.name.endswith(".lock")]
    listed = tuple(_described(run.path, path) for path in files)
    known = _manifest(remote, f"{name}/{PUBLISHED}")
    wanted = Manifest(listed, {"run": name})
    if known is not None:
        if known.digest != wanted.digest:
            raise ArtifactError(f"{remote.url} already holds another {name}; a run that was published is never changed")
        return Moved(name, 0)
    for entry in listed:
        remote.upload(run.path / entry.path, f"{name}/{entry.path}")
    body = {"schema_version": SCHEMA_VERSION, "files": [asdict(entry) for entry in listed], "metadata": wanted.metadata}
    remote.write(f"{name}/{PUBLISHED}", json.dumps(body, indent=2).encode())
    return Moved(name, len(listed))


def remote_runs(remote: Remote) -> list[str]:
    """``runs/<flow>/<deployment>/<run id>`` of every published run, sorted."""
    found = [f"runs/{name}" for name in remote.names("runs", 4) if name.endswith(f"/{PUBLISHED}")]
    return [name.removesuffix(f"/{PUBLISHED}") for name in found]


def remote_config(name: str, remote: Remote, root: Path) -> FlowConfig:
    """The configuration of a published run, as if it lay below an artifact root.

    Raises:
        ArtifactError: It cannot be read.
        ConfigError: It does not fit this version of Engram.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "config.yaml"
        copy.write_bytes(remote.read(f"{name}/config.yaml") or b"")
        return read_config(copy, root)


def pull_run(name: str, remote: Remote, root: Path) -> Moved:
    """Bring a published run below an artifact root; it appears whole or not at all.

    Args:
        name: ``runs/<flow>/<deployment>/<run id>``.
        remote: Where it was published.
        root: Artifact root.

    Raises:
        ArtifactError: It is not there, a file differs from its digest, or another run of that name lies here.
    """
    for part in name.split("/"):
        check_name(part, "run")
    manifest = _manifest(remote, f"{name}/{PUBLISHED}")
    if manifest is None:
        raise ArtifactError(f"{remote.url} holds no {name}; it has: {', '.join(remote_runs(remote)[-3:]) or 'none'}")
    target = root / name
    if target.exists():
        _refuse_other(target, manifest, remote)
        return Moved(name, 0)
    staging = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        for entry in manifest.files:
            remote.download(f"{name}/{entry.path}", staging / entry.path)
            _verify(staging / entry.path, entry, remote)
        try:
            staging.rename(target)
            fsync_folder(target.parent)
        except OSError as error:
            raise cannot_write(target, error) from error
    finally:
        if staging.exists():
            remove_tree(staging)
    return Moved(name, len(manifest.files))


def push_store(store: GenerationStore, remote: Remote) -> Moved:
    """Publish the current generation of a store, and remove older ones from there, which may hold forgotten episodes.

    Raises:
        StoreError: It was never written; or another machine has published what this one has not pulled.
        ArtifactError: A file is damaged, or cannot be written.
    """
    name, current = _store_name(store), store.current()
    if current is None:
        raise StoreError(f"{store.folder}: nothing was written yet, so there is nothing to push")
    there = _manifest(remote, f"{name}/{CURRENT}")
    if there is not None:
        if _is(current, there):
            _note(store, remote, there)
            return Moved(name, 0)
        if not _follows(store, remote, there):
            raise StoreError(
                f"{name}: {remote.url} holds generation {_number(there)}, which is not one that generation "
                f"{current.number} of this machine follows; pull it into an empty folder and compare, then decide "
                "which one to keep"
            )
    folder = f"gen-{current.number:06d}"
    for entry in current.manifest.files:
        remote.upload(store.folder / entry.path, f"{name}/{entry.path}")
    remote.upload(current.path / MANIFEST, f"{name}/{folder}/{MANIFEST}")
    remote.write(f"{name}/{CURRENT}", (store.folder / CURRENT).read_bytes())
    for older in remote.names(name):
        if older.startswith("gen-") and older < folder:
            remote.remove(f"{name}/{older}")
    _note(store, remote, current.manifest)
    return Moved(name, len(current.manifest.files))


def is_behind(store: GenerationStore, remote: Remote) -> bool:
    """Whether a URL holds a generation that this machine's current one neither is nor was built on."""
    there, current = _manifest(remote, f"{_store_name(store)}/{CURRENT}"), store.current(verify=False)
    if there is None:
        return False
    return current is None or not (_is(current, there) or _follows(store, remote, there))


def was_mirrored(store: GenerationStore, remote: Remote) -> bool:
    """Whether this machine ever had a generation in common with a URL."""
    return remote.url in _noted(store)


def local_stores(root: Path, session: str) -> list[GenerationStore]:
    """Every store of a session below an artifact root, of whatever flow, by kind."""
    found = (root / "memory" / check_name(session, "session")).glob(f"*/{CURRENT}")
    return [GenerationStore(path.parent) for path in sorted(found)]


def remote_stores(remote: Remote, session: str | None = None) -> list[tuple[str, str]]:
    """(session, kind) of every published store, or of those of one session, sorted."""
    if session is not None:
        below = remote.names(f"memory/{check_name(session, 'session')}", 2)
        return [(session, name.partition("/")[0]) for name in below if name.endswith(f"/{CURRENT}")]
    found = (name.split("/") for name in remote.names("memory", 3) if name.endswith(f"/{CURRENT}"))
    return [(session, kind) for session, kind, _ in found]


def pull_store(session: str, kind: str, remote: Remote, root: Path) -> Moved:
    """Make the published generation of a store the current one here, unless it is.

    Raises:
        StoreError: Another process writes the store; or this machine has written what is not published.
        ArtifactError: A file is missing or differs from its digest; the store here is as it was.
    """
    store = GenerationStore.of(root, session, kind)
    name = _store_name(store)
    with store.writing():
        sweep(store.folder)
        there = _manifest(remote, f"{name}/{CURRENT}")
        if there is None:
            raise ArtifactError(f"{remote.url} holds no {name}")
        number, current = _number(there), store.current(verify=False)
        if current is not None and _is(current, there):
            _note(store, remote, there)
            return Moved(name, 0)
        if current and (current.number >= number or _noted(store).get(remote.url) != _mark(current.manifest)):
            raise StoreError(
                f"{name}: generation {current.number} of this machine is not what {remote.url} holds "
                f"(generation {number}); push it, or pull below another artifact root"
            )
        folder = f"gen-{number:06d}"
        if strange := [entry.path for entry in there.files if not entry.path.startswith(f"{folder}/")]:
            raise ArtifactError(f"{name}/{CURRENT} at {remote.url}: names {strange[0]!r}, which is not in {folder}")
        for entry in there.files:
            remote.download(f"{name}/{entry.path}", store.folder / entry.path)
            _verify(store.folder / entry.path, entry, remote)
        remote.download(f"{name}/{folder}/{MANIFEST}", store.folder / folder / MANIFEST)
        remote.download(f"{name}/{CURRENT}", store.folder / CURRENT)
        store.current()
        _note(store, remote, there)
    return Moved(name, len(there.files))


def _is(current: Generation, there: Manifest) -> bool:
    return _mark(current.manifest) == _mark(there)


def _follows(store: GenerationStore, remote: Remote, there: Manifest) -> bool:
    """Whether this machine went on from what is there: it had it in common with the URL, or has it still."""
    if _noted(store).get(remote.url) == _mark(there):
        return True
    current = store.current(verify=False)
    try:
        own = store.generation(_number(there), verify=False)
    except ArtifactError:
        return False
    same = [file.sha256 for file in own.manifest.files] == [file.sha256 for file in there.files]
    return same and current is not None and own.number < current.number


def _noted(store: GenerationStore) -> dict[str, str]:
    """By URL, the mark of the generation that it and this machine last had in common."""
    path = store.folder / MIRRORS
    noted: dict[str, str] = read_sealed(path) if path.exists() else {}
    return noted


def _note(store: GenerationStore, remote: Remote, common: Manifest) -> None:
    noted = _noted(store)
    if noted.get(remote.url) != _mark(common):
        write_sealed(store.folder / MIRRORS, noted | {remote.url: _mark(common)})


def _mark(manifest: Manifest) -> str:
    return f"{_number(manifest)} {manifest.digest}"


def _number(manifest: Manifest) -> int:
    try:
        return int(manifest.metadata["generation"])
    except (KeyError, TypeError, ValueError):
        raise ArtifactError(f"{CURRENT} at the URL names no generation; push the store again") from None


def _manifest(remote: Remote, path: str) -> Manifest | None:
    """A manifest at the URL, not yet compared with its files; None where there is none."""
    data = remote.read(path)
    if data is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(path).name
        copy.write_bytes(data)
        try:
            return load(copy, verify=False)
        except ArtifactError as error:
            raise ArtifactError(f"{path} at {remote.url}: {str(error).partition(': ')[2]}") from None


def _refuse_other(folder: Path, manifest: Manifest, remote: Remote) -> None:
    for entry in manifest.files:
        _verify(folder / entry.path, entry, remote)


def _verify(path: Path, entry: ManifestFile, remote: Remote) -> None:
    if not path.is_file() or digest_file(path) != entry.sha256:
        raise ArtifactError(f"{path}: differs from what the manifest at {remote.url} says of {entry.path}")


def _described(folder: Path, path: Path) -> ManifestFile:
    return ManifestFile(path.relative_to(folder).as_posix(), None, path.stat().st_size, digest_file(path))


def run_name(run: RunFolder) -> str:
    """``runs/<flow>/<deployment>/<run id>``."""
    return "/".join(["runs", *run.path.parts[-3:]])


def _store_name(store: GenerationStore) -> str:
    return "/".join(["memory", *store.folder.parts[-2:]])
