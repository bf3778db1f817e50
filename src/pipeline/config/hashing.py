"""Canonical JSON and the digest of a configuration: what decides whether two runs are the same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from pipeline.errors import ConfigError

_PLACE_ONLY: dict[str, Any] = {
    "root": True,
    "placement": True,
    "sharding": True,
    "mirror": True,
    "tracking": {"uri"},
}


def canonical_json(value: Any) -> bytes:
    """One byte string per JSON value: sorted keys, no white space, UTF-8, NaN refused (``ValueError``)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def config_dict(config: BaseModel, sections: Sequence[str] | None = None) -> dict[str, Any]:
    """The JSON form of what decides a result: not where and by whom it is found.

    Left out are ``root``, ``placement``, ``sharding``, ``mirror`` and ``tracking.uri``.

    Args:
        config: A flow's configuration, or one section of it.
        sections: Top-level keys to keep; None keeps all.

    Raises:
        ConfigError: A section does not exist.
    """
    values: dict[str, Any] = config.model_dump(mode="json", exclude=_PLACE_ONLY)
    if sections is None:
        return values
    missing = sorted(set(sections) - set(values))
    if missing:
        raise ConfigError(f"configuration has no section {', '.join(missing)}; it has {', '.join(values)}")
    return {name: values[name] for name in sections}


def config_hash(config: BaseModel, sections: Sequence[str] | None = None) -> str:
    """First 16 hex digits of the SHA-256 of :func:`config_dict` as canonical JSON."""
    return hashlib.sha256(canonical_json(config_dict(config, sections))).hexdigest()[:16]
