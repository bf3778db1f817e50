"""The report of a column network: checked, complete in every form, self-contained, and apart from the first flow's."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from pipeline.artifacts import write_json
from pipeline.columns.report.build import MEASURED, load_columns_report
from pipeline.columns.report.plots import PLOTS, draw
from pipeline.columns.report.tables import CONTROLS, accuracy_table, cards, controls_table, percent, points
from pipeline.columns.report.terminal import accuracy_summary, controls_summary
from pipeline.columns.report.write import folded_tables, shown_tables, write_columns_report
from pipeline.errors import ArtifactError
from pipeline.report.figures import guards_table
from pipeline.report.page import page
from pipeline.report.terminal import verdict_table
from tests.columns.examples import ACCURACY, TASKS, make_report, metrics, rasters
from tests.report.examples import answered
from tests.report.examples import make_report as first_flow

REPORT = make_report()


def test_a_report_reads_back_the_same(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", REPORT.to_json())
    assert load_columns_report(tmp_path) == REPORT
    assert load_columns_report(tmp_path / "report.json") == REPORT


def test_plain_values_are_those_that_were_measured_and_leave_out_what_is_undefined() -> None:
    plain, measured = REPORT.to_json(), metrics()
    assert plain["overlap"]["task1"] == {"agreement": 0.9941}
    assert plain["deltas"]["after_task1"] == {"task1": {}}
    assert {name: plain[name] for name in MEASURED if name not in ("overlap", "deltas")} == {
        name: measured[name] for name in MEASURED if name not in ("overlap", "deltas")
    }
    assert plain["notes"] == ["Only a test.", "Written by hand."]
    assert [guard["name"] for guard in plain["guards"]] == ["accuracy", "sleep_drop", "wake_drop"]
    everything = make_report({"replay": {"budget": None, "samples": 12800, "bytes": 10035200}})
    assert everything.to_json()["replay"]["budget"] is None


@pytest.mark.parametrize("name", MEASURED)
def test_a_missing_figure_is_named(name: str) -> None:
    measured = metrics()
    del measured[name]
    with pytest.raises(ArtifactError, match=rf"report\.json: .*{name}: Field required"):
        make_report(metrics=measured)


def put(measured: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The figures with one of them replaced, or removed where ``value`` is None."""
    *parents, last = path.split("/")
    part = measured
    for name in parents:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return measured


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("spike_rate", float("nan"), "spike_rate"),
        ("accuracy/after_sleep/task2", float("nan"), r"accuracy\.after_sleep\.task2"),
        ("accuracy/after_sleep/task2", 96.6, r"accuracy\.after_sleep\.task2"),
        ("masks/before_sleep/task1", [float("inf")], r"masks\.before_sleep\.task1"),
        ("masks/before_sleep/task1", [1.0], "same number of columns"),
        ("mask_entropy/after_sleep", None, "mask_entropy: after_sleep missing"),
        ("occupancy/before_sleep", None, "occupancy: before_sleep missing"),
        ("accuracy/before_sleep", None, "before_sleep and after_sleep as the last stages"),
        ("accuracy/before_sleep", {"task1": 0.9}, r"accuracy\.before_sleep: expected the tasks task1, task2"),
        ("overlap/task1", None, "overlap: expected the tasks"),
        ("spiking/task1", None, "spiking: expected the tasks"),
        ("controls/direct_er/task1", None, r"controls\.direct_er: expected the tasks"),
        ("asked_as/task1", "task9", "task9 is no task"),
        ("control_gains/direct_er", None, "control_gains: expected block_order, direct_er, found block_order"),
        ("control_intervals/direct_er", None, "control_intervals: expected block_order, direct_er, found block_order"),
        ("replay/budget", None, r"replay\.budget"),
        ("steps/wake", 0.5, r"steps\.wake"),
    ],
)
def test_a_wrong_figure_is_named(path: str, value: Any, names: str) -> None:
    with pytest.raises(ArtifactError, match=names):
        make_report(metrics=put(metrics(), path, value))


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"arms": {}}])
def test_another_contract_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write_json(tmp_path / "report.json", REPORT.to_json() | change)
    with pytest.raises(ArtifactError, match=rf"{tmp_path}/report\.json: .*{next(iter(change))}"):
        load_columns_report(tmp_path)


