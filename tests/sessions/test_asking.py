"""One question: which adapter, which memory, which prompt and decoding; the model itself is a stand-in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from pipeline.artifacts import GenerationStore
from pipeline.config import ModelConfig, ReplayConfig
from pipeline.errors import ModelError, StoreError
from pipeline.language.prompts import memory_prompt
from pipeline.replay.earlier import sample_night
from pipeline.sessions.asking import ask_question
from pipeline.sessions.champion import adapter_name
from pipeline.sessions.lessons import teach_file
from pipeline.stages.night import configure
from pipeline.stores.episode import EPISODE_SCHEMA
from tests.language.tiny import tiny_language_model
from tests.stages.nights import ScriptedNight


class Model:
    """Remembers which prompts it saw, how it was to answer the last, and with which adapter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prompts: list[str] = []
        self.options: dict[str, Any] = {}
        self.adapter: Path | None = None
        base = SimpleNamespace(tokenizer=None)
        monkeypatch.setattr("pipeline.language.models.load_for_evaluation", lambda config: base)
        monkeypatch.setattr("pipeline.language.adapter.load_adapter", self._adapted)
        monkeypatch.setattr("pipeline.language.prompts.closed_book_prompt", lambda t, q: f"closed: {q.question}")
        monkeypatch.setattr("pipeline.language.generation.generate", self._generate)

    def _adapted(self, lm: Any, folder: Path) -> Any:
        self.adapter = folder
        return lm

    def _generate(self, lm: Any, prompts: Sequence[str], **options: Any) -> list[Any]:
        self.prompts += prompts
        self.options = options
        return [SimpleNamespace(text=" an answer ")]


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    return Model(monkeypatch)


def ask(root: Path, **changes: Any) -> Any:
    options: dict[str, Any] = {"memory": False, "adapter": "none", "session": None, "k": 1, "root": root}
    return ask_question("Where was she?", **(options | changes))


def test_closed_book_shows_the_question_alone(artifact_root: Path, model: Model) -> None:
    reply = ask(artifact_root)
    assert reply.text == "an answer" and reply.memories == () and model.prompts == ["closed: Where was she?"]
    assert model.adapter is None and "untouched base" in reply.setting


def test_the_champion_brings_its_adapter_and_its_memory(
    scripted_night: ScriptedNight, artifact_root: Path, model: Model
) -> None:
    run = scripted_night.run()
    reply = ask(artifact_root, adapter="champion", memory=True)
    assert model.adapter == run.path / "lora_train" / "adapter" and "champion (version 1)" in reply.setting
    (memory,) = reply.memories
    assert memory.text in model.prompts[0] and "Where was she?" in model.prompts[0]
    for named in (run.run_id, str(run.path), str(run.path / "lora_train" / "adapter"), "consolidation/episodic"):
        model.adapter = None
        ask(artifact_root, adapter=named)
        assert model.adapter == run.path / "lora_train" / "adapter"


def test_the_newest_run_s_memory_serves_when_no_adapter_is_asked_for(
    scripted_night: ScriptedNight, artifact_root: Path, model: Model
) -> None:
    scripted_night.run("tracking.enabled=false")
    assert len(ask(artifact_root, memory=True, k=3).memories) == 3


def test_memory_is_contrasted_with_its_absence_as_configured(
    scripted_night: ScriptedNight, artifact_root: Path, model: Model
) -> None:
    scripted_night.run("tracking.enabled=false")
    overrides = ["evaluation.memory_contrast=0.7"]
    ask(artifact_root, memory=True, overrides=overrides)
    assert model.options["against"] == [memory_prompt("Where was she?", [])] and model.options["one_line"]
    assert model.options["contrast"] == 0.7
    ask(artifact_root, overrides=overrides)
    assert model.options.get("against") is None and not model.options.get("one_line")


def test_a_missing_champion_or_memory_says_what_to_do(artifact_root: Path, model: Model) -> None:
    with pytest.raises(ModelError, match="--adapter none"):
        ask(artifact_root, adapter="champion")
    with pytest.raises(StoreError, match="engram teach"):
        ask(artifact_root, memory=True)
    assert not model.prompts


def test_what_is_asked_for_is_replayed_more_from_the_next_night_on(
    scripted_night: ScriptedNight, artifact_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real decoder: two questions count two, and one fact is drawn more often than before."""
    tiny = tiny_language_model()
    monkeypatch.setattr("pipeline.language.models.load_for_evaluation", lambda config: tiny)
    told = [
        ("f0", "Mona Hale bought a lantern."),
        ("f1", "Olaf Reed sold a kettle."),
        ("f2", "Ines Boyd lost a fiddle."),
    ]
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in told))
    teach_file(path, "default", configure("consolidation/facts", ()))
    before = episodes(artifact_root)

    def asked(**changes: Any) -> str:
        options: dict[str, Any] = {"memory": True, "adapter": "none", "session": "default", "k": 2}
        reply = ask_question("Who sold a kettle?", root=artifact_root, **(options | changes))
        return str(reply.setting)

    assert "memory on" in asked() and "memory on" in asked()
    asked(count=False)
    asked(overrides=["store.count_recalls=false"])
    asked(memory=False)
    ask_question("Zqx?", memory=True, adapter="none", session="default", k=1, root=artifact_root)  # nothing answers it
    assert episodes(artifact_root).equals(before)  # the store itself is the night's to write

    scripted_night.run("tracking.enabled=false", target="consolidation/nightly")
    after = episodes(artifact_root)
    assert dict(zip(after["episode_id"].to_pylist(), after["usage"].to_pylist(), strict=True)) == {
        "f0": 0,
        "f1": 2,
        "f2": 0,
    }
    shares = [
        sum(
            "f1" in sample_night({"episodic": rows}, ReplayConfig(max_items=1), seed, 1)[0]["episode_id"].to_pylist()
            for seed in range(200)
        )
        for rows in (before, after)
    ]
    assert shares[1] > shares[0] + 15  # 200 nights of one fact each


def test_a_recall_that_cannot_be_counted_still_answers(
    scripted_night: ScriptedNight, artifact_root: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_night.run("tracking.enabled=false")
    ask(artifact_root, memory=True)
    assert not (artifact_root / "memory").exists()  # a fresh run's own store goes on in no night
    scripted_night.run("tracking.enabled=false", "fresh=false", "session=day")
    (artifact_root / "memory" / "day" / "recalls.jsonl").mkdir()
    reply = ask_question("Who bought it?", memory=True, adapter="none", session="day", k=1, root=artifact_root)
    assert reply.text == "an answer" and "not counted" in reply.setting and "recalls.jsonl" in reply.setting


def episodes(root: Path) -> pa.Table:
    """Of session ``default``, as its newest generation has them."""
    generation = GenerationStore.of(root, "default", "episodic").current()
    assert generation is not None
    return generation.table("episodes", EPISODE_SCHEMA)


def test_every_base_model_has_its_own_champion() -> None:
    names = {adapter_name(ModelConfig(name=name)) for name in ("embedded", "owner/name", "/a/folder")}
    assert names == {"engram-embedded", "engram-owner-name", "engram-a-folder"}
