"""`engram run` with a mirror, `engram push` and `engram pull`, as a person calls them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from tests.stages.nights import SMALL, ScriptedNight


def engram(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def test_what_a_night_could_not_push_is_pushed_by_the_commands_that_it_says(
    monkeypatch: pytest.MonkeyPatch, artifact_root: Path, tmp_path: Path
) -> None:
    ScriptedNight(monkeypatch)
    away = tmp_path / "away" / "mirror"
    away.parent.write_text("a file where a folder should be")
    settings = ("suite.name=episodic", "session=demo", f"mirror.url={away.as_uri()}", *SMALL)
    given = [part for setting in settings for part in ("--set", setting)]
    night = engram("run", "consolidation/nightly", "--quiet", *given)
    assert night.exit_code == 0 and Path(night.stdout.strip()).is_relative_to(artifact_root)
    assert night.stderr.startswith(f"not pushed to {away.as_uri()}: ")
    away.parent.unlink()
    commands = re.findall(r"engram (push .*)$", night.stderr, re.MULTILINE)
    pushed = [engram(*shlex.split(command)) for command in commands]
    assert commands and not any(done.exit_code for done in pushed)

    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / "other"))
    pulled = engram("pull", away.as_uri())
    assert pulled.exit_code == 0 and "memory/demo/episodic: 3 files" in pulled.stdout
    assert (tmp_path / "other" / Path(night.stdout.strip()).relative_to(artifact_root) / "report.html").is_file()
    assert "there already" in engram("push", away.as_uri(), "--session", "demo").stdout
