"""The night that unlearns, on a tiny decoder: which rows it trains, and that it writes none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.language.encoding import EncodedRows
from pipeline.language.training import Trainer
from pipeline.progress import Silent
from pipeline.sessions.forgetting import forget
from pipeline.sessions.lessons import teach_file
from pipeline.stages import evaluate
from pipeline.stages.night import begin, configure
from pipeline.stages.pending import ids_of_night, pending_path
from tests.sessions.test_forgetting import SECRETS, holding, row
from tests.stages.examples import surprise
from tests.stages.test_sleep import SETTINGS, sleep, small_models  # noqa: F401  (a fixture of that module)
from tests.stores.examples import BagOfWords

SMALL = ("evaluation.sanity_n=4", "evaluation.drift_tokens=60", "evaluation.bootstrap=20", "tracking.enabled=false")


@pytest.fixture
def forgotten(tmp_path: Path, artifact_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four facts, one of them forgotten."""
    for module in ("pipeline.sessions.lessons", "pipeline.stages.evaluate"):
        monkeypatch.setattr(f"{module}.SentenceEncoder", lambda config: BagOfWords())
    monkeypatch.setattr("pipeline.sessions.lessons.model_surprise", lambda config: surprise)
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps(row(i)) + "\n" for i in range(4)))
    teach_file(path, "default", configure("consolidation/facts", ()))
    forget("default", "f0", artifact_root)


def test_a_night_trains_and_examines_what_was_forgotten_and_writes_nothing_of_it(
    forgotten: None, artifact_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: dict[str, set[str]] = {}

    class Watched(Trainer):
        def __init__(self, lm: object, encoded: EncodedRows, *others: object) -> None:
            for item in encoded.rows:
                trained.setdefault(item.row.kind, set()).add(item.row.episode_id)
            super().__init__(lm, encoded, *others)  # type: ignore[arg-type]

    monkeypatch.setattr("pipeline.language.training.Trainer", Watched)
    with begin("consolidation/nightly", [*SETTINGS, *SMALL]) as night:
        found = sleep(night)
        assert ids_of_night(found["persist_store"]) == ("f0",)
        assert trained["forget"] == {"f0"} and trained["question"] == {"f1", "f2", "f3"}
        assert found["lora_train"].metrics["forgotten"] == 1
        measured = evaluate.run(night.run, night.config, found, Silent())  # type: ignore[arg-type]
        assert holding(night.run.path, *SECRETS) == set()
    told = json.loads((measured.path / "metrics.json").read_text())
    assert told["forget"]["n"] == 1 and 0 <= told["forget"]["auroc"] <= 1 and "neighbours" not in told["forget"]
    assert told["guards"]["forget"] == told["forget"]["seen_target"] - told["forget"]["seen_prior"]
    assert holding(artifact_root, *SECRETS) == {"memory/default/forgetting.json"}
    assert pending_path(artifact_root, "default").exists()