def test_everything_is_written_and_every_figure_shown(tmp_path: Path) -> None:
    paths = write_columns_report(tmp_path, REPORT, rasters(), "seed: 53")
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "report.json", *(f"plots/{name}.png" for name in PLOTS), "report.md", "report.html",
    ]  # fmt: skip
    assert json.loads((tmp_path / "report.json").read_text()) == REPORT.to_json()
    page_text, text = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    for table in (guards_table(REPORT), *shown_tables(REPORT).values(), *folded_tables(REPORT)):
        for row in table.rows:
            assert f"| {' | '.join(html.escape(cell, quote=False) for cell in row)} |" in text
            for cell in row:
                assert f">{html.escape(cell)}</td>".replace("&#x27;", "&#39;") in page_text
    for title, figure, _ in cards(REPORT):
        assert f"<small>{title}</small><b>{figure}</b>" in page_text
        assert f"| {title} | {figure} |" in text
    assert "seed: 53" in page_text
    assert all(f"plots/{name}.png" in text for name in PLOTS)
    assert page_text.count("<p><b>Note.</b>") == text.count("\n> ") == 2


def test_figures_are_those_of_the_measurements() -> None:
    shown = {title: (figure, explanation) for title, figure, explanation in cards(REPORT)}
    assert shown["Accuracy after sleep"] == ("97.8 %", "mean of 4 tasks, test images")
    assert shown["Worst task"][0] == "96.6 %"
    assert shown["Largest drop by day"] == ("0.6 points", "task2, from learned to before sleep")
    assert shown["Drop through sleep"] == ("1.0 points", "mean, from 98.8 %")
    assert shown["Gain over direct_er"][0] == "+0.8 ± 0.5 points"
    tables = shown_tables(REPORT)
    assert tables["accuracy"].columns[1:] == (*TASKS, "before sleep", "after sleep")
    assert tables["accuracy"].rows[2] == ("task1-prime", "–", "–", "99.0", "98.9", "98.9", "97.0")
    assert tables["sleep"].rows[3][:5] == ("task2-prime", "task2", "99.3", "98.2", "1.2")
    assert tables["sleep"].rows[0][5:] == ("–", "–", "0.994", "32")
    assert [row[0] for row in tables["controls"].rows] == ["direct_er", "block_order"]
    assert tables["controls"].rows[1][1:] == (
        CONTROLS["block_order"],
        "69.1",
        "92.8",
        "98.4",
        "99.1",
        "89.9",
        "+7.9 ± 0.9",
    )
    folded = {table.title.split()[0]: table for table in folded_tables(REPORT)}
    assert folded["Change"].rows[1] == ("task2", "–", "-0.5 / -3.1")
    assert folded["Masks"].rows[2] == ("task1-prime", "5", "0.94", "0.293", "0", "0.94", "0.293")
    assert folded["Occupancy"].rows[1] == ("novel", "0.48, 0.48, 0.02, 0.02", "–")
    assert ("replay.budget", "200 images a task") in folded["Other"].rows
    assert [percent(-0.0001), points(-0.0001), points(None)] == ["0.0", "+0.0", "–"]


def test_guards_of_both_flows_know_their_direction() -> None:
    assert [row[2] for row in guards_table(REPORT).rows] == ["≥ 0.95", "≤ 0.03", "≤ 0.01"]
    directions = {row[0]: row[2][0] for row in guards_table(first_flow(*answered())).rows}
    at_most = {"drift.kl_base", "drift.ppl_ratio", "takeover", "refusal_rate"}
    assert {name for name, direction in directions.items() if direction == "≤"} == at_most


def gained(*controls: str) -> dict[str, Any]:
    """Sleep gained one point over each control."""
    intervals = dict.fromkeys(controls, (0.005, 0.015))
    return {"control_gains": dict.fromkeys(controls, 0.01), "control_intervals": intervals}


