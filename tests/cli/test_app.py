"""The command line: help, exit statuses, one message an error, never a traceback."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from pipeline.config import known_keys
from pipeline.config.schema import ConsolidationConfig
from pipeline.errors import TrainingError
from tests.stages.examples import ignorant
from tests.stages.nights import SMALL, ScriptedNight

COMMANDS = (
    "run",
    "repeat",
    "sweep",
    "teach",
    "ask",
    "forget",
    "report",
    "compare",
    "results",
    "export",
    "models",
    "data",
    "up",
    "down",
    "status",
    "bench",
    "score",
)
SETTINGS = [part for setting in SMALL for part in ("--set", setting)]


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


def engram(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def assert_refused(result: Result, *words: str) -> None:
    """Exit status 2, one message on stderr with these words, no traceback."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = engram(command, "--help")
    assert result.exit_code == 0 and "Usage" in result.output


def test_help_needs_no_heavy_library() -> None:
    program = (
        "import sys; from pipeline.cli import app; from typer.testing import CliRunner;"
        "assert CliRunner().invoke(app.app, ['run', '--help']).exit_code == 0;"
        "heavy = {'torch', 'transformers', 'mlflow', 'prefect', 'pyarrow', 'matplotlib', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    path = str(Path(__file__).resolve().parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_night_ends_with_tables_links_and_commands_to_try(scripted_night: ScriptedNight) -> None:
    result = engram("run", "consolidation/episodic", *SETTINGS)
    assert result.exit_code == 0, result.output
    for word in ("post_off_heldout", "uplift", "report.html", "engram ask", "--adapter champion", "MLflow"):
        assert word in result.output
    told = engram("status")
    assert told.exit_code == 0 and "version 1 from run" in told.output and "done" in told.output


def test_a_failed_guard_is_status_1_and_the_run_is_complete(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    scripted_night.answer_with(ignorant)
    result = engram("run", "consolidation/episodic", *SETTINGS, "--quiet", "--set", "tracking.enabled=false")
    assert result.exit_code == 1
    folder = Path(result.output.strip())
    assert (folder / "report.html").is_file() and json.loads((folder / "manifest.json").read_text())["state"] == "done"
    shown = engram("report", folder.name)
    assert shown.exit_code == 0 and "FAILED" in shown.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "consolidation/episodc"), ("episodic",)),
        (("run", "dreaming/episodic"), ("consolidation",)),
        (("run", "consolidation/episodic", "--set", "suite.m=8"), ("suite.m", "did you mean 'suite.n'")),
        (("run", "consolidation/episodic", "--set", "suite.n=many"), ("suite.n",)),
        (("run", "consolidation/episodic", "--run-id", "../x"), ("../x",)),
        (("run", "consolidation/episodic", "--from", "dream"), ("dream", "teach")),
        (("run", "consolidation/facts"), ("suite.path",)),
        (("run", "consolidation/facts", "--set", "suite.path=nowhere.jsonl"), ("nowhere.jsonl",)),
        (("run", "consolidation/episodic", "--set", "placement=workers"), ("engram up",)),
        (("teach", "nowhere.jsonl"), ("nowhere.jsonl",)),
        (("ask", "Who?", "--adapter", "champion"), ("no champion", "--adapter none")),
        (("ask", "Who?", "--adapter", "nothing/here"), ("nothing/here",)),
        (("ask", "Who <|im_end|>?", "--adapter", "none"), ("<|im_end|>", "chat template")),
        (("ask", " ", "--adapter", "none"), ("empty",)),
        (("ask", "Who?", "--memory", "on", "--adapter", "none"), ("no memory", "engram teach")),
        (("ask", "Who?", "--memory", "on", "--adapter", "none", "--session", "../x"), ("../x",)),
        (("ask", "Who?", "--memory", "on", "--adapter", "none", "--session", "day"), ("day", "empty")),
        (("report", "nothing"), ("no run 'nothing'",)),
        (("compare", "a"), ("two",)),
        (("export", "nothing", "somewhere"), ("no run 'nothing'",)),
        (("bench", "nothing"), ("unknown benchmark",)),
        (("data", "pull", "nothing"), ("unknown data set", "tofu")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_bad_input_is_status_2_with_one_message(
    arguments: tuple[str, ...], words: tuple[str, ...], artifact_root: Path, scripted_night: ScriptedNight
) -> None:
    assert_refused(engram(*arguments), *words)
    assert not list(artifact_root.rglob("*.parquet"))


@pytest.mark.parametrize("arguments", [("dream",), ("run",), ("ask", "Who?", "--memory", "maybe"), ("run", "--bogus")])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    result = engram(*arguments)
    assert result.exit_code == 2 and "Usage" in result.output


@pytest.mark.parametrize("copied", [(), ("template.db", None)])  # of a copy, what is written is told
def test_a_full_disk_is_status_2(copied: tuple[str, ...], scripted_night: ScriptedNight) -> None:
    scripted_night.fail_in("lora_train", OSError(errno.ENOSPC, "No space left on device", *copied, "steps.parquet"))
    result = engram("run", "consolidation/episodic", *SETTINGS)
    assert_refused(result, "No space left on device", "steps.parquet")


def test_a_training_error_is_one_message(scripted_night: ScriptedNight) -> None:
    scripted_night.fail_in("lora_train", TrainingError("B is still zero"))
    assert_refused(engram("run", "consolidation/episodic", *SETTINGS), "B is still zero")


def test_ctrl_c_says_how_to_resume(scripted_night: ScriptedNight) -> None:
    scripted_night.fail_in("lora_train", KeyboardInterrupt())
    result = engram("run", "consolidation/episodic", *SETTINGS)
    assert result.exit_code == 130 and "resumes" in result.stderr


def test_what_nobody_foresaw_leaves_its_traceback_in_the_run(
    scripted_night: ScriptedNight, artifact_root: Path
) -> None:
    scripted_night.fail_in("lora_train", ZeroDivisionError("division by zero"))
    result = engram("run", "consolidation/episodic", *SETTINGS)
    assert result.exit_code == 3 and "ZeroDivisionError" in result.stderr and "Traceback" not in result.output
    (file,) = artifact_root.glob("runs/*/*/*/traceback-*.txt")
    assert "ZeroDivisionError: division by zero" in file.read_text()


def test_a_plan_shows_what_would_run_and_writes_nothing(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    result = engram("run", "consolidation/episodic", *SETTINGS, "--plan")
    assert result.exit_code == 0 and "not run yet" in result.output and "this process" in result.output
    assert not list(artifact_root.iterdir())
    scripted_night.fail_in("evaluate", TrainingError("later"))
    assert engram("run", "consolidation/episodic", *SETTINGS).exit_code == 2
    planned = engram("run", "consolidation/episodic", *SETTINGS, "--plan")
    assert planned.output.count("be reused") == 5 and "was interrupted" not in planned.output


def test_verbose_lists_every_setting(artifact_root: Path) -> None:
    result = engram("run", "consolidation/episodic", "--plan", "--verbose")
    assert result.exit_code == 0
    leaves = [key for key, field in known_keys(ConsolidationConfig).items() if "." in key and field.description]
    assert leaves and all(key in result.output for key in leaves)


def test_lessons_and_data_are_listed(
    scripted_night: ScriptedNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my.jsonl"
    file.write_text(json.dumps({"id": "a", "text": "Mona Hale bought a lantern."}) + "\n")
    first, second = engram("teach", file, "--session", "day-01"), engram("teach", file, "--session", "day-01")
    assert first.exit_code == 0 and "1 written" in first.output
    assert second.exit_code == 0 and "1 already known" in second.output
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    assert "not found" in engram("data", "list").output
    assert "SmolLM2" in engram("models", "list").output
    assert engram("bench").exit_code == 0
    assert "nothing runs here" in engram("down").output


def test_a_folder_of_notes_is_told_file_by_file(
    scripted_night: ScriptedNight, tmp_path: Path, artifact_root: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "trip.md").write_text("# Trip\n\nMona Hale bought a lantern.\n")
    (folder / "map.png").write_bytes(b"\x89PNG")
    (folder / "chat.jsonl").write_text(json.dumps({"role": "user", "content": "I parked at the harbour."}) + "\n")
    told = engram("teach", folder, "--session", "day-01")
    assert told.exit_code == 0, told.output
    for word in ("trip.md", "Markdown", "chat log", "left out", "2 written", "nightly --set session=day-01"):
        assert word in told.output
    assert "2 already known" in engram("teach", folder, "--session", "day-01").output
    (folder / "bad.txt").write_bytes(b"a\n\xff\n")
    assert_refused(engram("teach", folder, "--session", "day-02"), "bad.txt:2", "not UTF-8")
    assert not (artifact_root / "memory" / "day-02").exists()


def test_a_benchmark_s_tables_are_printed_under_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.bench import registry

    monkeypatch.setattr(registry, "_BENCHMARKS", {})
    monkeypatch.setattr(registry, "_load", lambda: None)
    figures = {"seconds": 1234.5, "first": {"er": {"accuracy": 0.84, "steps": 7}, "naive": {"accuracy": 0.2}}}
    registry.register_benchmark("both", "figures and a table")(lambda settings: figures)
    shown = engram("bench", "both").stdout
    for text in ("seconds", "1,234", "first", "accuracy", "0.84", "naive"):
        assert text in shown
    assert json.loads(engram("bench", "both", "--json").stdout) == figures
    wide = {f"figure number {number}": 12345.6 * number for number in range(1, 99)}
    registry.register_benchmark("wide", "a table wider than a terminal")(lambda settings: {"case": {"only": wide}})
    lines = engram("bench", "wide").stdout.splitlines()
    assert any("figure number 8" in line and "98,765" in line for line in lines)


def test_forget_says_what_it_did_and_what_the_weights_still_know(scripted_night: ScriptedNight, tmp_path: Path) -> None:
    facts = tmp_path / "facts.jsonl"
    rows = [{"id": f"f{i}", "text": f"Vera Moss keeps a {thing}."} for i, thing in enumerate(("heron", "badger"))]
    facts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert engram("teach", facts, "--session", "s").exit_code == 0
    told = engram("forget", "--session", "s", "--id", "f0")
    assert told.exit_code == 0, told.output
    for words in ("f0 is gone from session s", "The weights still know it", "nightly --set session=s", "facts.jsonl"):
        assert words in told.output
    assert engram("forget", "--session", "s", "--id", "f0").exit_code == 0
    assert_refused(engram("forget", "--session", "s", "--id", "f9"), "holds no 'f9'; it holds f1")
    assert_refused(engram("forget", "--session", "../s", "--id", "f0"), "session")
