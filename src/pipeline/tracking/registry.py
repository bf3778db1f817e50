"""The model registry: adapters as versions, ``challenger`` before the verdict, ``champion`` after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from pipeline.artifacts import digest_tree
from pipeline.config import TrackingConfig
from pipeline.errors import ArtifactError, ServiceError
from pipeline.tracking.history import NIGHT, record
from pipeline.tracking.store import open_client, quietly, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
PATH_TAG, DIGEST_TAG, GATE_TAG = "engram.path", "engram.digest", "gate"
SLOW, SLOW_TAG = "slow", "engram.slow_digest"
"""Folder of a slow average of adapters, always beside the adapter's own, and the tag with its digest."""


def register(
    client: MlflowClient,
    root: Path,
    run_id: str,
    adapter: Path,
    name: str,
    artifact_uri: str,
    slow: Path | None = None,
    lineage: Mapping[str, str] | None = None,
) -> int:
    """Register an adapter whose files already lie below the run's artifacts; the same one of the same run only once.

    Args:
        client: Of the registry.
        root: Artifact root.
        run_id: MLflow's id of the run.
        adapter: Its folder.
        name: Of the registered model.
        artifact_uri: Of the copy.
        slow: Folder of the slow average beside it, if there is one.
        lineage: What it was made from, as tags of the version.

    Returns:
        Its version, which now is the ``challenger``.
    """
    from mlflow.exceptions import MlflowException

    digest = digest_tree(adapter)
    try:
        client.create_registered_model(name)
    except MlflowException:
        client.get_registered_model(name)  # it exists; anything else is an error
    for known in client.search_model_versions(f"name = {_quoted(name)}"):
        if known.run_id == run_id and known.tags.get(DIGEST_TAG) == digest:
            return int(known.version)
    tags = {DIGEST_TAG: digest, PATH_TAG: _relative(adapter, root)}
    tags |= {} if slow is None else {SLOW_TAG: digest_tree(slow)}
    tags |= lineage or {}
    told = ", ".join(f"{key.removeprefix('engram.')} {text}" for key, text in (lineage or {}).items())
    created = client.create_model_version(name, source=artifact_uri, run_id=run_id, tags=tags, description=told or None)
    client.set_registered_model_alias(name, CHALLENGER, created.version)
    return int(created.version)


def move_champion(client: MlflowClient, name: str, version: int, why: str = NIGHT) -> None:
    """Point ``champion`` at a version, and note it in the history; going back to an earlier one is the same call."""
    known = _champion(client, name)
    record(client, name, version, None if known is None else int(known.version), why)
    client.set_model_version_tag(name, str(version), GATE_TAG, "passed")
    client.set_registered_model_alias(name, CHAMPION, str(version))


def champion_version(client: MlflowClient, name: str) -> int | None:
    """The version that ``champion`` points at, if any."""
    found = _champion(client, name)
    return int(found.version) if found is not None else None


def champion_path(client: MlflowClient, root: Path, name: str) -> Path | None:
    """The folder of the champion's adapter: in its run if that is still there, else the registry's copy.

    Raises:
        ArtifactError: Neither is there, or the files differ from what was registered.
    """
    found = _champion(client, name)
    return None if found is None else _verified(found, root, name)


def checked_version(client: MlflowClient, root: Path, name: str, version: int) -> Path:
    """The folder of any version's adapter, verified.

    Raises:
        ServiceError: There is no such version.
        ArtifactError: Its files are gone, or differ from what was registered.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise ServiceError(f"{name} has no version {version}; `engram champions` lists them") from None
    return _verified(found, root, name)


def _verified(found: ModelVersion, root: Path, name: str) -> Path:
    candidates = _places(found, root)
    for path in candidates:
        if path.is_dir():
            if digest_tree(path) != found.tags.get(DIGEST_TAG):
                raise ArtifactError(f"{path}: differs from version {found.version} of {name}, which was registered")
            return path
    raise ArtifactError(f"version {found.version} of {name}: no adapter at {candidates[0]} or {found.source}")


def champion_slow(client: MlflowClient, root: Path, name: str) -> Path | None:
    """The folder of the slow average beside the champion's adapter, in its run or the registry; None without one.

    Raises:
        ArtifactError: One was registered, and no folder holds what was.
    """
    found = _champion(client, name)
    if found is None or SLOW_TAG not in found.tags:
        return None
    places = [path.parent / SLOW for path in _places(found, root)]
    for path in places:
        if path.is_dir() and digest_tree(path) == found.tags[SLOW_TAG]:
            return path
    raise ArtifactError(
        f"champion of {name} (version {found.version}): its slow average is missing or differs from what was "
        f"registered, in {' and '.join(map(str, places))}"
    )


def _places(version: ModelVersion, root: Path) -> list[Path]:
    """Where a version's adapter may lie: in its run, and as the registry's copy."""
    source = urlparse(version.source)
    places = [root / str(version.tags.get(PATH_TAG, "-"))]
    return [*places, Path(unquote(source.path))] if source.scheme == "file" else places


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _relative(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def _quoted(name: str) -> str:
    return json.dumps(name)


def champion(config: TrackingConfig, root: Path, name: str) -> Path | None:
    """The champion's adapter without opening a run: for ``engram ask`` and continuing nights.

    Returns:
        Its folder; None when nothing was promoted yet, or tracking is off.
    """
    if (client := _known_registry(config, root)) is None:
        return None
    with quietly(tracking_uri(config, root)):
        return champion_path(client, root, name)


def champion_place(config: TrackingConfig, root: Path, name: str) -> str | None:
    """Where the champion's adapter was trained, relative to the artifact root, whether it lies here or not.

    Returns:
        ``runs/<flow>/<deployment>/<run id>/…``; None when nothing was promoted yet, or tracking is off.
    """
    if (client := _known_registry(config, root)) is None:
        return None
    with quietly(tracking_uri(config, root)):
        found = _champion(client, name)
    return None if found is None else found.tags.get(PATH_TAG)


def _known_registry(config: TrackingConfig, root: Path) -> MlflowClient | None:
    """A client of the registry; None where tracking is off, or nothing was ever registered."""
    uri = tracking_uri(config, root)
    if not config.enabled or (uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file()):
        return None
    return open_client(uri)
