"""Training: telemetry of every epoch, repeatable to the bit, evaluation without oracle; peers within their budget."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pipeline.config.emma import EmmaConfig, NeedleLossConfig, NeedleTrainConfig
from pipeline.errors import TrainingError
from pipeline.needle.evaluation import accuracy, evaluate
from pipeline.needle.examples import TensorExamples
from pipeline.needle.layout import Layout
from pipeline.needle.measures import measures, samples
from pipeline.needle.peers import parameters, peer
from pipeline.needle.training import EpochSettings, NeedleObjective, Row, Trainer, train, train_peer
from tests.needle.sequences import LAYOUT, Sequences, sequences
from tests.needle.tiny import LEARNED, MARKED, TINY, tiny

SHORT = NeedleTrainConfig(batch_size=16, epochs=2, steps_per_epoch=3, eval_batch_size=50)
TRAINING, VALIDATION = TensorExamples(sequences(64, seed=1)), TensorExamples(sequences(100, seed=2))


def trained(emma: EmmaConfig = MARKED, seed: int = 0) -> tuple[list[Row], dict[str, torch.Tensor]]:
    model = tiny(emma)
    rows = train(model, TRAINING, VALIDATION, NeedleLossConfig(), SHORT, lambda rows: EpochSettings(0.02, 0.5), seed)
    return rows, model.state_dict()


@pytest.mark.parametrize("emma", [MARKED, LEARNED])
def test_every_epoch_has_a_row_of_figures(emma: EmmaConfig) -> None:
    rows, _ = trained(emma)
    assert [row["epoch"] for row in rows] == [1.0, 2.0] and rows[-1]["step"] == 6.0
    assert all(math.isfinite(value) for row in rows for value in row.values())
    expected = {"lambda", "alpha", "lr", "train.acc", "train.loss.write_cos", "val.acc", "val.write_cos.min"}
    expected |= {
        "val.read_cos.clean",
        "val.collisions.mean",
        "val.gate.precision",
        "val.deq.converged",
        "val.acc.by_pairs.4",
    }
    assert expected <= rows[0].keys() == rows[1].keys()


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not() -> None:
    one, two, other = trained()[1], trained()[1], trained(seed=1)[1]
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_task_without_pairs_trains_and_is_measured() -> None:
    none = torch.zeros(40, 0, dtype=torch.long)
    batch = replace(sequences(40), pair_pos=none, pair_key=none, pair_val=none)
    emma = EmmaConfig(writes="learned", answer="prediction")
    model = tiny(emma, layout=replace(LAYOUT, write_token=None), model=TINY.model_copy(update={"liquid": True}))
    examples = TensorExamples(batch)
    rows = train(model, examples, examples, NeedleLossConfig(), SHORT, lambda rows: EpochSettings(0.02, 1.0), 0)
    assert math.isfinite(rows[-1]["train.loss"]) and math.isnan(rows[-1]["val.write_cos.mean"])
    assert rows[-1]["val.acc.by_pairs.0"] == rows[-1]["val.acc"]


def test_questions_at_every_position_need_no_token_that_asks() -> None:
    """Multi-query recall: pairs ``K V`` at the start, keys again later, asked where they stand."""
    generator = torch.Generator().manual_seed(0)
    keys = 1 + torch.rand(64, 9, generator=generator).argsort(1)[:, :2]
    values = torch.randint(8, (64, 2), generator=generator)
    tokens = torch.zeros(64, 12, dtype=torch.long)
    tokens[:, 0:4:2], tokens[:, 1:4:2], tokens[:, 8:10] = keys, 10 + values, keys
    places = torch.tensor([[1, 3]]).expand(64, 2)
    batch = Sequences(tokens, places + torch.tensor([7, 6]), values, places, keys, values)
    layout = Layout(18, 8, write_token=None, query_token=None, key_lag_write=1, key_lag_query=0)
    model = tiny(EmmaConfig(writes="learned", max_writes_per_seq=4), layout=layout)
    assert model(tokens).logits.shape == (64, 12, 8)
    config = NeedleTrainConfig(batch_size=64, epochs=40, warmup_steps=1, lr=0.02)
    examples = TensorExamples(batch)
    trainer = Trainer(model, NeedleObjective(model, NeedleLossConfig(), model.memory.config), examples, config, 0)
    for number in range(40):
        trainer.epoch(number, EpochSettings())
    found = measures(evaluate(model, examples, 64))
    assert found["acc"] > 0.8 and found["gate.recall"] > 0.95


def test_an_epoch_learns() -> None:
    model = tiny()
    config = NeedleTrainConfig(batch_size=32, epochs=1, warmup_steps=1, lr=0.01)
    trainer = Trainer(model, NeedleObjective(model, NeedleLossConfig(), model.memory.config), TRAINING, config, 0)
    losses = [trainer.epoch(number, EpochSettings(alpha=1.0))["train.loss"] for number in range(8)]
    assert losses[-1] < 0.8 * losses[0]


def test_cool_down_leaves_the_heads_as_they_were() -> None:
    model = tiny()
    trainer = Trainer(model, NeedleObjective(model, NeedleLossConfig(), model.memory.config), TRAINING, SHORT, 0)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    trainer.epoch(0, EpochSettings(cooldown_batches=9))
    changed = {name.split(".")[0] for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {"core", "readout"}


def test_a_loss_that_is_no_number_stops_with_its_step() -> None:
    model = tiny()
    with torch.no_grad():
        model.readout.embedding.fill_(math.nan)
    trainer = Trainer(model, NeedleObjective(model, NeedleLossConfig(), model.memory.config), TRAINING, SHORT, 0)
    with pytest.raises(TrainingError, match="step 1"):
        trainer.epoch(0, EpochSettings())


def test_the_first_examples_are_the_first_rows_and_every_epoch_sees_all_in_another_order() -> None:
    assert torch.equal(TRAINING.first(5).batch.tokens, TRAINING.batch.tokens[:5]) and len(TRAINING.first(999)) == 64
    orders = [torch.cat([batch.tokens for batch in TRAINING.shuffled(16, 0, epoch)]) for epoch in (0, 1)]
    assert not torch.equal(*orders)
    for order in orders:
        assert sorted(order.tolist()) == sorted(TRAINING.batch.tokens.tolist())


def test_a_callback_stops_training() -> None:
    rows = train(
        tiny(),
        TRAINING,
        VALIDATION,
        NeedleLossConfig(),
        SHORT,
        lambda rows: EpochSettings(),
        0,
        on_epoch=lambda row: True,
    )
    assert len(rows) == 1


def test_the_learning_rate_rises_then_falls_times_the_policy_s_factor() -> None:
    model = tiny()
    config = NeedleTrainConfig(batch_size=16, epochs=10, warmup_steps=4, lr=1.0, lr_min_factor=0.0)
    trainer = Trainer(model, NeedleObjective(model, NeedleLossConfig(), model.memory.config), TRAINING, config, 0)
    assert trainer.rate(EpochSettings()) == pytest.approx(0.25)
    trainer.done = 20
    assert trainer.rate(EpochSettings(lr_factor=0.5)) == pytest.approx(0.25)
    trainer.done = 40
    assert trainer.rate(EpochSettings()) == pytest.approx(0)


def test_figures_agree_with_their_rows() -> None:
    model = tiny(LEARNED)
    found = evaluate(model, VALIDATION, 30)
    figures, rows = measures(found), list(samples(found, "val", 3))
    reads = [row for row in rows if row["event"] == "read"]
    assert len(reads) == 100 and len(rows) == 100 + 400
    assert figures["acc"] == pytest.approx(sum(row["pred"] == row["target"] for row in reads) / 100)
    assert figures["acc"] == pytest.approx(float(accuracy(model, VALIDATION, 50).float().mean()))
    assert {row["example_id"] for row in reads} == set(range(100))
    written = [row for row in rows if row["event"] == "write"]
    assert figures["gate.recall"] == pytest.approx(sum(float(row["gate"]) > 0.5 for row in written) / 400)


@pytest.mark.parametrize("name", ["gru", "attention"])
def test_peers_fill_their_budget_and_see_nothing_later(name: str) -> None:
    budget = 60_000
    model = peer(name, LAYOUT, budget, seed=0)
    assert 0.75 * budget < parameters(model) <= budget
    tokens = sequences(4).tokens
    states = model.states(tokens)
    changed = tokens.clone()
    changed[:, 30] = (changed[:, 30] + 1) % 20
    after = model.states(changed)
    torch.testing.assert_close(states[:, :30], after[:, :30])
    assert not torch.allclose(states[:, 30:], after[:, 30:])
    assert model(tokens).logits.shape == (4, 1, 64)


def test_a_peer_trains_on_the_same_examples() -> None:
    config = NeedleTrainConfig(batch_size=32, epochs=4, warmup_steps=1, lr=0.01)
    rows = train_peer(peer("gru", LAYOUT, 30_000, seed=0), TRAINING, config, 0)
    assert rows[-1]["train.loss"] < rows[0]["train.loss"]
