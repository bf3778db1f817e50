"""The base's own replies: computed once per digest, prompts and settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.language import rehearsal
from pipeline.language.generation import generate
from pipeline.language.models import LanguageModel
from pipeline.language.rehearsal import Reply, kept_generations, replies

PROMPTS = ["Once upon a time", "Mona went", "Otto"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_replies_are_greedy_and_say_whether_they_are_whole(tiny: LanguageModel) -> None:
    made = generate(tiny, PROMPTS, max_new_tokens=5, batch_size=2)
    expected = [Reply(p, g.text, not g.overlong) for p, g in zip(PROMPTS, made, strict=True)]
    assert replies(tiny, PROMPTS, 5, 2) == expected


def test_what_was_written_before_is_read(tiny: LanguageModel, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept_generations(tiny, PROMPTS, 5, 2)
    monkeypatch.setattr(rehearsal, "generate", None)
    told: list[int] = []
    assert kept_generations(tiny, PROMPTS, 5, 2, progress=told.append) == first and told == [3]
    assert len(list(cache.rglob("*.parquet"))) == 1


def test_another_model_prompt_or_setting_is_computed_anew(tiny: LanguageModel, cache: Path) -> None:
    kept_generations(tiny, PROMPTS, 5, 2)
    kept_generations(replace(tiny, digest="1" * 16), PROMPTS, 5, 2)
    kept_generations(tiny, PROMPTS[:2], 5, 2)
    kept_generations(tiny, PROMPTS, 4, 2)
    kept_generations(tiny, PROMPTS, 5, 2, one_line=True)
    kept_generations(tiny, PROMPTS, 5, 2, temperature=1.0)
    kept_generations(tiny, PROMPTS, 5, 2, temperature=1.0, seed=1)
    made = kept_generations(tiny, PROMPTS, 5, 2, against=PROMPTS[::-1], contrast=1.0)
    kept_generations(tiny, PROMPTS, 5, 2, against=PROMPTS[::-1], contrast=2.0)
    kept_generations(tiny, PROMPTS, 5, 2, against=["Fact:"] * 3, contrast=1.0)
    assert len(list(cache.rglob("*.parquet"))) == 10
    assert made == generate(tiny, PROMPTS, max_new_tokens=5, against=PROMPTS[::-1], contrast=1.0)
    assert made != kept_generations(tiny, PROMPTS, 5, 2)
    assert made == kept_generations(tiny, PROMPTS, 5, 2, against=PROMPTS[::-1], contrast=1.0)
