"""Training learns, stops early, and goes on from a checkpoint as if nobody had killed it."""

from __future__ import annotations

import copy
import math
import random
import statistics
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.language import LoraConfig
from pipeline.errors import ArtifactError
from pipeline.language.adapter import attach, b_norm, trainable
from pipeline.language.curriculum import schedule
from pipeline.language.curvature import CurvatureAnchor, general_moments
from pipeline.language.encoding import encode, run_lower
from pipeline.language.generation import generate
from pipeline.language.models import LanguageModel
from pipeline.language.rows import TrainingRow
from pipeline.language.teacher import top_log_probs
from pipeline.language.training import Step, Trainer, mean_losses, probe_accuracy
from tests.language.examples import question_rows, text_row

CONFIG = LoraConfig(
    first_layer=2,
    rank=4,
    alpha=8,
    epochs=3,
    forms_per_epoch=2,
    batch_size=3,
    checkpoint_steps=1,
    learning_rate=0.01,
    stop_at=0.0,  # the second of three passes is the first to be probed, and the last one cools down
    patience=1,
)


class Killed(Exception):
    """Stands for a signal in the middle of a night."""


def rows_of(lm: LanguageModel) -> list[TrainingRow]:
    general = [text_row(f"g{i}", f" The {word} sang.", "short") for i, word in enumerate(("choir", "king", "owl"))]
    return [*question_rows(lm), *top_log_probs(lm, general, 5)]


def trainer(
    tiny: LanguageModel, config: LoraConfig = CONFIG, checkpoint: Path | None = None, known: Collection[str] = ()
) -> Trainer:
    """A night that begins, or goes on, in a process of its own."""
    lm = copy.copy(tiny)
    lm.model = copy.deepcopy(tiny.model)
    rows = rows_of(lm)
    attach(lm, config, seed=3)
    encoded = encode(lm, rows, config.first_layer)
    run_lower(lm, encoded)
    anchor = CurvatureAnchor(lm, general_moments(lm, encoded, 3))
    return Trainer(lm, encoded, config, 3, anchor, checkpoint, known)


def weights(night: Trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainable(night.lm.model).items()}


def learned(steps: list[Step]) -> bool:
    """Whether the last pass lost less than the first; single steps hold different rows."""
    means = [statistics.mean(s.cross_entropy for s in steps if s.epoch == epoch) for epoch in (0, steps[-1].epoch)]
    return means[1] < means[0]


@pytest.fixture(scope="module")
def whole(tiny: LanguageModel) -> Trainer:
    """A night that nobody killed."""
    night = trainer(tiny)
    night.run()
    return night


@settings(max_examples=6)
@given(every=st.integers(1, 4), kills=st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True).map(sorted))
def test_a_killed_night_ends_as_the_uninterrupted_one(
    tiny: LanguageModel, whole: Trainer, tmp_path_factory: pytest.TempPathFactory, every: int, kills: list[int]
) -> None:
    checkpoint = tmp_path_factory.mktemp("night") / "checkpoint.safetensors"
    config = CONFIG.model_copy(update={"checkpoint_steps": every})

    for kill in kills:

        def stop_at(step: Step, last: int = kill) -> None:
            if step.step == last:
                raise Killed

        with pytest.raises(Killed):
            trainer(tiny, config, checkpoint).run(stop_at)
    resumed = trainer(tiny, config, checkpoint)
    assert len(resumed.records) == kills[-1] // every * every
    records = resumed.run()
    assert repr(records) == repr(whole.records)  # NaN equals no NaN
    for name, expected in weights(whole).items():
        assert torch.equal(weights(resumed)[name], expected), name


def test_a_pass_begins_by_asking_what_became_of_earlier_facts(tiny: LanguageModel, tmp_path: Path) -> None:
    known = {row.episode_id for row in rows_of(tiny) if row.kind == "question"}
    config = CONFIG.model_copy(update={"stop_at": 1.0})
    whole = trainer(tiny, config, known=known)
    asked = whole.curriculum.to_measure(0)
    before = mean_losses(whole.lm, whole.encoded, asked)
    whole._ask_known(0)
    assert whole.standing.loss == pytest.approx({r.row.episode_id: x for r, x in zip(asked, before, strict=True)})
    steps = trainer(tiny, config, known=known).run()
    checkpoint = tmp_path / "checkpoint.safetensors"
    for stop in (1, whole.steps_per_epoch, whole.steps_per_epoch + 1):
        checkpoint.unlink(missing_ok=True)
        with pytest.raises(Killed):
            trainer(tiny, config, checkpoint, known).run(kill_at(stop))
        assert repr(trainer(tiny, config, checkpoint, known).run()) == repr(steps), f"killed after step {stop}"


