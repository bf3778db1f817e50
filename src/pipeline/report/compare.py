"""What differs between runs: configuration, data, figures and answers; what is equal is left out.

comparison = compare([path_a, path_b])
for table in comparison_tables(comparison): console.print(table)     # pipeline.report.comparison_terminal
comparison_page(comparison)                                          # pipeline.report.comparison_page
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts import read_json
from pipeline.config.yaml_tree import read_yaml
from pipeline.errors import ArtifactError, ConfigError
from pipeline.report.answer_changes import AnswerChanges, AnswerDifferences, answer_changes, read_answers
from pipeline.report.base import RunReport
from pipeline.report.flows import load_any_report

NEVER_THE_SAME = ("run_id", "started", "finished", "timings.", "peak_memory_bytes", "workers.")
TOLD_AS_CONFIGURATION = ("flow", "deployment", "model", "code_version", "device", "placement")
TOLD_BY_CONFIGURATION = ("seed", "config_hash")
TOO_FINE = (".by_form.", ".by_relation.", ".em_ci95", ".ci95", ".by_gold")
OUTCOMES = ("lora_train", "evaluate", "promote", "report")  # stages whose files are figures and answers, not data
HEADLINES = (
    "promoted", "arms.post_off_heldout.em", "arms.post_off.em", "arms.post_off_probe.em", "arms.pre_off.em",
    "arms.memory_on.em", "arms.untaught.em", "uplift.em", "sanity.delta", "sanity.kept", "takeover", "drift.kl_base",
    "drift.ppl_ratio", "guards.",
)  # fmt: skip
_ABSENT = "(absent)"
_MOST_LETTERS = 26

Rows = tuple[tuple[str, tuple[str, ...]], ...]  # (name, one text per run)


@dataclass(frozen=True)
class Comparison:
    """All that differs between runs, in the order in which they were named.

    Attributes:
        reports: The runs.
        labels: A short name for each: A, B, C.
        config: Settings, and what code and machine ran.
        data: What was taught, stored, sampled and trained on, by digest; generations of the stores.
        figures: Of the reports, headlines first.
        changes: Of the answers.
        curves: Loss by step of every run that has it.
    """

    reports: tuple[RunReport, ...]
    labels: tuple[str, ...]
    config: Rows
    data: Rows
    figures: Rows
    changes: AnswerChanges
    curves: tuple[pa.Table | None, ...] = ()

    @property
    def answers(self) -> tuple[AnswerDifferences, ...]:
        """Every later run against the first."""
        return self.changes.against_first

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.config or self.data or self.figures or any(told.different for told in self.answers))


def compare(runs: Sequence[Path]) -> Comparison:
    """Compare finished runs.

    Args:
        runs: Two or more run folders.

    Raises:
        ArtifactError: Fewer than two runs, or a file of a run is missing or damaged.
    """
    if len(runs) < 2:
        raise ArtifactError(f"compare needs two or more runs, found {len(runs)}")
    reports = tuple(load_any_report(run) for run in runs)
    told = [report.to_json() for report in reports]
    settings = [
        {name: values[name] for name in TOLD_AS_CONFIGURATION if name in values} | flatten(_config(run))
        for run, values in zip(runs, told, strict=True)
    ]
    return Comparison(
        reports=reports,
        labels=tuple(_label(i) for i in range(len(runs))),
        config=differing(settings),
        data=differing([_data(run) for run in runs]),
        figures=_headlines_first(differing([_figures(report) for report in reports])),
        changes=answer_changes([read_answers(run) for run in runs], [report.run_id for report in reports]),
        curves=tuple(_curve(run) for run in runs),
    )


def _label(i: int) -> str:
    """A to Z, then A1, B1 and so on."""
    letter = chr(ord("A") + i % _MOST_LETTERS)
    return letter if i < _MOST_LETTERS else f"{letter}{i // _MOST_LETTERS}"


def flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted names; lists stay values."""
    if not isinstance(value, Mapping):
        return {name: value}
    if not value and name:
        return {name: "{}"}
    return {key: v for k, part in value.items() for key, v in flatten(part, f"{name}.{k}" if name else str(k)).items()}


def differing(columns: Sequence[Mapping[str, Any]]) -> Rows:
    """The names whose values are not the same in every mapping, in order of first appearance."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = ((name, tuple(_text(column.get(name, _ABSENT)) for column in columns)) for name in names)
    return tuple((name, texts) for name, texts in rows if len(set(texts)) > 1)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _config(run: Path) -> Any:
    path = run / "config.yaml"
    try:
        return read_yaml(path).plain()
    except ConfigError as error:
        raise ArtifactError(f"{path}: cannot read the configuration ({error})") from None


def _data(run: Path) -> dict[str, str]:
    """Store generations, then rows and first digits of the digest of what was taught, sampled and trained on."""
    stores = run / "persist_store" / "store.json"
    told = {
        f"store {store['kind']}": f"{store['session']} generation {store['generation']} ({store['digest'][:8]})"
        for store in (read_json(stores).get("stores", []) if stores.is_file() else [])
    }
    for path in sorted(run.glob("*/manifest.json")):
        for file in read_json(path).get("files", []) if path.parent.name not in OUTCOMES else []:
            if file["path"] != stores.name:
                rows = f"{file['rows']} rows " if file.get("rows") is not None else ""
                told[f"{path.parent.name}/{file['path']}"] = f"{rows}{str(file['sha256'])[:8]}"
    return told


def _figures(report: RunReport) -> dict[str, Any]:
    values = report.to_json()
    values["guards"] = {guard.name: guard.value for guard in report.guards}
    for name in (*TOLD_AS_CONFIGURATION, *TOLD_BY_CONFIGURATION):
        values.pop(name, None)
    return {
        name: value
        for name, value in flatten(values).items()
        if not name.startswith(NEVER_THE_SAME) and not any(part in f"{name}." for part in TOO_FINE)
    }


def _headlines_first(rows: Rows) -> Rows:
    def rank(name: str) -> int:
        found = (
            i for i, known in enumerate(HEADLINES) if name == known or (known[-1] == "." and name.startswith(known))
        )
        return next(found, len(HEADLINES))

    return tuple(sorted(rows, key=lambda row: rank(row[0])))


def _curve(run: Path) -> pa.Table | None:
    """Loss by step, whatever else the version that trained wrote beside it."""
    path = run / "lora_train" / "steps.parquet"
    if not path.is_file():
        return None
    try:
        return pq.read_table(path, columns=["step", "loss"])
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error})") from None
