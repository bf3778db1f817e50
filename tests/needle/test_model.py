"""The model: tokens alone decide, rows do not know of each other, the fast path is the slow one."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
from torch import nn

from pipeline.config.emma import EmmaConfig, ReadConfig
from pipeline.errors import ModelError
from pipeline.needle.evaluation import accuracy, evaluate, zero_read
from pipeline.needle.examples import TensorExamples
from pipeline.needle.model import NeedleModel
from pipeline.needle.stepwise import forward_stepwise
from tests.needle.sequences import LAYOUT, sequences
from tests.needle.tiny import LEARNED, MARKED, MEMORY, TINY, tiny

EVERYWHERE = EmmaConfig(writes="learned", max_writes_per_seq=None, gate_bias=-0.5)
QUERIES = EVERYWHERE.model_copy(update={"own_query_keys": True})


def test_forward_takes_tokens_and_nothing_else() -> None:
    assert list(inspect.signature(NeedleModel.forward).parameters) == ["self", "tokens"]


@pytest.mark.parametrize("emma", [MARKED, LEARNED])
def test_other_labels_leave_logits_unchanged_to_the_bit(emma: EmmaConfig) -> None:
    model, batch = tiny(emma), sequences(32)
    mixed = replace(batch, target=batch.target.roll(5, 0), pair_val=batch.pair_val.roll(7, 0))
    before = evaluate(model, TensorExamples(batch), 32).questions
    after = evaluate(model, TensorExamples(mixed), 32).questions
    assert torch.equal(before["pred"], after["pred"]) and torch.equal(before["entropy"], after["entropy"])
    assert torch.equal(model(batch.tokens).logits, model(mixed.tokens).logits)


def test_the_oracle_is_refused_in_evaluation_and_without_it_training_sees_tokens_alone() -> None:
    model, batch = tiny(EmmaConfig(value_dropout=0.0)), sequences(8)
    with pytest.raises(ModelError, match="forward"):
        model.eval().with_oracle(batch, 0.5)
    model.train()
    plain, none = model(batch.tokens).logits, model.with_oracle(batch, 0.0).logits
    torch.testing.assert_close(plain, none)
    assert not torch.allclose(plain, model.with_oracle(batch, 1.0).logits)


@pytest.mark.parametrize("emma", [MARKED, LEARNED, EVERYWHERE])
def test_a_row_is_answered_the_same_in_any_batch(emma: EmmaConfig) -> None:
    model, batch = tiny(emma).eval(), sequences(32)
    together = model(batch.tokens).logits
    alone = torch.cat([model(row[None]).logits for row in batch.tokens])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("emma", [MARKED, EVERYWHERE, LEARNED, QUERIES])
@pytest.mark.parametrize("rule", ["plain", "delta"])
def test_the_fast_path_is_the_loop_over_positions(emma: EmmaConfig, rule: str) -> None:
    model = tiny(emma, MEMORY.model_copy(update={"rule": rule})).eval()
    if model.own_query is not None:  # it begins as the head of writes
        nn.init.normal_(model.own_query.linear.bias)
    tokens = sequences(6).tokens
    fast, slow = model(tokens), forward_stepwise(model, tokens)
    torch.testing.assert_close(fast.logits, slow.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(fast.prediction, slow.prediction, atol=1e-4, rtol=0)
    assert torch.equal(fast.read_buckets, slow.read_buckets)


def test_the_loop_trains_like_the_fast_path() -> None:
    model, batch = tiny(EmmaConfig(value_dropout=0.0, deq_max_iter=60, deq_tol=1e-6)).train(), sequences(6)
    found = []
    for answer in (model(batch.tokens), forward_stepwise(model, batch.tokens)):
        model.zero_grad()
        answer.logits.square().sum().backward()
        found.append(
            {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        )
    assert found[0].keys() == found[1].keys() and len(found[0]) > 6
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=1e-3, rtol=1e-2, msg=name)


def test_the_loop_refuses_what_needs_the_whole_sequence() -> None:
    with pytest.raises(ModelError, match="liquid"):
        forward_stepwise(tiny(model=TINY.model_copy(update={"liquid": True})), sequences(2).tokens)


def test_without_memory_answers_are_chance() -> None:
    model, batch = tiny(), sequences(2000)
    found = evaluate(model, TensorExamples(batch), 1000, zero_read).questions
    assert len(found["pred"].unique()) == 1
    assert float((found["pred"] == found["target"]).float().mean()) == pytest.approx(1 / 64, abs=0.015)


def test_an_untrained_model_answers_by_chance() -> None:
    assert float(accuracy(tiny(), TensorExamples(sequences(1000)), 500).float().mean()) < 0.05


def test_a_learned_gate_writes_so_many_positions_at_most_in_order() -> None:
    model, batch = tiny(EmmaConfig(writes="learned", max_writes_per_seq=5)), sequences(4)
    encoded = model.encode(batch.tokens)
    assert encoded.gate_logits is not None and encoded.writes.positions.shape == (4, 5)
    assert bool((encoded.writes.positions.diff(dim=1) > 0).all())
    widest = encoded.gate_logits.topk(5, dim=1).values.min(1).values
    chosen = encoded.gate_logits.gather(1, encoded.writes.positions)
    assert bool((chosen >= widest[:, None]).all())


def test_marks_are_read_off_the_tokens() -> None:
    batch = sequences(8)
    assert torch.equal(tiny().encode(batch.tokens).writes.positions, batch.pair_pos)
    with pytest.raises(ModelError, match="learned"):
        tiny(layout=replace(LAYOUT, write_token=None))


def test_a_lane_lets_tokens_far_before_change_the_core_s_own_answer() -> None:
    tokens = sequences(1).tokens
    noise = (tokens[0] < 20).unfold(0, 4, 1).all(-1).nonzero()[0, 0]  # none of those that see it writes or asks
    changed = tokens.clone()
    changed[0, noise] = (changed[0, noise] + 1) % 20
    for liquid in (True, False):
        emma = EmmaConfig(answer="prediction")
        model = tiny(emma, model=TINY.model_copy(update={"liquid": liquid})).eval()
        assert torch.equal(model(tokens).logits, model(changed).logits) != liquid


def test_sharpening_changes_no_answer_and_spares_the_loss() -> None:
    read, tokens = ReadConfig(sharpen_topk=2), sequences(8).tokens
    plain, sharp = tiny(), tiny(read=read)
    assert torch.equal(plain.eval()(tokens).logits.argmax(-1), sharp.eval()(tokens).logits.argmax(-1))
    assert len(sharp(tokens).logits[0, 0].unique()) == 3
    assert len(sharp.train()(tokens).logits[0, 0].unique()) == 64
