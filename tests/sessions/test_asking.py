"""One question: which adapter, which memory, which prompt and decoding; the model itself is a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.config import ModelConfig
from pipeline.errors import ModelError, StoreError
from pipeline.language.prompts import memory_prompt
from pipeline.sessions.asking import ask_question
from pipeline.sessions.champion import adapter_name
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


def test_every_base_model_has_its_own_champion() -> None:
    names = {adapter_name(ModelConfig(name=name)) for name in ("embedded", "owner/name", "/a/folder")}
    assert names == {"engram-embedded", "engram-owner-name", "engram-a-folder"}
