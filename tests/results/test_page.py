"""The page, its plots and the writing of both."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config import config_root, load_config
from pipeline.config.results import load_results
from pipeline.config.sweeps import as_overrides
from pipeline.errors import ArtifactError
from pipeline.report.numbers import known_numbers, possible
from pipeline.report.schema import Report
from pipeline.report.sweep_plots import svg
from pipeline.results import write
from pipeline.results.extras import bench_section
from pipeline.results.figures import DERIVED
from pipeline.results.judging import Results, judge
from pipeline.results.page import page
from pipeline.results.plots import draw, mean_matrix, retention_plot
from pipeline.results.reading import Found, SweepTable, Unfinished, find
from pipeline.results.text import anchor, each, fixed, paragraph
from pipeline.results.write import write_results
from tests.results.examples import CODE, FAILED, OLD_CODE, config, nights, report, run, write_run

REPOSITORY = config_root().parent


def results(**changes: object) -> Results:
    runs = (
        run(1, 0.95, device="H100"), replace(run(2, 0.83, guards=FAILED, promoted=False), curve=((1, 0.1), (2, 0.9))),
        run(1, 0.5, run_id="old", code_version=OLD_CODE, finished="2026-11-26T10:00:00.000+00:00"),
        *nights(1, whole=True), *nights(2, whole=False, month="20261127-0800-aaaaaa"),
    )  # fmt: skip
    stopped = Unfinished("episodic", "bad", 7, "failed", "no <b>memory</b> | left")
    return judge(Found(runs=runs, unfinished=(stopped,), **changes), config())  # type: ignore[arg-type]


def test_the_page_opens_with_every_bar_and_tells_what_is_short() -> None:
    text = page(results(), [], {CODE: "1234567"})
    assert text.startswith("# Results\n\n9 runs and nights, finished from 2026-11-26 to 2026-11-27.")
    assert "Of 2 bars 1 are met, 1 are not, and 0 were not measured." in text
    figures = "unseen | ≥ 0.90 | – | 0.890 | ± 0.762 | 1: 0.950, 2: 0.830 | **short**: seed 2"
    assert f"| [episodic@50](#fifty-events), settings not kept | {figures} |" in text


def test_nothing_is_dropped_silently() -> None:
    text = page(results(unreadable=(("a/report.json", "torn"),)), [], {})
    assert "Of 9 finished runs and nights 1 were refused by a guard." in text and "**refused** by post_on" in text
    assert "1 failed or did not finish: `episodic/bad`, seed 7 (failed: no &lt;b&gt;memory&lt;/b&gt; \\| left)." in text
    assert "1 months were cut short: `month/20261127-0800-aaaaaa`, seed 2, after night 3." in text
    assert "newer code, more questions, or a later date: `episodic/old`, seed 1, code aaaaaaaa." in text
    assert "1 files could not be read: `a/report.json`: torn." in text


def test_a_section_holds_machine_commit_command_arms_and_guards() -> None:
    text = page(results(), ["headlines", "curve-episodic@50"], {CODE: "1234567"})
    section = text.split("## Fifty events")[1].split("\n## ")[0]
    for line in (
        "| 1 | 20261127-1000-000001 | 2026-11-27 10:02 | 1 min 30 s | H100 | 1234567 | cccccccc | passed |",
        "| 2 | 20261127-1000-000002 | 2026-11-27 10:02 | 1 min 30 s | unknown |",
        "| **refused** by post_on |",
        "engram run consolidation/episodic --set seed=2",
        "| `post_off_heldout` | after, memory off, test forms | 0.890 | ± 0.762 | 0.950, 0.830 | 100 |",
        "| `worst_form` | 0.750 | ± 0.000 | 0.750, 0.750 |",
        "| `post_on` | ≥ 0 | -0.05 | **passed 0 of 1** |",
        "![Probe questions while training](results/curve-episodic@50.svg)",
        "| 7 | bad | failed |",
    ):
        assert line in section
    assert "retention-" not in section and "headlines.svg" in text


def test_every_link_leads_somewhere() -> None:
    judged = judge(find_nothing(), load_results())
    full = replace(
        judged, groups=tuple(replace(g, unfinished=(Unfinished("x", "y", 1, "failed", ""),)) for g in judged.groups)
    )
    text = page(full, [], {})
    headings = {anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) == len({row.config.group for row in judged.rows}) and set(links) <= headings
    told = (REPOSITORY / "REPRODUCIBILITY.md").read_text()
    known = {anchor(line.lstrip("# ")) for line in told.splitlines() if line.startswith("#")}
    named = set(re.findall(r"REPRODUCIBILITY\.md#([\w-]+)", text))
    assert len(named) >= 3 and named <= known


def find_nothing() -> Found:
    return Found()


def test_the_shipped_page_asks_for_figures_and_settings_that_there_are() -> None:
    shipped, known = load_results(), known_numbers(Report)
    for row in shipped.rows:
        for name in filter(None, (row.figure, row.over)):
            assert name in DERIVED or possible(name, known), name
    for group in shipped.groups.values():
        load_config(f"consolidation/{group.deployment}", [*as_overrides(group.settings), "session=any"])


def test_sweeps_and_benchmarks_have_sections_and_odd_cells_stay_in_their_tables() -> None:
    rows = (
        {"variant": "a|b", "seeds": "1 2", "held_out": "0.5", "held_out_low": "0.25", "held_out_high": "0.75"},
        {"variant": "c"},
    )
    benches = {
        "sleep": {"machine": "H100 | x", "to EM": {"ours": {"s": 1.5}, "theirs": {"s": 3, "steps": 54}, "odd": 7}}
    }
    text = page(results(sweeps=(SweepTable("ranks", rows),), benches=benches), [], {})
    assert "| a\\|b | as they are | 1 2 | 0.500 (0.250 to 0.750) | none |" in text
    assert "| c | as they are | – | – | none |" in text
    assert "| machine | H100 \\| x |" in text and "| theirs | 3 | 54 |  |" in text and "| odd |  |  | 7 |" in text


def test_plots_are_small_and_the_same_every_time() -> None:
    first, second = draw(results()), draw(results())
    assert first == second
    assert set(first) == {"headlines", "retention-month-3x50", "short-month@50-cut-short", "curve-episodic@50"}
    for data in first.values():
        assert data.startswith(b"<?xml") and len(data) < 150_000 and b"2026" not in data


def test_thirty_nights_make_a_small_plot_too() -> None:
    figure = retention_plot({(i, j): 1 - 0.003 * (i - j) for i in range(1, 31) for j in range(1, i + 1)}, "a month")
    assert figure is not None and len(svg(figure)) < 150_000
    assert retention_plot({(1, 1): 1.0}, "one night") is None


def test_the_mean_matrix_leaves_out_cells_that_not_every_month_has() -> None:
    runs = (*nights(1, whole=True), *nights(2, whole=True, count=2, month="other"))
    months = judge(Found(runs=runs), config()).groups
    entries = [entry for g in months for v in g.variants for entry in v.entries]
    assert mean_matrix(entries) == {(1, 1): 0.9, (2, 1): pytest.approx(0.8), (2, 2): 0.9}


def test_the_same_runs_give_the_same_files_wherever_they_lie(tmp_path: Path) -> None:
    def written(name: str, *folders: Path) -> dict[str, bytes]:
        out = tmp_path / name
        write_results(judge(find(folders), config()), out, {})
        return {
            path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
        }

    one, other, both = tmp_path / "one", tmp_path / "other", tmp_path / "both"
    write_run(one, report(1))
    write_run(other, report(2, 0.8))
    for folder in (one, other):
        shutil.copytree(folder, both, dirs_exist_ok=True)
    first = written("a", one, other)
    assert first == written("b", other, one) == written("c", both, both)
    assert set(first) == {"results.md", "results.json", "results/headlines.svg"}
    assert json.loads(first["results.json"])["rows"][0]["values"] == {"1": 0.95, "2": 0.8}
    assert str(tmp_path).encode() not in b"".join(first.values())


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(results(), tmp_path, {})
    before = (tmp_path / "results.md").read_bytes()

    def full(path: Path, data: bytes) -> None:
        raise ArtifactError(f"{path}: the disk is full")

    monkeypatch.setattr(write, "write_bytes", full)
    with pytest.raises(ArtifactError):
        write_results(judge(Found(runs=(run(1),)), config()), tmp_path, {})
    assert (tmp_path / "results.md").read_bytes() == before and not list(tmp_path.rglob("*.tmp"))


def test_plots_that_are_no_longer_drawn_go_and_other_files_stay(tmp_path: Path) -> None:
    write_results(results(), tmp_path, {})
    (tmp_path / "results/mine.svg").write_text("mine")
    write_results(judge(Found(runs=(run(1),)), config()), tmp_path, {})
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"headlines.svg", "mine.svg"}
    (tmp_path / "results.json").write_text("[]")  # somebody else's
    write_results(judge(Found(runs=(run(1),)), config()), tmp_path, {})


def test_words_and_figures() -> None:
    assert anchor("TOFU: twenty invented authors") == "tofu-twenty-invented-authors"
    assert anchor("The demo's examination") == "the-demos-examination"
    assert fixed(-0.0001, 3) == "0.000" and fixed(1234.5, 0) == "1,234" and fixed(0.5, 1, sign=True) == "+0.5"
    assert each({2: 0.5, 1: 0.25}, 2) == "0.25, 0.50" and paragraph(" ") == []


def test_the_comparison_of_methods_is_shown_as_its_benchmark_shows_it() -> None:
    method = {
        "held_out": {"em": 0.9, "em_ci95": [0.85, 0.95], "worst_form_em": 0.7},
        "sanity": {"delta": -0.01, "kept": 0.95}, "drift": {"kl_base": 0.01, "ppl_ratio": 1.01},
        "untaught": {"em": 0.0}, "near_miss": {"em": 0.0}, "takeover": 0.0, "training_tokens": 1000,
        "written_tokens": None, "seconds": 12.5, "peak_bytes": 2**31,
    }  # fmt: skip
    text = "\n".join(bench_section("methods", {"ours": method}))
    assert "| ours | 0.9 | 0.85–0.95 | 0.7 |" in text
    assert "| x | 3 |" in "\n".join(bench_section("methods", {"something else": {"x": 3}}))