def kill_at(stop: int) -> Callable[[Step], None]:
    def on_step(step: Step) -> None:
        if step.step == stop:
            raise Killed

    return on_step


def test_the_loss_falls_and_only_the_adapter_moves(tiny: LanguageModel, whole: Trainer) -> None:
    steps = whole.records
    assert [(step.step, step.epoch) for step in steps] == [(i, i // 2) for i in range(6)]  # 3 facts x 2 forms / 3
    assert learned(steps) and b_norm(whole.lm.model) > 0
    assert all(step.anchor > -1e-6 and math.isfinite(step.loss) and step.tokens > 0 for step in steps)
    assert steps[0].curvature == 0 and all(step.curvature > 0 for step in steps[1:])  # B begins at zero
    base = dict(tiny.model.named_parameters())
    for name, parameter in whole.lm.model.named_parameters():
        if "lora_" not in name:
            assert torch.equal(parameter, base[name.replace("base_layer.", "")]), name
    probed = [step.step for step in steps if not math.isnan(step.probe_accuracy)]
    assert probed == [3, 5]  # at the ends of the last two of three epochs


def test_probe_accuracy_is_greedy_exactness(tiny: LanguageModel) -> None:
    """Asked as probes, some trained questions are answered rightly; one pass over the gold answers finds just those."""
    learns = {
        "epochs": 12,
        "forms_per_epoch": 3,
        "first_layer": 0,
        "batch_size": 6,
        "anchor_weight": 0.0,
        "curvature_weight": 0.0,
    }
    night = trainer(tiny, CONFIG.model_copy(update=learns))
    night.run()
    for row in night.encoded.rows[::2]:
        row.row = replace(row.row, split="probe")
    probes = [row for row in night.encoded.rows if row.row.split == "probe"]
    said = generate(night.lm, [row.row.prompt for row in probes], max_new_tokens=12)
    right = [g.text + "<|im_end|>" == row.row.target for g, row in zip(said, probes, strict=True)]
    assert probe_accuracy(night.lm, night.encoded, probes) == sum(right) / len(right)
    assert 0 < sum(right) < len(right)
    assert math.isnan(probe_accuracy(night.lm, night.encoded, []))


@pytest.mark.parametrize(("stop_at", "patience", "passes"), [(0.0, 1, 4), (0.0, 2, 5), (0.0, 3, 6), (1.0, 1, 6)])
def test_it_cools_down_for_a_pass_once_the_probes_pass(
    tiny: LanguageModel, stop_at: float, patience: int, passes: int
) -> None:
    config = CONFIG.model_copy(update={"stop_at": stop_at, "patience": patience, "epochs": 6})  # probed from the third
    night = trainer(tiny, config)
    steps = night.run()
    assert len(steps) == passes * night.steps_per_epoch
    expected = [schedule(step.step, night.total, config) for step in steps]
    if night.finished():
        assert night.run() == night.records  # nothing more to do
        expected[-night.steps_per_epoch :] = [
            rate * share for rate, share in zip(expected[-night.steps_per_epoch :], (0.55, 0.1), strict=True)
        ]
    assert [step.learning_rate for step in steps] == pytest.approx(expected)
    assert night.finished() == (stop_at == 0.0)


def test_a_bfloat16_base_trains_a_float32_adapter(tiny: LanguageModel) -> None:
    half = replace(tiny, model=copy.deepcopy(tiny.model).bfloat16(), dtype=torch.bfloat16)
    night = trainer(half)
    steps = night.run()
    assert all(p.dtype == torch.float32 for p in weights(night).values())
    assert learned(steps) and b_norm(night.lm.model) > 0
    whole = [step.cross_entropy for step in trainer(tiny).run()]
    assert [step.cross_entropy for step in steps] == pytest.approx(whole, rel=0.1)


def test_a_damaged_checkpoint_is_named(tiny: LanguageModel, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(b"half a file")
    with pytest.raises(ArtifactError, match=r"checkpoint\.safetensors: not a checkpoint of this night"):
        trainer(tiny, CONFIG, checkpoint)


@pytest.mark.parametrize("seed", range(6))
def test_a_flipped_byte_in_a_checkpoint_is_never_trained_on(tiny: LanguageModel, tmp_path: Path, seed: int) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        trainer(tiny, CONFIG, checkpoint).run(kill_at(2))
    data = bytearray(checkpoint.read_bytes())
    at = random.Random(seed).randrange(len(data) // 2, len(data))  # the weights; the header's end is told by itself
    data[at] ^= 1
    checkpoint.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"checkpoint\.safetensors: not a checkpoint of this night"):
        trainer(tiny, CONFIG, checkpoint)
