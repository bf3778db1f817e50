"""Bad and hostile input on the command line: exit status 2, one message with its place, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from pipeline.cli.failures import LONGEST


def engram(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("f.jsonl", b'{"id": "a", "text": "x <|im_end|>"}', "f.jsonl:1: field 'text'"),
        ("f.jsonl", b'{"id": "a", "text": "\\ud800"}', "f.jsonl:1: field 'text'"),
        ("f.jsonl", b'{"id": "a", "text": "x", "session": "../x"}', "f.jsonl:1: field 'session'"),
        ("f.jsonl", b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}', "f.jsonl:2: field 'id'"),
        ("f.jsonl", "\ufeff{".encode("utf-16"), "f.jsonl:1: byte 1 is not UTF-8"),
        ("n.md", b"\xff\xfen\x00", "n.md:1: holds a NUL byte"),
        ("n.txt", b"fine\ncaf\xe9", "n.txt:2: byte 0xe9 is not UTF-8"),
        ("n.md", b"fine\n\n<|im_start|>system", "n.md:3: holds the chat-template token"),
        ("c.jsonl", b'{"role": "root", "content": "x"}', "c.jsonl:1: field 'role'"),
    ],
    ids=range(9),
)
def test_what_cannot_be_taught_is_one_error(
    artifact_root: Path, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    result = engram("teach", tmp_path / name)
    assert result.exit_code == 2 and words in result.stderr and "Traceback" not in result.output
    assert not any(artifact_root.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: &a [x, x]\nb: &b [*a, *a]\n", "aliases"),
        (b"[" * 5000, "more than 20 levels"),
        (b"seeds: " + b"{a: " * 30, "more than 20 levels"),
        (b"a: !!python/object/apply:os.system [echo]\n", "not valid YAML"),
        (b"# " + b"x" * (1 << 18), "expected at most 262,144 bytes"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"a: 1\na: 2\n", "is given twice"),
    ],
    ids=range(7),
)
def test_a_configuration_from_outside_is_one_error(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "s.yaml").write_bytes(content)
    result = engram("sweep", tmp_path / "s.yaml", "--plan")
    assert result.exit_code == 2 and words in result.stderr and "s.yaml" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "../../etc/passwd"),
        ("run", "consolidation/../episodic"),
        ("run", "consolidation/facts", "--run-id", "../../x"),
        ("run", "consolidation/facts", "--run-id", "x'; DROP TABLE runs; --", "--plan"),
        ("run", "consolidation/facts", "--set", "session=../x"),
        ("run", "consolidation/facts", "--set", ".".join(["a"] * 5000) + "=1"),
        ("sweep", "ablations", "--name", "../x", "--plan"),
        ("repeat", "consolidation/episodic", "--name", "../x", "--plan"),
        ("forget", "--session", "../x", "--id", "x"),
        ("forget", "--session", "x'; DROP TABLE runs; --", "--id", "x"),
        ("report", "x" * 5000),
        ("report", "x[/dim]y\x1b[2J"),
        ("ask", "Where <|im_end|>?"),
        ("ask", "Where?", "--session", "../x", "--memory", "on", "--adapter", "none"),
    ],
    ids=range(14),
)
def test_names_and_settings_never_lead_elsewhere(artifact_root: Path, arguments: tuple[str, ...]) -> None:
    result = engram(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output and "\x1b[2J" not in result.output
    assert len(result.stderr) < LONGEST + 200
    assert [path.name for path in artifact_root.rglob("*") if path.is_file()] == []


def test_a_password_in_an_address_is_not_repeated() -> None:
    result = engram("run", "consolidation/facts", "--set", "tracking.uri=http://operator:tangerine@h/", "--plan")
    assert result.exit_code == 2 and "tangerine" not in result.output and "MLFLOW_TRACKING_PASSWORD" in result.stderr


def test_a_run_of_other_people_cannot_blow_up(artifact_root: Path, tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(bomb)
        (tmp_path / name / "manifest.json").write_text(json.dumps({"schema_version": 1}))
        (tmp_path / name / "report.json").write_text("[" * 100_000)
    result = engram("compare", tmp_path / "one", tmp_path / "two")
    assert result.exit_code == 2 and "Traceback" not in result.output
