"""What every configuration section shares: frozen, strictly typed, unknown keys refused, names safe as paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Section(BaseModel):
    """One part of a configuration: immutable, no unknown keys, no silent conversion, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def check_name(name: str, what: str = "name") -> str:
    """Return a name that is safe as one component of a path.

    Args:
        name: A session, run id, flow or deployment.
        what: What the name names, for the message.

    Raises:
        ConfigError: It is empty, too long, starts with punctuation, or holds ``..`` or a separator.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise ConfigError(
            f"{what} {name!r} cannot be part of a path: expected 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit, without '..'"
        )
    return name


def _valid_name(name: str) -> str:
    try:
        return check_name(name)
    except ConfigError as error:
        raise ValueError(str(error)) from None


Name = Annotated[str, Field(strict=False, coerce_numbers_to_str=True), AfterValidator(_valid_name)]
"""A string that becomes one component of a path; YAML numbers such as ``2026`` are taken as text."""

FilePath = Annotated[Path, Field(strict=False)]
"""A path, written as a string in YAML; relative ones are seen from the current folder."""
