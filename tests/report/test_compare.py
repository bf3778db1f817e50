"""Comparison of runs: what differs, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from pipeline.artifacts import write_bytes, write_json, write_table
from pipeline.errors import ArtifactError
from pipeline.report.compare import compare, differing, flatten
from pipeline.report.comparison_page import comparison_page
from pipeline.report.comparison_plots import arms_plot, comparison_plots
from pipeline.report.comparison_terminal import comparison_tables, sparkline
from tests.report.examples import IDENTITY, answered, make_report

SUITE, ANSWERS = answered()
LOST = sum(row["em"] == 1 for row in ANSWERS.to_pylist() if (row["arm"], row["item_id"]) == ("post_off_heldout", "e1"))
assert LOST > 1  # so that the tests below can fail


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
    found = compare(runs)
    assert found.config == (("seed", ("1337", "7")),)
    assert [name for name, _ in found.data] == ["teach/facts.parquet"]
    figures = dict(found.figures)
    assert "arms.post_off_heldout.em" in figures
    assert not any(name.startswith(("arms.pre_off.", "timings", "started", "run_id")) for name in figures)
    told = found.answers[0]
    assert (told.different, told.lost, told.won) == (3, LOST, 0)
    assert set(told.by_arm) == {"post_off_heldout"}
    assert [turn.key[1] for turn in found.changes.turns] == ["e1"] * LOST
    before, after = found.changes.turns[0].answers
    assert before is not None and before.right
    assert after is not None and (after.text, after.right) == ("[bold]elsewhere", False)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*comparison_tables(found, examples=2))
    text = console.export_text()
    assert f"turned (2 of {LOST})" in text
    assert "[bold]elsewhere" in text
    figure = arms_plot(found)
    assert figure is not None and figure.axes[0].get_title("left") == "Exact match by arm"


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


def test_an_answer_that_turns_back_is_followed_over_all_runs(tmp_path: Path) -> None:
    wrong = changed(ANSWERS)
    runs = [write_run(tmp_path, name, answers) for name, answers in (("a", ANSWERS), ("bb", wrong), ("ccc", ANSWERS))]
    found = compare(runs)
    assert [(told.lost, told.won) for told in found.answers] == [(LOST, 0), (0, 0)]
    marks = {tuple(a is not None and a.right for a in turn.answers) for turn in found.changes.turns}
    assert marks == {(True, False, True)}
    text = io.StringIO()
    Console(width=200, file=text).print(*comparison_tables(found))
    assert "✓✗✓" in text.getvalue() and "█▁█" in text.getvalue()


def test_only_common_questions_are_compared(tmp_path: Path) -> None:
    fewer = ANSWERS.slice(0, ANSWERS.num_rows // 2)
    found = compare([write_run(tmp_path, "one"), write_run(tmp_path, "second", fewer)])
    assert (found.answers[0].common, found.changes.turns) == (fewer.num_rows, ())


def test_the_data_of_a_run_are_its_inputs_and_its_store_not_its_outcome(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "one"), write_run(tmp_path, "second")]
    for number, run in enumerate(runs, start=1):
        store = {"kind": "episodic", "session": "work", "generation": number, "digest": f"{number}" * 64}
        write_json(run / "persist_store" / "store.json", {"stores": [store]})
        file = {"path": "answers.parquet", "rows": 1, "sha256": f"{number}" * 64}
        write_json(run / "evaluate" / "manifest.json", {"files": [file]})
    expected = ("work generation 1 (11111111)", "work generation 2 (22222222)")
    assert compare(runs).data == (("store episodic", expected),)


def test_the_page_shows_the_differences_and_escapes_what_models_say(tmp_path: Path) -> None:
    rows = changed(ANSWERS).to_pylist()
    for row in rows:
        row["answer"] = row["answer"].replace("[bold]elsewhere", "<script>alert(1)</script>")
    attacked = pa.Table.from_pylist(rows, schema=ANSWERS.schema)
    found = compare([write_run(tmp_path, "one"), write_run(tmp_path, "second", attacked)])
    page = comparison_page(found, {("e1", found.changes.turns[0].key[3]): "Where is the <b>lantern</b>?"})
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert "Where is the &lt;b&gt;lantern&lt;/b&gt;?" in page
    assert page.count("data:image/png;base64,") == len(comparison_plots(found)) > 1
    assert "http://" not in page and "https://" not in page
    assert "<h2>Configuration</h2>" not in page  # equal


def test_equal_runs_make_a_page_that_says_so(tmp_path: Path) -> None:
    page = comparison_page(compare([write_run(tmp_path, "one"), write_run(tmp_path, "second")]))
    assert "nothing does" in page and "<img" not in page


def test_a_line_of_bars_shows_where_a_run_has_no_figure() -> None:
    assert sparkline(("0", "(absent)", "1", "0.5")) == "▁ █▅"
    assert sparkline(("a", "b", "c")) == ""
    assert sparkline(("2", "2")) == "▁▁"


def test_of_many_runs_equal_values_stand_together(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "r" * n, config=f"seed: {n % 2}\nskip: {n}\n") for n in range(1, 7)]
    text = io.StringIO()
    Console(width=80, file=text).print(*comparison_tables(compare(runs)))
    assert "1: A C E · 0: B D F" in text.getvalue()
    assert "another in every run, from 1 to 6" in text.getvalue()
    assert max(map(len, text.getvalue().splitlines())) <= 80
