"""What a run set beyond its deployment's file, and the command that repeats it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import PurePath
from typing import Any

from pipeline.config import config_hash, load_config
from pipeline.config.sweeps import as_overrides
from pipeline.errors import ConfigError
from pipeline.report.compare import flatten

NO_SETTINGS = (
    *("flow", "deployment", "root", "session", "placement", "tracking.uri", "tracking.enabled"),
    *("sharding.shards", "sharding.executor", "sharding.address", "mirror.url"),
)
"""Where and by whom a run was done: nothing that anybody has to repeat."""


@cache
def defaults(target: str) -> dict[str, Any] | None:
    """Settings of a deployment as its file stands now, by dotted key; None for one that is no longer there."""
    for given in ([], ["session=any"]):
        try:
            return flatten(load_config(target, given).model_dump(mode="json"))
        except ConfigError:
            continue
    return None


def changed(config: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from those of the deployment; keys that exist no more cannot be set, and are left out.

    Args:
        config: Of a run, by dotted key.
        known: `defaults` of its deployment.
    """
    given = {key: value for key, value in config.items() if key not in NO_SETTINGS and key != "seed"}
    return {key: value for key, value in sorted(given.items()) if _settable(key, known) and known.get(key) != value}


CANDIDATES: tuple[dict[str, Any], ...] = tuple(
    controls | device
    for controls in ({}, {"evaluation.controls": "full"})
    for device in ({}, {"model.device": "cuda"}, {"model.device": "cpu"})
)
"""What a person may have set without changing a night."""


@cache
def recognised(target: str, seed: int, digest: str, given: tuple[str, ...]) -> dict[str, Any] | None:
    """Settings of a run that kept none, where the digest of its configuration is that of a likely one; else None.

    Args:
        target: ``FLOW/DEPLOYMENT``.
        seed: The run's.
        digest: ``config_hash`` of its report.
        given: Settings that its size asks for, as of ``--set``.
    """
    for extra in CANDIDATES:
        for session in ((), ("session=default",)):
            try:
                config = load_config(target, [*given, *session, *as_overrides(extra), f"seed={seed}"])
            except ConfigError:
                continue
            if config_hash(config) == digest:
                return changed(flatten(config.model_dump(mode="json")), defaults(target) or {})
    return None


def _settable(key: str, known: Mapping[str, Any]) -> bool:
    """Whether a setting exists; a whole section may be null, and a mapping may have any keys."""
    parts = key.split(".")
    return key in known or any(".".join(parts[:n]) in known for n in range(1, len(parts)))


def text_of(settings: Mapping[str, Any]) -> str:
    """``a.b=1, c=true``; of a path the file's name alone."""
    return ", ".join(_pairs(settings))


def command(target: str, settings: Mapping[str, Any] | None, seed: int) -> str:
    """The command that repeats a run; without known settings it says so."""
    known = defaults(target) or {}
    parts = [f"seed={seed}", *_pairs(settings or {})]
    if known.get("fresh") is False:
        parts.append("root=FOLDER")  # a night that continues goes on from the champion that lies there
    words = " ".join(f"--set {shlex.quote(part)}" for part in parts)
    return f"engram run {target} {words}" + ("" if settings is not None else "    # other settings: unknown")


def _pairs(settings: Mapping[str, Any]) -> Iterable[str]:
    for key, value in settings.items():
        shown = PurePath(value).name if isinstance(value, str) and value.startswith("/") else value
        yield f"{key}={json.dumps(shown, ensure_ascii=False) if not isinstance(shown, str) else shown}"
