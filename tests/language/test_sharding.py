"""A generation that several processes share gives what one process gives, or one clear error."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifacts import digest_tree
from pipeline.config import ModelConfig
from pipeline.config.sharding import ShardingConfig
from pipeline.config.study import StudyConfig
from pipeline.errors import ArtifactError, ConfigError, EngramError, ModelError, ServiceError
from pipeline.executors.registry import Call, Function
from pipeline.language import sharding
from pipeline.language.adapter import attach, load_adapter, save_adapter
from pipeline.language.generation import Decoding, generate, generate_share
from pipeline.language.models import LanguageModel
from pipeline.language.self_study import Studied, study
from pipeline.language.sharding import opened_shards, shared
from pipeline.suites.types import Fact
from tests.language.shards import BATCH, TOKENS, Here, asked, over, saved_tiny
from tests.language.test_adapter import CONFIG, stir


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    sharding._loaded.cache_clear()


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    return saved_tiny(tmp_path / "tiny")


@pytest.fixture
def adapted(lm: LanguageModel, own_tiny: LanguageModel, tmp_path: Path) -> LanguageModel:
    peft = attach(own_tiny, CONFIG, seed=1)
    stir(own_tiny)
    save_adapter(peft, tmp_path / "adapter")
    return load_adapter(lm, tmp_path / "adapter")


@settings(max_examples=12)
@given(count=st.integers(1, 5), batch_size=st.integers(1, 5), contrast=st.sampled_from([0.0, 0.3]), one_line=...)
def test_the_shares_of_a_generation_make_the_whole(
    tiny: LanguageModel, count: int, batch_size: int, contrast: float, one_line: bool
) -> None:
    prompts, against = asked(tiny)
    decoding = Decoding(TOKENS, batch_size, one_line, contrast)
    shares = [generate_share(tiny, prompts, against, decoding, (number, count)) for number in range(count)]
    merged = {index: made for share in shares for index, made in share.items()}
    assert sum(map(len, shares)) == len(prompts)
    whole = generate(
        tiny,
        prompts,
        max_new_tokens=TOKENS,
        batch_size=batch_size,
        one_line=one_line,
        against=against,
        contrast=contrast,
    )
    assert [merged[index] for index in range(len(prompts))] == whole


@pytest.mark.slow
def test_processes_answer_as_one_does(lm: LanguageModel, adapted: LanguageModel, tmp_path: Path) -> None:
    prompts, against = asked(lm)
    kinds: list[dict[str, Any]] = [{}, {"one_line": True, "against": against, "contrast": 0.3}]
    with opened_shards(ShardingConfig(shards=2), tmp_path) as shards:
        for model in (lm, adapted):
            for more in kinds:
                done: list[int] = []
                alone = generate(model, prompts, max_new_tokens=TOKENS, batch_size=BATCH, **more)
                spread = generate(
                    shared(model, shards),
                    prompts,
                    max_new_tokens=TOKENS,
                    batch_size=BATCH,
                    progress=done.append,
                    **more,
                )
                assert spread == alone and sum(done) == len(prompts) and len(done) == 2
        assert generate(lm, prompts) != generate(adapted, prompts)  # else the adapter would prove nothing
    assert not (tmp_path / "shards").exists()


def test_an_adapter_is_found_by_its_folder(lm: LanguageModel, adapted: LanguageModel, tmp_path: Path) -> None:
    prompts, _ = asked(lm)
    executor = Here()
    made = generate(over(adapted, executor, 3, tmp_path / "shards"), prompts, max_new_tokens=TOKENS, batch_size=BATCH)
    assert made == generate(adapted, prompts, max_new_tokens=TOKENS, batch_size=BATCH)
    assert [number for _, _, number in executor.calls] == [0, 1, 2]
    assert made != generate(lm, prompts, max_new_tokens=TOKENS, batch_size=BATCH)


def test_one_batch_and_draws_stay_in_this_process(lm: LanguageModel, tmp_path: Path) -> None:
    prompts, _ = asked(lm)
    executor = Here()
    spread = over(lm, executor, 3, tmp_path / "shards")
    assert generate(spread, prompts[:2], batch_size=4) == generate(lm, prompts[:2], batch_size=4)
    drawn = generate(spread, prompts, temperature=1.0, seed=4, batch_size=BATCH)
    assert drawn == generate(lm, prompts, temperature=1.0, seed=4, batch_size=BATCH)
    assert generate(spread, []) == [] and executor.calls == []


def test_a_study_is_shared(lm: LanguageModel, tmp_path: Path) -> None:
    text = "Mona Hale opened a bakery in Elmstead on 4 March 1998. It sold rye bread to 120 people a day."
    told, executor = [Fact("d1", text, subject="Mona Hale", relation="document")], Here()
    config, settings = StudyConfig(batch_size=1, tokens=8), ModelConfig()

    def studied(model: LanguageModel) -> tuple[Studied, str]:
        """What came of it, and everything that was generated for it."""
        written = tmp_path / "cache" / "replies"
        shutil.rmtree(written, ignore_errors=True)
        return study(model, told, config, settings, 3, lambda *_: lambda _: None), digest_tree(written)

    alone, spread = studied(lm), studied(over(lm, executor, 2, tmp_path / "shards"))
    assert spread == alone and alone[0].counts["questions"]["asked"] > 2 and len(executor.calls) > 2


class Meddling(Here):
    """Does something to a job before its shards read it, or to what they wrote."""

    def __init__(self, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.before, self.after = before, after

    def run(self, function: Function, calls: Sequence[Call]) -> Any:
        for call in calls:
            if self.before:
                self.before(Path(call[0]))
            told = function(*call)
            yield self.after(Path(call[0]), told) if self.after else told


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def damage_answers(folder: Path, told: dict[str, Any]) -> dict[str, Any]:
    flip(folder / f"answers-{told['number']}.parquet")
    return told


@pytest.mark.parametrize(
    ("executor", "error", "named"),
    [
        (Meddling(lambda job: flip(job / "job.json")), ArtifactError, "job.json"),
        (Meddling(lambda job: flip(job / "prompts.parquet")), ArtifactError, "prompts.parquet"),
        (Meddling(after=damage_answers), ArtifactError, "answers-0.parquet"),
        (Meddling(after=lambda _, told: told | {"number": 0}), ArtifactError, "answers-0.parquet|found"),
        (
            Meddling(lambda job: flip(job.parents[1] / "adapter" / "adapter_model.safetensors")),
            ArtifactError,
            "adapter",
        ),
        (Meddling(lambda job: flip(job.parents[1] / "tiny" / "model.safetensors")), ModelError, "has digest"),
    ],
    ids=["job", "prompts", "answers", "twice", "adapter", "model"],
)
def test_what_is_not_what_was_sent_is_refused(
    adapted: LanguageModel, tmp_path: Path, executor: Meddling, error: type[EngramError], named: str
) -> None:
    prompts, _ = asked(adapted)
    with pytest.raises(error, match=named) as told:
        generate(over(adapted, executor, 2, tmp_path / "shards"), prompts, batch_size=BATCH)
    assert "\n" not in str(told.value)


def test_a_failure_of_a_shard_is_told_with_its_number(
    lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError("no room")

    prompts, _ = asked(lm)
    monkeypatch.setattr(sharding, "generate_share", broken)
    with pytest.raises(ServiceError, match="shard 2 of 2: MemoryError: no room"):
        generate(over(lm, Here(), 2, tmp_path / "shards"), prompts, batch_size=BATCH)


def test_one_shard_starts_nothing_and_names_are_checked(tmp_path: Path) -> None:
    with opened_shards(ShardingConfig(executor="ray"), tmp_path) as shards:
        assert shards is None
    with (
        pytest.raises(ConfigError, match=r"unknown executor 'dask'; there are: processes, ray"),
        opened_shards(ShardingConfig(executor="dask"), tmp_path),
    ):
        pass


def test_a_model_on_a_gpu_is_refused(lm: LanguageModel, tmp_path: Path) -> None:
    spread = over(lm, Here(), 2, tmp_path)
    lm.device = torch.device("cuda")
    with pytest.raises(ConfigError, match=r"sharding\.shards=1"):
        shared(lm, spread.shards)
