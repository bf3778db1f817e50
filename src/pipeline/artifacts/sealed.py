"""JSON that carries the digest of its own values, so that a damaged figure in it is an error and never read.

    {…, "sha256": "9f86d081…"}      over everything else in the object, in canonical form

Files of earlier versions carry none and are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.artifacts.atomic import read_json, write_bytes
from pipeline.artifacts.digests import digest_json
from pipeline.artifacts.jsonable import json_safe
from pipeline.errors import ArtifactError

SEAL = "sha256"


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object atomically with its digest; raises as `pipeline.artifacts.write_json` does."""
    write_bytes(path, _sealed({key: value for key, value in content.items() if key != SEAL}, path.name))


def read_sealed(path: Path) -> Any:
    """Read a JSON file; an object comes without its digest.

    Raises:
        ArtifactError: It is missing or torn, or its values are not those of its digest.
    """
    content = read_json(path)
    if not isinstance(content, dict) or SEAL not in content:
        return content
    told = content.pop(SEAL)
    if digest_json(content) != told:
        raise ArtifactError(
            f"{path}: its values differ from the digest that it carries; the file was changed or damaged after it was "
            "written, restore it"
        )
    return content


def sealed_again(text: str) -> str:
    """The text of a JSON object whose values were changed on purpose, with the digest that fits them now."""
    content = json.loads(text)
    if not isinstance(content, dict) or SEAL not in content:
        return text
    del content[SEAL]
    return _sealed(content, "object").decode()


def _sealed(content: Mapping[str, Any], name: str) -> bytes:
    values = json_safe(content, name)
    text = json.dumps({**values, SEAL: digest_json(values)}, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"
