"""Who was champion when: one tag of the registered model per move of the alias, and the way back.

    engram.champion.000003    {"version": 7, "at": "2026-11-27T04:31:05+00:00", "from": 5, "why": "guards passed"}

The tag is written before the alias moves: a move that a crash cut short stands twice in a row, and is told once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.errors import ServiceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX = "engram.champion."
NIGHT, ROLLBACK = "guards passed", "rolled back"


@dataclass(frozen=True)
class Move:
    """One move of the alias ``champion``.

    Attributes:
        version: Where it points since then.
        at: When, in UTC.
        previous: Where it pointed before; None at first.
        why: ``guards passed``, or ``rolled back``.
    """

    version: int
    at: str
    previous: int | None
    why: str


def moves(client: MlflowClient, name: str) -> list[Move]:
    """Every move of a registered model's champion, oldest first; empty for an unknown model."""
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(name).tags
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return []
        raise
    found = [Move(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(PREFIX)]
    return [move for i, move in enumerate(found) if i == 0 or move.version != found[i - 1].version]


def record(client: MlflowClient, name: str, version: int, previous: int | None, why: str) -> None:
    """Note a move that is about to happen."""
    number = sum(key.startswith(PREFIX) for key in client.get_registered_model(name).tags)
    move = Move(version, datetime.now(UTC).isoformat(timespec="seconds"), previous, why)
    client.set_registered_model_tag(name, f"{PREFIX}{number:06d}", json.dumps(asdict(move)))


def version_before(known: list[Move], current: int) -> int:
    """The version to go back to: the champion before the current one became it, roll-backs left out.

    Raises:
        ServiceError: There was none.
    """
    line: list[int] = []
    for move in known:
        if move.version in line:
            line = line[: line.index(move.version)]  # gone back: what came after it is undone
        line.append(move.version)
    if current in line and line.index(current) > 0:
        return line[line.index(current) - 1]
    raise ServiceError(f"version {current} is the first champion; there is none to go back to (--to VERSION names one)")
