"""The page of results: which runs belong together, and what their figures have to reach (configs/results.yaml)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from pipeline.config.loading import config_root, load_section
from pipeline.config.section import Section


class GroupConfig(Section):
    """Runs of one deployment and size; its seeds are the runs with the settings of the deployment, and ``settings``."""

    title: str = Field(description="heading of the section")
    about: str = Field("", description="what is taught and asked, in a sentence")
    deployment: str = Field(description="second half of FLOW/DEPLOYMENT")
    facts: int | None = Field(None, ge=1, description="facts of a night; null takes any number")
    nights: int | None = Field(None, ge=1, description="nights of a month; null takes any number")
    has: str | None = Field(None, description="number that the report must hold, by its dotted name")
    settings: dict[str, Any] = Field(
        {}, description="value by dotted key that its runs set, as of --set; the size is one of them"
    )
    headline: str = Field("arms.post_off_heldout.em", description="figure that is drawn")
    reproducibility: str = Field("", description="section of REPRODUCIBILITY.md, as its heading stands there")


class RowConfig(Section):
    """One line of the summary; a row without a bar is reported."""

    group: str = Field(description="name of the group")
    figure: str = Field(description="dotted name of a number of report.json, or of pipeline.results.figures")
    title: str = Field(description="what it is, in a few words")
    at_least: float | None = Field(None, description="smallest value that meets the bar")
    at_most: float | None = Field(None, description="largest value that meets the bar")
    within: float | None = Field(None, ge=0, description="largest distance from zero that meets the bar")
    over: str | None = Field(None, description="figure of the same run that is added to the bar")
    aim: float | None = Field(None, description="what is hoped for beyond the bar")

    @model_validator(mode="after")
    def _one_bar(self) -> Self:
        if sum(bar is not None for bar in (self.at_least, self.at_most, self.within)) > 1:
            raise ValueError("expected one of at_least, at_most and within")
        if self.over is not None and self.at_least is None and self.at_most is None:
            raise ValueError("over is added to at_least or at_most; give one of them")
        return self


class ResultsConfig(Section):
    """What the page holds, in its order."""

    beside: tuple[str, ...] = Field(description="settings that change no night, or only how much of it is examined")
    groups: dict[str, GroupConfig] = Field(min_length=1, description="by name, in the order of the sections")
    rows: tuple[RowConfig, ...] = Field(description="the summary")

    @model_validator(mode="after")
    def _rows_have_groups(self) -> Self:
        if strange := [row.group for row in self.rows if row.group not in self.groups]:
            raise ValueError(f"rows: no group is called {strange[0]!r}; there are {', '.join(self.groups)}")
        if bad := [name for name in self.groups if not re.fullmatch(r"[a-z0-9][a-z0-9x@-]*", name)]:
            raise ValueError(f"groups: {bad[0]!r} becomes a file's name; use small letters, digits, '@' and '-'")
        return self


def load_results(path: Path | None = None) -> ResultsConfig:
    """The configuration of the page; None is ``configs/results.yaml``.

    Raises:
        ConfigError: The file is missing or wrong; the message names file and line.
    """
    return load_section(ResultsConfig, path or config_root() / "results.yaml")
