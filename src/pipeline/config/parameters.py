"""What an orchestrator can check of a run's parameters before it creates the run: patterns of ``a.b=value``.

Prefect's server compares parameters with a JSON schema. It has no place for our models, but it knows regular
expressions: an unknown key, or text where a number belongs, is refused there. What needs more than one setting to
judge (contradictions, ranges, files) is refused by ``engram run`` before it asks the server, and by the flow itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline.config.loading import known_keys

_INTEGER = r"\s*[-+]?\d+\s*"
_NUMBER = r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*"
_KINDS: dict[Any, str] = {bool: r"\s*(true|false|True|False|TRUE|FALSE)\s*", int: _INTEGER, float: _NUMBER}
_PARTS = r"(\.\w+)*"
_ANY = "[\\s\\S]*"
_NO_LOGIN = r"(?![\s\S]*://[^/\s]\S*@)"  # an address with a password would be kept among the run's parameters
RUN_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def override_pattern(model: type[BaseModel]) -> str:
    """A regular expression that every ``key=value`` which ``model`` can take matches, and few others do.

    Args:
        model: Configuration of a flow.
    """
    groups: dict[tuple[bool, str], list[str]] = {}
    for key, field in known_keys(model).items():
        groups.setdefault((_has_parts(field.annotation), _values(field.annotation)), []).append(re.escape(key))
    told = [
        f"({'|'.join(sorted(keys))}){_PARTS if parts else ''}\\s*={values}" for (parts, values), keys in groups.items()
    ]
    return rf"^{_NO_LOGIN}\s*({'|'.join(told)})$"


def _has_parts(annotation: Any) -> bool:
    """Whether keys below a setting may be set that ``known_keys`` does not list: of optional sections, and of maps."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return False
    return any(_is_map(part) or _has_parts(part) for part in get_args(annotation)) or _is_map(annotation)


def _is_map(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, BaseModel | Mapping)


def _values(annotation: Any) -> str:
    """Pattern of the text that a setting of that type can be; any text where YAML has too many ways to write it."""
    if annotation in _KINDS:
        return _KINDS[annotation]
    origin = get_origin(annotation)
    if origin is Literal and all(isinstance(choice, str) for choice in get_args(annotation)):
        choices = "|".join(re.escape(choice) for choice in get_args(annotation))
        return rf"\s*['\"]?({choices})['\"]?\s*"
    if origin in (Union, UnionType):
        inner = [_values(part) for part in get_args(annotation) if part is not NoneType]
        if len(inner) == 1 and inner[0] != _ANY:
            return rf"({inner[0]}|\s*(null|Null|NULL|~)?\s*)"
    return _ANY
