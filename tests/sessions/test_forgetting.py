"""After ``forget`` no byte of an item is left where the product keeps text, and everything still opens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.artifacts import FileLock, GenerationStore, list_runs, load, read_json, read_table, stage_results
from pipeline.artifacts.digests import digest_file
from pipeline.artifacts.redaction import Redaction
from pipeline.errors import StoreError
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.evaluation.arms import Ask
from pipeline.report.build import load_report
from pipeline.sessions import erasing
from pipeline.sessions.forgetting import forget
from pipeline.sessions.lessons import teach_file
from pipeline.stages.memory import session_facts
from pipeline.stages.night import configure
from pipeline.stages.pending import pending_path, read_pending
from pipeline.stages.recalls import note_recall, seal_recalls
from pipeline.stages.suite_files import read_suite
from tests.evaluation.examples import Reply, scripted
from tests.stages.nights import ScriptedNight

NAMES = ("Mona Hale", "Olaf Reed", "Ines Boyd", "Kurt Lang")
THINGS, PLACES = ("zitherbox", "kettle", "violin", "ladder"), ("quayhouse", "mill", "chapel", "market")
SECRETS = ("Mona Hale", "zitherbox", "quayhouse")


def row(i: int) -> dict[str, object]:
    name, thing, place = NAMES[i], THINGS[i], PLACES[i]
    return {
        "id": f"f{i}",
        "text": f'On Friday {name} bought a "{thing}" at the {place}.',
        "subject": name,
        "questions": [
            {"question": f"What did {name} buy on Friday?", "answer": thing, "split": "train"},
            {"question": f"Which thing has {name} now?", "answer": thing, "split": "probe"},
            {"question": f"Where did {name} shop?", "answer": place},
        ],
    }


@pytest.fixture
def taught(
    scripted_night: ScriptedNight, tmp_path: Path, artifact_root: Path, monkeypatch: pytest.MonkeyPatch
) -> ScriptedNight:
    """Four facts and a night of them in MLflow, a fresh night beside, and what else the product writes."""
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "mine" / "facts.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row(i)) + "\n" for i in range(4)))
    teach_file(path, "default", configure("consolidation/facts", ()))
    scripted_night.run(target="consolidation/nightly")
    last = scripted_night.run(f"suite.path={path}", target="consolidation/facts")
    (last.path / "traceback-1.txt").write_text("DataError: the prompt holds 'Zitherbox'")
    logs = artifact_root / ".engram" / "logs"
    logs.mkdir(parents=True)
    (logs / "worker.log").write_text("asked: Which thing has Mona Hale now?\nnothing else\n")
    return scripted_night


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a root as text, Parquet decoded too."""
    for path in root.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                yield path, json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str)


def holding(root: Path, *wanted: str) -> set[str]:
    found = [path for path, text in texts(root) for secret in wanted if secret.lower() in text.lower()]
    return {path.relative_to(root).as_posix() for path in found}


def verify(root: Path) -> None:
    """Every manifest, and every digest that one file records of another."""
    for run in list_runs(root):
        results = stage_results(run)
        for name, result in results.items():
            manifest = load(result.path / "manifest.json")
            for key, digest in manifest.metadata["inputs"].items():
                assert key not in results or digest == results[key].digest, (name, key)
        for name, digest in read_json(results["report"].path / "files.json").items():
            assert digest_file(run.path / name) == digest
        assert load_report(run.path).run_id == run.run_id
        read_suite(results["teach"].path)
    for store in (*root.glob("memory/*/*"), *root.glob("runs/*/*/*/memory/*/*")):
        if store.is_dir():
            for path in (*store.glob("gen-*/manifest.json"), store / "CURRENT.json"):
                load(path)


def test_no_byte_is_left_and_everything_still_opens(taught: ScriptedNight, artifact_root: Path) -> None:
    before = holding(artifact_root, *SECRETS)
    note_recall(artifact_root, "default", {"f0": 1, "f1": 1})
    for part in ("report.html", "report.md", "answers.parquet", "episodes.parquet", "mlflow/artifacts", "worker.log"):
        assert any(part in path for path in before), part
    kept = {path: read_table(path, SCHEMA_NAME).num_rows for path in artifact_root.rglob("answers.parquet")}
    told = forget("default", "f0", artifact_root)
    assert not told.left and told.erased.runs == 2 and told.erased.tracked == 2 and told.source == "facts.jsonl"
    assert holding(artifact_root, *SECRETS) == {"memory/default/forgetting.json"}
    verify(artifact_root)
    for path, rows in kept.items():
        table = read_table(path, SCHEMA_NAME)
        assert 0 < table.num_rows < rows and "f1" in table.column("item_id").to_pylist()
    assert [fact.id for fact in session_facts(GenerationStore.of(artifact_root, "default", "episodic"))] == [
        "f1", "f2", "f3",
    ]  # fmt: skip
    report = list_runs(artifact_root)[0].path / "report.html"
    assert "Olaf Reed" in report.read_text()
    assert [log.usage for log in seal_recalls(artifact_root, "default")] == [{"f1": 1.0}]


