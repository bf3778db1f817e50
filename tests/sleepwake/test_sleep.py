"""A sleep: each memory learns its own target, base text is kept, harm is taken back, and failed memories stay."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config.sleepwake import PretrainConfig, StreamConfig
from pipeline.config.sleepwake_night import SleepConfig, SurpriseStoreConfig
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.pretraining import pretrain
from pipeline.sleepwake.recall import recalled
from pipeline.sleepwake.rehearsal import continued, divergence, fisher_information, log_shares, made_up, memory_rows
from pipeline.sleepwake.sleep import Slept, sleep
from pipeline.sleepwake.streams import recall_streams
from pipeline.sleepwake.surprise_store import Memory, Slot, SurpriseStore
from pipeline.sleepwake.weights import is_trained, weight_change
from tests.sleepwake.tiny import sleepwake_model, text

FREE = 1e9


def slots(count: int = 4) -> tuple[Slot, ...]:
    memories = [Memory((0.0,), f"@{chr(97 + i)}=".encode(), f"{i}{9 - i};".encode(), 1.0, "") for i in range(count)]
    return SurpriseStore(SurpriseStoreConfig(consolidation_quantile=0.0)).observed(memories, 0).selected()


def settings(**changes: Any) -> SleepConfig:
    known: dict[str, Any] = {
        "steps": 60, "memory_rows": 4, "pseudo_rows": 0, "text_rows": 0, "text_length": 16, "text_pool": 8,
        "pseudo_pool": 8, "probe_every": 20, "probe_bytes": 256, "lr": 0.02, "lr_max": 0.02, "warmup": 1,
        "drift_max": FREE, "transient_max": FREE, "control": False, "consolidation_strength": 0.0,
        "ewc": 0.0, "trained": "all", "stream_rows": 0,
    }  # fmt: skip
    return SleepConfig(**(known | changes))


def slept(model: SleepWakeModel, config: SleepConfig, seed: int = 0, learn: bool = True) -> Slept:
    return sleep(model, slots(), text(), text(seed=1), config, seed, learn=learn)


def reading() -> SleepWakeModel:
    """A model that has read some text."""
    model = sleepwake_model()
    mixture: dict[str, Any] = {"batch": 8, "text_length": 32, "streams": 0, "arithmetic_rows": 0, "fact_rows": 0}
    pretrain(model, text(), PretrainConfig(steps=60, lr=0.01, warmup=2, **mixture), 0)
    return model


def right(model: SleepWakeModel) -> list[bool]:
    return recalled(model, [slot.context for slot in slots()], [slot.target for slot in slots()])


def test_every_memory_is_learned_by_its_own_target_and_verified() -> None:
    model = sleepwake_model()
    assert not any(right(model))
    told = slept(model, settings(steps=200))
    assert all(right(model)) and told.stopped == "every memory is verified"
    assert all(count >= 2 for count in told.stages.values()) and len(told.steps) < 200


def test_the_same_steps_without_memories_teach_nothing() -> None:
    model = sleepwake_model()
    told = slept(model, settings(text_rows=2), learn=False)
    assert not any(right(model)) and len(told.steps) == 60 and set(told.stages.values()) == {0}


def test_labels_that_wait_in_main_memory_teach_the_same() -> None:
    models, mixture = [sleepwake_model(), sleepwake_model()], {"pseudo_rows": 2, "text_rows": 2, "steps": 10}
    for model, offload in zip(models, (False, True), strict=True):
        slept(model, settings(offload=offload, consolidation_strength=0.5, **mixture))
    one, other = (model.state_dict() for model in models)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_harm_is_taken_back_to_the_last_weights_that_did_none() -> None:
    model = sleepwake_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    told = slept(model, settings(drift_max=1e-9, transient_max=1e-9, lr=0.5, lr_max=0.5, rollbacks=1))
    assert told.rollbacks == 2 and "again and again" in told.stopped and set(told.stages.values()) == {0}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert set(told.weight_change.values()) == {0.0}


def test_a_little_too_much_harm_is_taken_back_part_of_the_way() -> None:
    free, bound = reading(), reading()
    gentle: dict[str, Any] = {"steps": 150, "probes": 200, "lr": 0.01, "text_rows": 4}
    end = slept(free, settings(**gentle)).probes[-1]["drift"]
    told = slept(bound, settings(**gentle, drift_max=0.7 * end))
    assert 0.5 <= told.kept_share < 1 and told.probes[-1]["drift"] <= 0.7 * end < told.probes[-2]["drift"]
    assert sum(right(bound)) >= 3 and told.rollbacks == 0


def test_rehearsal_keeps_base_text_better_than_none() -> None:
    alone, rehearsed = reading(), reading()
    without = slept(alone, settings(steps=40)).probes[-1]["drift"]
    with_text = slept(rehearsed, settings(steps=40, text_rows=8, text_weight=50.0)).probes[-1]["drift"]
    assert with_text < without


def test_rehearsed_streams_keep_what_is_read_with_the_memory() -> None:
    shape, apart = StreamConfig(length=96, facts=2, asked=2), list[float]()
    told = recall_streams(np.random.default_rng(0), text(seed=1), "validation", shape, 4).values
    for rows in (0, 2):
        model = reading()
        teacher = copy.deepcopy(model)
        slept(model, settings(stream_rows=rows, stream_pool=4, stream=shape, steps=40))
        with torch.no_grad():
            apart.append(
                float(divergence(log_shares(teacher, told, memory=True), log_shares(model, told, memory=True)))
            )
    assert apart[1] < apart[0] / 2


@pytest.mark.parametrize("held", [{"l2sp": 100.0}, {"ewc": 1e6}])
def test_held_weights_move_less(held: dict[str, float]) -> None:
    free, tied = sleepwake_model(), sleepwake_model()
    moved = slept(free, settings(steps=20)).weight_change
    less = slept(tied, settings(steps=20, **held)).weight_change
    assert sum(less.values()) < sum(moved.values())


@pytest.mark.parametrize("trained", ["feed_forward", "later_blocks", "all"])
def test_a_sleep_changes_what_it_may_and_nothing_else(trained: str) -> None:
    model, before = sleepwake_model(), sleepwake_model()
    slept(model, settings(steps=5, trained=trained))
    changed = {
        name
        for (name, new), old in zip(model.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(new, old)
    }
    assert changed and all(is_trained(name, settings(trained=trained), 1) for name in changed)
    assert not any(name.startswith("memory.") for name in changed)
    if trained == "later_blocks":
        assert all(name.startswith("blocks.1.") for name in changed)


def test_the_seed_decides() -> None:
    models = [sleepwake_model() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        slept(model, settings(steps=5, pseudo_rows=4, text_rows=2, memory_rows=2), seed)
    weights = [torch.cat([weight.flatten() for weight in model.parameters()]) for model in models]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_no_memories_no_sleep() -> None:
    model = sleepwake_model()
    assert sleep(model, (), text(), text(), settings(), 0).stopped == "no memories"


def test_rows_of_memories_weigh_targets_fully_contexts_less_and_padding_not() -> None:
    told = memory_rows(sleepwake_model().eval(), slots(), settings(context_weight=0.25))
    assert told.values.shape == (4, 6) and told.soft.shape == (4, 6, 256)
    assert told.weights[0].tolist() == [0.25, 0.25, 0.25, 1, 1, 1] and told.targets.sum() == 12


def test_a_long_memory_changes_no_label_of_a_short_one() -> None:
    model, short = sleepwake_model().eval(), slots()
    long = replace(short[0], slot_id=9, context=b"#" * 8, target=b"words")
    alone, beside = memory_rows(model, short, settings()), memory_rows(model, (*short, long), settings())
    torch.testing.assert_close(beside.soft[:4, :6], alone.soft)


def test_made_up_sequences_begin_as_contexts_do() -> None:
    drawn = made_up(sleepwake_model().eval(), slots(), settings(pseudo_length=5), torch.Generator().manual_seed(0))
    assert drawn.values.shape == (8, 5) and set(drawn.values[:, 0].tolist()) == {ord("@")}
    torch.testing.assert_close(drawn.soft.exp().sum(-1), torch.ones(8, 5))


def test_cues_are_continued_and_only_what_was_continued_counts() -> None:
    told = settings(cue_bytes=2, context_weight=0.5)
    drawn = continued(sleepwake_model().eval(), [b"@a=", b"@abc="], told)
    assert drawn.values.shape == (2, 7)
    assert drawn.weights.tolist() == [[0.5] * 3 + [1] * 2 + [0] * 2, [0.5] * 5 + [1] * 2]
    assert bytes(drawn.values[1, :5].tolist()) == b"@abc="


def test_cues_keep_what_the_weights_know() -> None:
    """The same sleep about other memories, with the contexts of the earlier ones and without them."""
    known = sleepwake_model()
    slept(known, settings(steps=200))
    others = tuple(replace(slot, context=b"#" + slot.context[1:], target=slot.target[::-1]) for slot in slots())
    kept = []
    for cues in ((), tuple(slot.context for slot in slots())):
        model = copy.deepcopy(known)
        config = settings(steps=60, cue_rows=8, cue_bytes=3, cue_weight=10.0, probes=99)
        sleep(model, others, text(), text(seed=1), config, 0, cues=cues)
        kept.append(sum(right(model)))
    assert kept[0] < kept[1] == 4


def test_the_fisher_information_of_the_memory_is_zero_where_weights_alone_answer() -> None:
    model = sleepwake_model()
    found = fisher_information(model, torch.randint(0, 256, (3, 16)))
    for (name, _), part in zip(model.named_parameters(), found, strict=True):
        assert bool(part.any()) != name.startswith("memory.")


def test_the_change_of_weights_is_relative_by_module() -> None:
    before, after = sleepwake_model(), sleepwake_model()
    after.blocks[1].up.weight.data *= 2
    told = weight_change(before, after)
    assert told["blocks.0"] == 0 and 0 < told["blocks.1"] < 1 and set(told) >= {"embedding", "memory", "norm"}
