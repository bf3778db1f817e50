"""Metrics as plain JSON: NumPy scalars converted, NaN refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from pipeline.errors import ArtifactError


def json_safe(value: Any, where: str = "metrics") -> Any:
    """A copy of ``value`` made of dicts with string keys, lists, strings, finite numbers, booleans and None alone.

    Args:
        value: Nested mappings, sequences, NumPy arrays and scalars, paths.
        where: What the message calls the value.

    Raises:
        ArtifactError: A NaN or infinity, a key that is no string, or a type without a JSON form; names the key.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ArtifactError(f"{where} is {value}: expected a finite number; leave out what was not measured")
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArtifactError(f"{where} has the key {key!r}: expected a string")
        return {str(key): json_safe(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise ArtifactError(f"{where} is a {type(value).__name__}: expected numbers, text, lists or mappings")
