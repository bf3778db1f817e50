"""Go back to an earlier champion: the alias moves, and the facts of the nights that are taken back are due again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.artifacts import RunFolder, write_json
from pipeline.config import ModelConfig, TrackingConfig
from pipeline.errors import ServiceError
from pipeline.sessions.champion import adapter_name, find_champion
from pipeline.stages.feedback import WITHDRAWN
from pipeline.tracking.history import ROLLBACK, Move, moves, version_before
from pipeline.tracking.registry import GATE_TAG, PATH_TAG, checked_version, move_champion
from pipeline.tracking.store import open_client, quietly, tracking_uri


@dataclass(frozen=True)
class RolledBack:
    """What a roll-back did.

    Attributes:
        previous: Version that was the champion.
        version: Version that is now.
        withdrawn: Runs whose facts are due again.
    """

    previous: int
    version: int
    withdrawn: tuple[str, ...]


def roll_back(
    root: Path, to: int | None = None, model: ModelConfig | None = None, tracking: TrackingConfig | None = None
) -> RolledBack:
    """Move ``champion`` to an earlier version, whose files are verified first.

    Args:
        root: Artifact root.
        to: The version; None is the champion before the present one.
        model: The base; None is the embedded one.
        tracking: Where the registry lies; None is the default below ``root``.

    Raises:
        ServiceError: There is no champion, none before it, or no such version.
        ArtifactError: The files of the earlier version are gone or differ; nothing was moved then.
    """
    where, name = tracking or TrackingConfig(), adapter_name(model or ModelConfig())
    champion = find_champion(root, model, where)
    if champion is None:
        raise ServiceError("there is no champion yet, so there is nothing to roll back")
    uri = tracking_uri(where, root)
    client = open_client(uri)
    with quietly(uri):
        target = version_before(moves(client, name), champion.version) if to is None else to
        if target == champion.version:
            raise ServiceError(f"version {target} is the champion already")
        checked_version(client, root, name, target)
        later = range(target + 1, champion.version + 1)
        withdrawn = tuple(run for version in later if (run := _withdraw(client, root, name, version, target)))
        move_champion(client, name, target, ROLLBACK)
    return RolledBack(champion.version, target, withdrawn)


def _withdraw(client: object, root: Path, name: str, version: int, target: int) -> str | None:
    """Mark the run of a version that was champion after the one to go back to."""
    from mlflow import MlflowClient

    assert isinstance(client, MlflowClient)
    known = client.get_model_version(name, str(version))
    if known.tags.get(GATE_TAG) != "passed":
        return None
    client.set_model_version_tag(name, str(version), GATE_TAG, ROLLBACK)
    folder = root / str(known.tags.get(PATH_TAG, "-"))
    run = folder.parent.parent
    if not (run / "manifest.json").is_file():
        return None
    told = {"version": version, "rolled_back_to": target, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(RunFolder.at(run).path / WITHDRAWN, told)
    return run.name


def champion_history(
    root: Path, model: ModelConfig | None = None, tracking: TrackingConfig | None = None
) -> list[Move]:
    """Every move of the champion of a base model, oldest first; arguments as of `roll_back`."""
    where, name = tracking or TrackingConfig(), adapter_name(model or ModelConfig())
    uri = tracking_uri(where, root)
    if not where.enabled or (uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file()):
        return []
    client = open_client(uri)
    with quietly(uri):
        return moves(client, name)
