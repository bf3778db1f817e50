"""Comparison of runs: what differs, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from pipeline.artifacts import write_bytes, write_json, write_table
from pipeline.errors import ArtifactError
from pipeline.report.compare import compare, comparison_plot, comparison_tables, differing, flatten
from tests.report.examples import IDENTITY, answered, make_report

SUITE, ANSWERS = answered()


def write_run(root: Path, name: str, answers: pa.Table = ANSWERS, config: str = "seed: 1337\nsuite: {n: 8}\n") -> Path:
    folder = root / name
    identity = IDENTITY.model_copy(update={"run_id": name, "started": f"2026-11-2{len(name)}"})
    report = make_report(SUITE, answers, identity=identity, timings={"teach": float(len(name))})
    write_json(folder / "report.json", report.to_json())
    write_bytes(folder / "config.yaml", config.encode())
    write_table(folder / "evaluate" / "answers.parquet", answers, "answers/1", "0" * 16)
    digest = str(abs(hash(config)))
    write_json(folder / "teach" / "manifest.json", {"files": [{"path": "facts.parquet", "sha256": digest}]})
    return folder


def changed(answers: pa.Table) -> pa.Table:
    rows = answers.to_pylist()
    for row in rows:
        if row["arm"] == "post_off_heldout" and row["item_id"] == "e1":
            row |= {"answer": "[bold]elsewhere", "em": 0.0}
    return pa.Table.from_pylist(rows, schema=answers.schema)


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    found = compare([write_run(tmp_path, "one"), write_run(tmp_path, "second")])
    assert (found.config, found.data, found.figures) == ((), (), ())
    assert [(a.different, a.common) for a in found.answers] == [(0, ANSWERS.num_rows)]
    assert [str(table.title) for table in comparison_tables(found)] == ["No differences"]


def test_only_differences_are_shown(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "one"), write_run(tmp_path, "second", changed(ANSWERS), "seed: 7\nsuite: {n: 8}\n")]
    found = compare(runs, examples=2)
    assert found.config == (("seed", ("1337", "7")),)
    assert [name for name, _ in found.data] == ["teach/facts.parquet"]
    figures = dict(found.figures)
    assert "arms.post_off_heldout.em" in figures
    assert not any(name.startswith(("arms.pre_off.", "timings", "started", "run_id")) for name in figures)
    assert found.answers[0].different == 3
    assert len(found.answers[0].examples) == 2
    assert found.answers[0].examples[0].answers[1] == "[bold]elsewhere"
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*comparison_tables(found))
    text = console.export_text()
    assert "3 of" in text
    assert "[bold]elsewhere" in text
    assert comparison_plot(found.reports).axes[0].get_title("left") == "Exact match by arm"


def test_runs_without_answers_compare_their_figures(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "one"), write_run(tmp_path, "second")]
    (runs[1] / "evaluate" / "answers.parquet").unlink()
    assert compare(runs).answers[0].common == 0


@pytest.mark.parametrize("damage", ["report.json", "config.yaml"])
def test_a_missing_file_is_named(tmp_path: Path, damage: str) -> None:
    runs = [write_run(tmp_path, "one"), write_run(tmp_path, "second")]
    (runs[1] / damage).unlink()
    with pytest.raises(ArtifactError, match=damage):
        compare(runs)


def test_one_run_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="two or more"):
        compare([write_run(tmp_path, "one")])


def test_names_are_dotted_and_an_absent_value_differs_from_none() -> None:
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": "{}", "d": [1]}
    assert differing([{"a": None, "b": 1}, {"b": 1}, {"a": None, "b": 1}]) == (("a", ("None", "(absent)", "None")),)
