"""Stages ``sleep_distil`` and ``lora_train``, for real, on a decoder of four tiny layers."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.artifacts import StageResult, read_table
from pipeline.errors import TrainingError
from pipeline.language.models import device_name
from pipeline.language.rows import UNTAUGHT, TrainingRow
from pipeline.language.training import Step
from pipeline.progress import Silent
from pipeline.sessions.champion import Champion
from pipeline.stages import lora_train
from pipeline.stages.lora_train import first_and_last, require_learning, target_rows, train_adapter
from pipeline.stages.night import Night, begin, configure
from pipeline.stages.order import STEPS_SCHEMA
from pipeline.stages.suite_files import read_questions, read_suite, with_study
from pipeline.suites.chains import JOINS, STEPS
from pipeline.suites.facts import read_facts
from pipeline.suites.study_forms import with_study_forms
from pipeline.suites.types import Suite
from tests.language.tiny import tiny_language_model
from tests.stages.examples import surprise
from tests.stores.examples import BagOfWords

SETTINGS = (
    "suite.n=4", "suite.profile=easy", "distil.short=8", "distil.long=2", "distil.dreams=3",
    "lora.first_layer=2", "lora.rank=4", "lora.epochs=3", "lora.batch_size=4", "lora.forms_per_epoch=2",
    "lora.checkpoint_steps=1", "lora.learning_rate=0.01", "lora.anchor_weight=0.1", "lora.unlikelihood=0.1",
)  # fmt: skip
STAGES = ("teach", "persist_store", "replay_sample", "sleep_distil", "lora_train")


class Killed(Exception):
    """Stands for a signal."""


class KilledAt(Silent):
    """Ends the process, so to speak, at the n-th training step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def note(self, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture(autouse=True)
def small_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    for stage in STAGES[:2] + STAGES[3:4]:
        monkeypatch.setattr(f"pipeline.stages.{stage}.SentenceEncoder", lambda config: BagOfWords())
    monkeypatch.setattr("pipeline.stages.teach.model_surprise", lambda config: surprise)
    for name in ("load_model", "load_for_evaluation"):
        monkeypatch.setattr(f"pipeline.language.models.{name}", lambda config: tiny_language_model())


def sleep(night: Night, until: str = "lora_train", training: Silent | None = None) -> dict[str, StageResult]:
    """The night's stages up to and including ``until``."""
    found: dict[str, StageResult] = {}
    for name in STAGES[: STAGES.index(until) + 1]:
        progress = training if name == "lora_train" and training else Silent()
        found[name] = importlib.import_module(f"pipeline.stages.{name}").run(night.run, night.config, found, progress)
    return found


@pytest.fixture
def night() -> Iterator[Night]:
    with begin("consolidation/episodic", SETTINGS) as opened:
        yield opened


def test_targets_hold_every_replayed_fact_and_no_test_question(night: Night) -> None:
    found = sleep(night, "sleep_distil")
    result = found["sleep_distil"]
    rows = target_rows(result.path / "targets.parquet", night.run.path / "scratch")
    suite = read_suite(found["teach"].path)
    assert {row.episode_id for row in rows if row.kind == "question"} == {fact.id for fact in suite.taught}
    asked = [q.question for q in read_questions(found["teach"].path, "test")]
    assert asked and not any(question in row.prompt for row in rows for question in asked if row.kind not in UNTAUGHT)
    metrics = result.metrics
    assert metrics["rows"] == len(rows) == sum(metrics["kinds"].values())
    assert metrics["retrieval"]["requests"] == sum(row.teacher_asked for row in rows) > 0
    assert metrics["base_rewrites"] == {"asked": 0, "kept": 0}
    again = sleep(night, "sleep_distil")["sleep_distil"]
    assert again.cached and again.digest == result.digest


def unstated_pairs(suite: Suite) -> list[tuple[str, str]]:
    """Each person that a join asks about, with what it asks for."""
    asked = [(fact.subject, q) for fact in suite.taught for q in fact.asked("test") if q.relation in STEPS]
    return sorted({(person, end) for person, q in asked for end in q.answer.split(", ")[1:]})


def test_what_was_corrected_and_what_joins_relations_is_never_trained() -> None:
    settings = [*SETTINGS, "suite.contradictions=1.0"]
    with begin("consolidation/relational", settings) as night:
        found = sleep(night, "sleep_distil")
    rows = target_rows(found["sleep_distil"].path / "targets.parquet", night.run.path / "scratch")
    suite = read_suite(found["teach"].path)
    outdated = [fact for fact in suite.taught if fact.id.endswith("-before")]
    assert len(outdated) == 4
    assert {row.episode_id for row in rows if row.kind == "question"} == {f.id for f in suite.taught} - {
        fact.id for fact in outdated
    }
    tails = [json.loads(fact.details)["tail"] for fact in outdated]
    assert not any(tail in row.prompt + row.target for row in rows for tail in tails)
    joins = {q.question for fact in suite.taught for q in fact.questions if q.relation in JOINS}
    assert joins and not any(question in row.prompt for row in rows for question in joins)
    for person, end in unstated_pairs(suite):
        assert not any(person in text and end in text for row in rows for text in [row.prompt + row.target])


def test_a_users_questions_are_rephrased(tmp_path: Path) -> None:
    rows = [
        {"id": "f1", "text": "Mona Hale bought a lantern at the harbour.",
         "questions": [{"question": "Where did Mona Hale shop?", "answer": "harbour", "split": "train"}]},
        {"id": "f2", "text": "Otto Lund borrowed a knife at the tannery."},
    ]  # fmt: skip
    path = tmp_path / "my.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with begin("consolidation/facts", [*SETTINGS, f"suite.path={path}"]) as night:
        result = sleep(night, "sleep_distil")["sleep_distil"]
    assert result.metrics["base_rewrites"] == {"asked": 4, "kept": 0}  # the tiny model writes nonsense
    forms = [q for fact in with_study_forms(read_facts(path)) for q in (*fact.asked("train"), *fact.asked("probe"))]
    studied = sum(result.metrics["study"]["by_rule"].values())  # of the fact without a question
    assert result.metrics["study"]["passages"] == 1 and studied > 6
    assert result.metrics["kinds"]["question"] == len(forms) + studied and len(forms) > 36
    assert result.metrics["kinds"]["statement"] == 1


def test_a_random_gate_costs_a_night_as_many_messages_and_passes() -> None:
    """What only talks is studied too, so that a message is a message, whoever chose it."""
    counts = []
    for choice in ("false", "true"):
        settings = [*SETTINGS, "suite.name=messages", "suite.n=10", "gate.enforce=true", f"gate.random={choice}"]
        with begin("consolidation/episodic", settings) as night:
            found = sleep(night, "sleep_distil")
        rows = target_rows(found["sleep_distil"].path / "targets.parquet", night.run.path / "scratch")
        suite = read_suite(found["teach"].path)
        tested = [q.question for fact in suite.taught for q in fact.asked("test")]
        asked = [row.prompt for row in rows if row.kind not in UNTAUGHT]
        assert len(tested) == 80 and not any(text in prompt for prompt in asked for text in tested)
        studied = found["sleep_distil"].metrics["study"]["passages"]
        counts.append((found["replay_sample"].metrics["samples"], found["teach"].metrics["gates"]["accepts"], studied))
        learned = {row.episode_id for row in rows if row.kind in ("question", "statement")}
        assert len(learned) == counts[-1][0]
    (kept, accepted, _), (drawn, dealt, talk) = counts
    assert kept == accepted == drawn == dealt < 100 and talk > 0


def test_training_leaves_an_adapter_and_its_steps(night: Night) -> None:
    result = sleep(night)["lora_train"]
    steps = read_table(result.path / "steps.parquet", STEPS_SCHEMA)
    assert steps.num_rows == result.metrics["steps"] > 4
    assert result.metrics["loss_last"] < result.metrics["loss_first"] and result.metrics["b_norm"] > 0
    assert result.metrics["device"] == device_name(torch.device("cpu"))
    assert result.metrics["examples"] == sum(steps.column("examples").to_pylist())
    assert result.metrics["processes"] == 1
    names = {path.relative_to(result.path).as_posix() for path in result.path.rglob("*") if path.is_file()}
    assert names >= {"adapter/adapter_model.safetensors", "adapter/adapter_config.json", "steps.parquet"}
    assert lora_train.CHECKPOINT not in names and not any(name.startswith(".dataset") for name in names)


@pytest.mark.parametrize("step", [1, 4])
def test_a_killed_training_goes_on_and_ends_the_same(night: Night, tmp_path: Path, step: int) -> None:
    with pytest.raises(Killed):
        sleep(night, training=KilledAt(step))
    resumed = sleep(night)
    assert all(resumed[name].cached for name in STAGES[:-1])
    with begin("consolidation/episodic", [*SETTINGS, f"root={tmp_path / 'other'}"]) as other:
        whole = sleep(other)["lora_train"]
    assert whole.metrics == resumed["lora_train"].metrics
    weights = [load_file(r.path / "adapter" / "adapter_model.safetensors") for r in (whole, resumed["lora_train"])]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    tables = [read_table(r.path / "steps.parquet", STEPS_SCHEMA) for r in (whole, resumed["lora_train"])]
    assert repr(tables[0].to_pylist()) == repr(tables[1].to_pylist())


def test_a_night_that_is_not_fresh_goes_on_from_the_champion(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sleep(night)["lora_train"]
    assert first.metrics["continues"] is None
    champion = Champion(3, first.path / "adapter", None)
    monkeypatch.setattr(lora_train, "find_champion", lambda *_: champion)
    one_step = ("fresh=false", "session=day", "lora.epochs=1", "lora.batch_size=99", "lora.learning_rate=1e-9")
    with begin("consolidation/episodic", [*SETTINGS, *one_step, f"root={tmp_path / 'next'}"]) as later:
        second = sleep(later)["lora_train"]
    assert second.metrics["continues"] == 3
    weights = [load_file(r.path / "adapter" / "adapter_model.safetensors") for r in (first, second)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-6) for name in weights[0])


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    config = configure("consolidation/episodic", SETTINGS)
    rows = [
        TrainingRow("a", "short", "", "short", "train", "Once", " upon"),
        TrainingRow("b", "question", "f", "x", "probe", "Where?", "There."),
    ]
    with pytest.raises(TrainingError, match="nothing to learn"):
        train_adapter(rows, config, tmp_path, Silent())


STEP = Step(0, 0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.001, 1.0, 4, 40, float("nan"))


def steps(*losses: float) -> list[Step]:
    return [replace(STEP, step=i, cross_entropy=loss) for i, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("trained", "norm", "fault"),
    [
        ([], 1.0, "no examples"),
        ([replace(STEP, examples=0)], 1.0, "no examples"),
        (steps(2.0, 2.0), 1.0, "did not fall"),
        (steps(2.0, float("nan")), 1.0, "did not fall"),
        (steps(2.0, 1.0), 0.0, "norm 0.0"),
        (steps(2.0, 1.0), float("inf"), "norm inf"),
    ],
)
def test_a_night_in_which_nothing_was_learned_is_refused(trained: list[Step], norm: float, fault: str) -> None:
    with pytest.raises(TrainingError, match=fault):
        require_learning(trained, norm)
    require_learning(steps(2.0, 1.0), 1.0)


def test_first_and_last_are_tenths() -> None:
    assert first_and_last(steps(*range(40))) == (1.5, 37.5)
    assert first_and_last(steps(3.0)) == (3.0, 3.0)


def test_passages_are_studied_and_their_test_questions_stay_unread(tmp_path: Path) -> None:
    rows = [
        {"title": f"Mill {i}", "context": f"The mill was sold to weavers of Linz in 19{i}9. It burned down at dawn.",
         "questions": [{"question": "When did weavers buy it?", "answer": f"19{i}9"}]}
        for i in (1, 2, 3)
    ]  # fmt: skip
    path = tmp_path / "passages.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    settings = [s for s in SETTINGS if not s.startswith("suite.n")]
    with begin("consolidation/documents", [*settings, "suite.n=2", f"suite.path={path}", "study.tokens=4"]) as night:
        found = sleep(night, "sleep_distil")
    result = found["sleep_distil"]
    told = result.metrics["study"]
    assert told["passages"] == 2 and told["questions"]["asked"] == 24 and told["by_rule"]["studied-cloze"] > 4
    suite = read_suite(found["teach"].path)
    studied = with_study(suite, result.path)
    made = [q for fact in studied.taught for q in fact.questions if q.split != "test"]
    targets = target_rows(result.path / "targets.parquet", tmp_path)
    learned = [row for row in targets if row.kind == "question"]
    assert {(row.episode_id, row.form) for row in learned} == {(q.item_id, q.form) for q in made}
    assert not any("When did weavers buy it?" in row.prompt for row in targets)
    assert sum(row.kind == "statement" for row in targets) == 2  # the passages; the tiny model's sentences are nonsense
    assert set(studied.statistics.jaccard) == {"document/test-1"} and studied.statistics.jaccard["document/test-1"] > 0
    assert with_study(suite, found["teach"].path) == suite  # where nothing was studied
