"""Settings of ``engram bench faults``, from configs/benchmarks/faults.yaml."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import FilePath, Section

Kind = Literal["kill", "enospc", "flip", "crowd"]
Victim = Literal["inline", "flow", "worker", "both", "server"]


class FaultsBenchConfig(Section):
    """What is done to nights, how often, and which nights."""

    seed: int = Field(1337, ge=0, description="of moments, sizes, files and bytes, and of the nights")
    kinds: tuple[Kind, ...] = Field(("kill", "enospc", "flip", "crowd"), strict=False, description="in this order")
    kills: int = Field(20, ge=1, description="processes killed, over all victims")
    kills_per_night: int = Field(5, ge=1, description="after which a night is left in peace")
    victims: tuple[Victim, ...] = Field(
        ("inline",),
        strict=False,
        description="whom kills hit in turn: the process of an inline night (inline), or of nights through the workers "
        "of `engram up` the flow's process (flow), its worker (worker), both, or the Prefect server (server)",
    )
    full_disks: int = Field(10, ge=1, description="times that a disk is full")
    flips: int = Field(10, ge=1, description="files that are damaged")
    teachers: int = Field(4, ge=1, description="`engram teach` at once on one session")
    nights: int = Field(2, ge=1, description="nights at once on it")
    rounds: int = Field(1, ge=1, description="crowds, each on a session of its own")
    facts: int = Field(4, ge=1, description="facts that a teacher teaches")
    suite: str = Field("episodic", description="generated suite of every night")
    n: int = Field(8, ge=1, description="facts of a night's suite")
    night: tuple[str, ...] = Field((), strict=False, description="more settings of every night, a.b=c")
    program: str = Field("pipeline.cli:main", description="what runs as engram, MODULE:FUNCTION")
    timeout: float = Field(900.0, gt=0, description="seconds after which a command counts as hanging")
    folder: FilePath | None = Field(None, description="where nights lie meanwhile; null is a temporary folder")
    keep: bool = Field(False, description="keep the folders of nights that went well")
    prefect_port: int = Field(4260, ge=1, le=65535, description="loopback port of the server that workers use")
    mlflow_port: int = Field(5060, ge=1, le=65535, description="loopback port of its dashboard")

    @model_validator(mode="after")
    def _workers_run_engram_itself(self) -> Self:
        others = [victim for victim in self.victims if victim != "inline"]
        if "kill" in self.kinds and others and self.program != type(self).model_fields["program"].default:
            raise ValueError(
                f"victims {', '.join(others)}: workers run engram itself and not program={self.program}; "
                'leave program out, or set victims=["inline"]'
            )
        return self
