"""List columns of Parquet files as matrices, a row group at a time: what is read twice over is never more than that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts.atomic import opened_table
from pipeline.errors import ArtifactError


def read_matrix(path: Path, schema: str, column: str) -> NDArray[Any]:
    """A list column whose lists are equally long, shape (n, width), in its own type; (0, 0) without rows.

    Raises:
        ArtifactError: The file is missing, torn or of another schema; or it has no such column of equal lists.
    """
    with opened_table(path, schema) as file:
        if column not in file.schema_arrow.names:
            raise ArtifactError(f"{path}: no column {column!r}; it was written by another stage or version")
        found, done = np.zeros((0, 0), np.float32), 0
        for number in range(file.num_row_groups):
            lists = file.read_row_group(number, [column]).column(0)
            if not len(lists):
                continue
            flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in lists.chunks])
            width = len(flat) // len(lists)
            if not done:
                found = np.empty((file.metadata.num_rows, width), flat.dtype)
            if width * len(lists) != len(flat) or width != found.shape[1]:
                raise ArtifactError(f"{path}: column {column!r} holds lists of unequal length")
            found[done : done + len(lists)] = flat.reshape(-1, width)
            done += len(lists)
        return found