def test_the_pending_file_is_private_and_holds_what_the_night_needs(taught: ScriptedNight, artifact_root: Path) -> None:
    told = forget("default", "f0", artifact_root)
    assert told.pending.stat().st_mode & 0o777 == 0o600
    (item,) = read_pending(artifact_root, "default")
    assert item.id == "f0" and item.erasing is None and set(item.neighbours) == {"f1", "f2", "f3"}
    assert {q.split for q in item.questions} == {"train", "probe", "test"}
    assert item.reversed and all("Mona" not in q.question and q.answer == "Mona Hale" for q in item.reversed)


def test_a_killed_command_is_finished_by_the_next_one(
    taught: ScriptedNight, artifact_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = erasing.redact_file, 0

    class Killed(BaseException):
        pass

    def counted(path: Path, rules: Redaction) -> bool:
        nonlocal left
        left -= 1
        if not left:
            raise Killed
        return real(path, rules)

    monkeypatch.setattr(erasing, "redact_file", counted)
    for stop in (2, 9, 14, 17, 23, 31):
        left = stop
        with pytest.raises(Killed):
            forget("default", "f0", artifact_root)
        assert read_pending(artifact_root, "default")[0].erasing is not None
        assert len(session_facts(GenerationStore.of(artifact_root, "default", "episodic"))) == 3
    monkeypatch.setattr(erasing, "redact_file", real)
    assert forget("default", "f0", artifact_root).repeated
    assert holding(artifact_root, *SECRETS) == {"memory/default/forgetting.json"}
    verify(artifact_root)
    again = forget("default", "f0", artifact_root)
    assert again.repeated and again.erased.runs == 0


def test_what_is_unknown_or_under_way_is_refused(taught: ScriptedNight, artifact_root: Path) -> None:
    with pytest.raises(StoreError, match="holds no 'nobody'; it holds f0, f1"):
        forget("default", "nobody", artifact_root)
    with pytest.raises(StoreError, match="has no memory"):
        forget("elsewhere", "f0", artifact_root)
    lock = FileLock(list_runs(artifact_root)[0].path / ".lock")
    assert lock.acquire()
    with pytest.raises(StoreError, match="is running"):
        forget("default", "f0", artifact_root)
    lock.release()
    assert not pending_path(artifact_root, "default").exists()


def test_what_is_taught_again_is_not_unlearned(taught: ScriptedNight, artifact_root: Path, tmp_path: Path) -> None:
    forget("default", "f0", artifact_root)
    teach_file(tmp_path / "mine" / "facts.jsonl", "default", configure("consolidation/facts", ()))
    assert not pending_path(artifact_root, "default").exists()


def unlearned(ask: Ask) -> Reply:
    """A night that keeps its neighbours and answers about the forgotten as the base does."""
    return Reply(f"The {ask.question.answer}.") if ask.arm.startswith("forget_kept") else scripted(ask)


def remembers(ask: Ask) -> Reply:
    """A night that unlearned nothing."""
    return Reply(ask.question.answer) if ask.arm == "forget_post" else unlearned(ask)


def test_the_night_that_unlearned_it_reports_figures_and_deletes_the_pending_file(
    taught: ScriptedNight, artifact_root: Path
) -> None:
    forget("default", "f0", artifact_root)
    taught.answer_with(unlearned)
    run = taught.run(target="consolidation/nightly")  # nothing is new: forgetting alone is reason enough
    told = load_report(run.path)
    assert told.forget is not None and told.forget.n == 1 and told.forget.questions > 9
    assert (told.forget.target, told.forget.prior, told.forget.reversed) == (0.0, 0.0, 0.0)
    assert (told.forget.neighbours, told.forget.refusals, told.forget.auroc) == (0.0, 0.0, 0.5)
    verdicts = {guard.name: guard.passed for guard in told.guards}
    assert verdicts["forget"] and verdicts["forget.neighbours"] and told.promoted
    assert "## Forgotten" in (run.path / "report.md").read_text()
    assert holding(artifact_root, *SECRETS) == set()
    assert load_report(taught.run(target="consolidation/nightly").path).forget is None


def test_a_night_that_still_knows_it_fails_and_keeps_the_pending_file(
    taught: ScriptedNight, artifact_root: Path
) -> None:
    forget("default", "f0", artifact_root)
    taught.answer_with(remembers)
    told = load_report(taught.run(target="consolidation/nightly").path)
    assert [guard.name for guard in told.guards if not guard.passed] == ["forget"] and not told.promoted
    assert told.forget is not None and told.forget.target == 1.0 and told.forget.seen_target == 1.0
    assert holding(artifact_root, *SECRETS) == {"memory/default/forgetting.json"}
    taught.answer_with(unlearned)
    assert load_report(taught.run(target="consolidation/nightly").path).promoted
    assert holding(artifact_root, *SECRETS) == set()