def test_the_page_loads_nothing_and_texts_stay_texts(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=http://e.vil/i.png>"
    controls = {evil: metrics()["controls"]["direct_er"]}
    report = make_report({"controls": controls} | gained(evil), notes=[evil])
    write_columns_report(tmp_path, report, rasters(), evil)
    page_text = (tmp_path / "report.html").read_text()
    links = re.findall(r"<[^>]*\s(?:src|href)=\"?([^\s\">]*)", page_text)
    assert len(links) == len(PLOTS)
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert re.search(r"<script|<link|<iframe|url\(|@import", page_text) is None
    assert page_text.count("&lt;script&gt;alert(1)") == 3
    assert "<script" not in (tmp_path / "report.md").read_text()


def test_plots_are_pictures_with_something_on_them() -> None:
    drawn = draw(REPORT, rasters())
    assert list(drawn) == list(PLOTS)
    for data in drawn.values():
        assert data.startswith(b"\x89PNG")
        pixels = matplotlib.image.imread(io.BytesIO(data))
        assert len(np.unique(pixels[..., :3].reshape(-1, 3), axis=0)) > 20
    assert draw(REPORT, rasters()) == drawn
    other = make_report({"accuracy": ACCURACY | {"after_sleep": ACCURACY["after_sleep"] | {"task1": 0.7}}})
    changed = draw(other, rasters())
    assert {name for name in PLOTS if changed[name] != drawn[name]} == {"accuracy", "controls"}


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    errorless = {task: {"kept": None, "jaccard": None, "agreement": 1.0} for task in TASKS}
    report = make_report({"controls": {}, "overlap": errorless} | gained())
    assert list(draw(report)) == ["accuracy", "masks"]
    assert "Gain over direct_er" not in [title for title, _, _ in cards(report)]
    assert controls_summary(report) is None
    write_columns_report(tmp_path, report)
    assert "Controls" not in (tmp_path / "report.html").read_text()
    assert "Controls" not in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("raster", [np.full((8, 4), 0.5), np.ones(8), np.empty((0, 4))])
def test_a_raster_that_holds_no_spikes_is_refused(raster: Any) -> None:
    with pytest.raises(ArtifactError, match="raster of task1: expected zeros and ones"):
        draw(REPORT, {"task1": raster})


def test_tables_fit_a_terminal_of_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(accuracy_summary(REPORT), controls_summary(REPORT), verdict_table(REPORT))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for cell in ("task2-prime", "98.2", "not promoted", "block_order", "+7.9", "≤ 0.01", "FAILED"):
        assert cell in " ".join(text.split())


def test_stages_that_do_not_fit_the_terminal_leave_sleep_alone() -> None:
    wide = [str(column.header) for column in accuracy_summary(REPORT, 80).columns]
    assert wide == ["task", *TASKS, "before\nsleep", "after\nsleep"]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(accuracy_summary(REPORT, 80))
    assert "│ task2-prime │ –     │ –     │ –           │ 99.3        │ 99.3   │ 98.2  │" in console.export_text()
    narrow = [str(column.header) for column in accuracy_summary(REPORT, 75).columns]
    assert narrow == ["task", "before\nsleep", "after\nsleep"]


def test_a_long_day_is_told_by_its_naps() -> None:
    days = {f"after_day{n}": {"task1": 0.9} for n in range(14)} | {"after_nap_day13": {"task1": 0.95}}
    report = make_report({"accuracy": days | metrics()["accuracy"]})
    assert accuracy_table(report).columns == ("task", "nap after day13", "before sleep", "after sleep")
    assert accuracy_table(report).rows[0][1] == "95.0"
    assert draw(report)["accuracy"].startswith(b"\x89PNG")


def test_every_control_has_its_line() -> None:
    scores = metrics()["controls"]["direct_er"]
    names = [*CONTROLS, "new_control"]
    report = make_report({"controls": dict.fromkeys(names, scores)} | gained(*names))
    rows = controls_table(report, by_task=False).rows
    assert [row[:2] for row in rows] == [*CONTROLS.items(), ("new_control", "")]


def test_the_first_flow_has_its_own_page() -> None:
    text = page(first_flow(*answered()), {})
    assert re.findall(r'<table id="(\w+)">', text) == ["guards", "usable", "arms"]
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", text) == [
        "Guards", "Usable knowledge", "Arms", "Held-out phrasings, worst first", "Other figures", "Stages",
    ]  # fmt: skip
