"""However many share a step, it is the step that one alone would take."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from threading import Lock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.language import LoraConfig
from pipeline.errors import TrainingError
from pipeline.language.adapter import attach, trainable
from pipeline.language.curvature import CurvatureAnchor, general_moments
from pipeline.language.encoding import EncodedRow, EncodedRows, PrefixGroup, collate, encode, run_lower, upper_logits
from pipeline.language.exchange import ALONE, Exchange, deal, shares
from pipeline.language.initialisation import start_from_data
from pipeline.language.losses import StepLoss
from pipeline.language.models import LanguageModel
from pipeline.language.rows import TrainingRow
from pipeline.language.steps import accumulate_gradients
from pipeline.language.teacher import top_log_probs
from pipeline.language.training import Trainer, mean_losses, probe_accuracy
from tests.language.examples import general_rows, mixed_rows
from tests.language.test_training import CONFIG, Killed, kill_at
from tests.language.threads import together

CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # Adam divides by small gradients, whose last digits hang on the order of sums
SETTINGS = CONFIG.model_copy(update={"epochs": 4, "batch_size": 4, "stop_at": 1.0})
ATTACHING = Lock()  # draws from the one global generator, and silences warnings for all threads
ROW = TrainingRow("", "question", "", "", "train", "", "")


def rows_of(lm: LanguageModel) -> list[TrainingRow]:
    """Questions, memory prompts that share a prefix, namesakes, uses, and soft rehearsal."""
    rows = [row for row in mixed_rows(lm) if row.kind in ("question", "memory")]
    asked = [row for row in rows if row.kind == "question" and row.split == "train"][::3]
    namesakes = [
        replace(row, row_id=f"n/{row.row_id}", kind="namesake", prompt=row.prompt.replace("a", "o"), target=" the")
        for row in asked
    ]
    uses = [replace(row, row_id=f"u/{row.row_id}", kind="use", form=f"told/{row.form}") for row in asked[1:]]
    return [*rows, *namesakes, *uses, *top_log_probs(lm, general_rows(), 5)]


def night(
    tiny: LanguageModel,
    exchange: Exchange,
    config: LoraConfig = SETTINGS,
    checkpoint: Path | None = None,
    known: Collection[str] = (),
) -> Trainer:
    """A night of which this is one process."""
    lm = replace(tiny, model=copy.deepcopy(tiny.model))
    with ATTACHING:
        attach(lm, config, seed=3)
    encoded = encode(lm, rows_of(lm), config.first_layer)
    run_lower(lm, encoded)
    general = general_moments(lm, encoded, 3)
    start_from_data(lm, encoded, general, 3, exchange)
    anchor = CurvatureAnchor(lm, general, exchange)
    return Trainer(lm, encoded, config, 3, anchor, checkpoint, known, exchange)


def flat(trainer: Trainer) -> torch.Tensor:
    return trainer.flat.vector.detach().clone()


@pytest.fixture(scope="module")
def alone(tiny: LanguageModel) -> Trainer:
    """Has run."""
    trainer = night(tiny, ALONE)
    trainer.run()
    return trainer


@pytest.mark.parametrize("size", [2, 3])
def test_a_shared_night_ends_as_one_alone(tiny: LanguageModel, alone: Trainer, size: int) -> None:
    found = together(size, lambda exchange: _run(night(tiny, exchange)))
    assert len(alone.records) == 8 and any(row.group for row in alone.encoded.rows)
    for trainer in found:
        assert torch.equal(flat(trainer), flat(found[0])) and repr(trainer.records) == repr(found[0].records)
        torch.testing.assert_close(flat(trainer), flat(alone), **CLOSE)
        assert trainer.standing.asked == alone.standing.asked
        assert trainer.standing.loss == pytest.approx(alone.standing.loss, rel=1e-3)
        for own, expected in zip(trainer.records, alone.records, strict=True):
            assert vars(own) == pytest.approx(vars(expected), rel=1e-3, abs=1e-6, nan_ok=True)
    start = night(tiny, ALONE)
    assert (flat(start) - flat(alone)).abs().max() > 100 * CLOSE["atol"]  # the night moved far more than the tolerance


def _run(trainer: Trainer) -> Trainer:
    trainer.run()
    return trainer


@pytest.mark.parametrize("count", [1, 2, 9])
def test_losses_by_row_and_gradients_are_those_of_one(tiny: LanguageModel, count: int) -> None:
    def step(exchange: Exchange) -> tuple[StepLoss, float, torch.Tensor]:
        trainer = night(tiny, exchange)
        for parameter in trainable(trainer.lm.model).values():
            torch.nn.init.constant_(parameter, 0.05)
        rows = [row for row in trainer.encoded.rows if row.row.split == "train"][:: max(1, 24 // count)]
        rows += rows[:1]  # a row may stand twice in a step
        loss = accumulate_gradients(trainer.lm, trainer.encoded, rows, SETTINGS, None, exchange)
        assert trainer.anchor is not None and trainer.flat.vector.grad is not None
        curvature = exchange.totals([float(trainer.anchor.add_gradients(2.0))], trainer.lm.device)[0]
        return loss, curvature, exchange.add(trainer.flat.vector.grad)

    loss, curvature, gradient = step(ALONE)
    assert curvature > 0 and gradient.abs().max() > 0
    expected = vars(loss) | {"curvature": curvature}
    by_row = expected.pop("by_row")
    for found, form, own in together(3, step):
        assert found.by_row == pytest.approx(by_row, rel=1e-4) and by_row
        means = {name: value for name, value in vars(found).items() if name != "by_row"} | {"curvature": form}
        assert means == pytest.approx(expected, rel=1e-4, abs=1e-6)
        torch.testing.assert_close(own, gradient, rtol=1e-3, atol=1e-5)


def test_a_shared_night_goes_on_from_a_checkpoint_even_alone(
    tiny: LanguageModel, alone: Trainer, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"

    def killed(exchange: Exchange) -> None:
        with pytest.raises(Killed):
            night(tiny, exchange, SETTINGS, checkpoint).run(kill_at(5))

    together(2, killed)
    kept = checkpoint.read_bytes()
    found = together(2, lambda exchange: _run(night(tiny, exchange, SETTINGS, checkpoint)))
    checkpoint.write_bytes(kept)
    resumed = night(tiny, ALONE, SETTINGS, checkpoint)
    assert len(resumed.records) == 5
    for trainer in (*found, _run(resumed)):
        torch.testing.assert_close(flat(trainer), flat(alone), **CLOSE)


def test_questions_between_passes_are_shared(tiny: LanguageModel, alone: Trainer) -> None:
    lm, encoded = alone.lm, alone.encoded
    rows = [row for row in encoded.rows if row.row.kind == "question"]
    for one in rows[::2]:  # every second one is answered rightly
        one.columns, one.targets = (
            one.columns[:1],
            [int(upper_logits(lm, encoded, collate(encoded, [one]))[0].argmax())],
        )
    expected = mean_losses(lm, encoded, rows), probe_accuracy(lm, encoded, rows)
    assert 0 < expected[1] < 1
    for found in together(3, lambda e: (mean_losses(lm, encoded, rows, e), probe_accuracy(lm, encoded, rows, e))):
        assert found[0] == pytest.approx(expected[0], rel=1e-4) and found[1] == expected[1]


@pytest.mark.parametrize("gap", [1.0, float("nan")])
def test_rounding_is_evened_out_and_drifting_apart_is_an_error(gap: float) -> None:
    def drift(exchange: Exchange) -> torch.Tensor:
        found = torch.full((3,), 1.0 + 1e-5 * exchange.rank)
        exchange.align(found)
        with pytest.raises(TrainingError, match="the processes' adapters differ"):
            exchange.align(torch.full((3,), 1.0 + gap * exchange.rank))
        return found

    assert [found.tolist() for found in together(2, drift)] == [[1.0] * 3] * 2


def row(length: int, group: int) -> EncodedRow:
    return EncodedRow(ROW, [0] * length, [], [], group)


@given(
    lengths=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 2)), max_size=40),
    parts=st.integers(1, 5),
)
def test_shares_are_whole_and_even(lengths: list[tuple[int, int]], parts: int) -> None:
    encoded = EncodedRows([], [PrefixGroup([]), PrefixGroup([0] * 7), PrefixGroup([0] * 90)], 0)
    rows = [row(length, group) for length, group in lengths]
    found = shares(encoded, rows, parts)
    assert Counter(id(one) for part in found for one in part) == Counter(map(id, rows))

    def tokens(part: list[EncodedRow]) -> int:
        return sum(len(r.tokens) for r in part) + sum(len(encoded.groups[g].tokens) for g in {r.group for r in part})

    loads = [tokens(part) for part in found]
    heaviest = max((len(r.tokens) + len(encoded.groups[r.group].tokens) for r in rows), default=0)
    assert max(loads) - min(loads) <= heaviest


@given(costs=st.lists(st.floats(0.1, 100), max_size=30), parts=st.integers(1, 5))
def test_work_is_dealt_evenly(costs: list[float], parts: int) -> None:
    owners = deal(costs, parts)
    loads = [sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == part) for part in range(parts)]
    assert len(owners) == len(costs) and max(loads) - min(loads) <= max(costs, default=0) + 1e-9
