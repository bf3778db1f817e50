"""Progress bars: one line a stage, ticked off or crossed out; figures and markup from outside do no harm."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipeline.progress import Progress, Quiet, Silent, Terminal


def drawn(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=False)


def test_a_finished_stage_is_ticked_off(console: Console) -> None:
    with Terminal(console) as shown, shown.stage("teach") as progress:
        progress.phase("surprise", 4)
        progress.advance(4)
        progress.phase("unknown length")
        progress.note("loss 0.42")
        progress.advance()
    assert "✓" in drawn(console) and "teach" in drawn(console) and "100%" in drawn(console)


def test_a_failed_stage_is_crossed_out(console: Console) -> None:
    with pytest.raises(ValueError), Terminal(console) as shown, shown.stage("lora_train") as progress:
        progress.phase("training", 10)
        progress.advance(3)
        raise ValueError
    assert "✗" in drawn(console) and "30%" in drawn(console)


def test_two_stages_keep_their_lines(console: Console) -> None:
    with Terminal(console) as shown:
        for name in ("teach", "report"):
            with shown.stage(name):
                pass
        shown.remark("between the bars")
    assert drawn(console).count("✓") >= 2 and "between the bars" in drawn(console)


def test_silence_takes_everything(capsys: pytest.CaptureFixture[str]) -> None:
    silent: Progress = Silent()
    with Quiet() as shown, shown.stage("teach") as progress:
        for each in (silent, progress):
            each.phase("x", 1)
            each.advance()
            each.note("y")
        shown.remark("z")
    assert capsys.readouterr().out == ""
