"""What the reports of all flows have in common: which run it was, what it cost, whether it was promoted.

A flow's own schema builds on `RunReport`; `checked` and `read_report` turn what does not fit into one clear error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.artifacts import digest_file, read_json
from pipeline.artifacts.manifest import check_listed
from pipeline.errors import ArtifactError


class Part(BaseModel):
    """A frozen part of the report; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Identity(Part):
    """Which run this is."""

    flow: str
    deployment: str
    run_id: str
    seed: int
    model: str
    config_hash: str
    code_version: str
    started: str  # ISO 8601
    finished: str
    placement: Literal["inline", "workers"]


class Guard(Part):
    """One verdict; a figure that was not measured is None and never passes."""

    name: str
    value: float | None
    threshold: float
    passed: bool


class RunReport(Identity):
    """What every flow reports beside its own figures."""

    workers: dict[str, str]
    timings: dict[str, float]  # seconds
    peak_memory_bytes: int
    device: str | None = None  # that trained
    guards: tuple[Guard, ...]
    promoted: bool
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the flow's own figures before cost and verdict; what is None is left out."""
        common = RunReport.model_fields.keys() - Identity.model_fields.keys()
        own = self.model_dump(mode="json", exclude=common)
        return present(own | self.model_dump(mode="json", include=common))


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


AnyReport = TypeVar("AnyReport", bound=RunReport)


def checked(schema: type[AnyReport], values: Any, where: str) -> AnyReport:
    """Check every figure against a flow's schema.

    Args:
        schema: The flow's report.
        values: Its fields, as plain values.
        where: What the message calls them.

    Raises:
        ArtifactError: A figure is missing, unknown, NaN or of the wrong type; the message names the first five.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'report'}: {e['msg']}" for e in error.errors()[:5]]
        raise ArtifactError(f"{where}: not a report of schema version 1: {'; '.join(problems)}") from None


def read_report(schema: type[AnyReport], path: Path, verify: bool = True) -> AnyReport:
    """Read ``report.json``, named itself or by the run folder that holds it.

    Args:
        schema: The flow's report.
        path: The file or the folder.
        verify: Whether to compare it with the digest that stage ``report`` kept, where that lies beside it.

    Raises:
        ArtifactError: It is missing, torn, or does not fit the schema; or it differs from its digest.
    """
    file = path / "report.json" if path.is_dir() else path
    if verify:
        _check_digest(file)
    return checked(schema, read_json(file), str(file))


def _check_digest(file: Path) -> None:
    """Compare a report with what its run wrote; a file that was copied alone has nothing to be compared with."""
    kept = file.parent / "report" / "files.json"
    if not (kept.parent / "manifest.json").is_file():
        return
    told = read_json(check_listed(kept)).get(file.name)
    if told is not None and digest_file(file) != told:
        raise ArtifactError(
            f"{file}: differs from what stage report wrote; the file was changed or damaged, restore it, or write it "
            "again: engram run … --from report"
        )
