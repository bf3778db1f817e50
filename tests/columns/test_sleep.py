"""Sleep: the teacher's targets, and that nothing outside of the parents' columns moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.columns.augmentation import shifted, shifted_together
from pipeline.columns.brain import load_brain, newborn, save_brain
from pipeline.columns.losses import distillation_loss
from pipeline.columns.sleep import consolidate, parents_of
from pipeline.columns.tasks import Examples
from pipeline.config.columns import ColumnsConfig, ColumnSleepConfig
from pipeline.errors import ArtifactError
from pipeline.images import SIDE

CONFIG = ColumnsConfig.model_validate_json("""{
    "tasks": [{"name": "a", "classes": [0, 1]},
              {"name": "a2", "classes": [2, 3], "bank": "novel", "consolidate_into": "a"}],
    "model": {"hidden_per_column": 8}, "sleep": {"epochs": 3, "batch_size": 16},
    "masking": {"soft_columns": {"total_columns": 4, "base_columns": 2}}}""")

ITSELF = {"a": "a", "a2": "a2"}


def examples(count: int, seed: int) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, SIDE * SIDE, generator=generator)
    return Examples(images, (images[:, 0] > 0.5).float(), np.arange(count))


def test_shifting_moves_the_image_and_enters_blank() -> None:
    image = torch.zeros(1, SIDE, SIDE)
    image[0, 10, 5] = 1
    moved = shifted(image.view(1, -1), 2, -1).view(SIDE, SIDE)
    assert moved[12, 4] == 1 and moved.sum() == 1
    edge = torch.zeros(1, SIDE, SIDE)
    edge[0, 0, :] = 1
    assert shifted(edge.view(1, -1), -1, 0).sum() == 0
    assert torch.equal(shifted(image.view(1, -1), 0, 0), image.view(1, -1))
    assert torch.equal(shifted_together(image.view(1, -1), 0, np.random.default_rng(0)), image.view(1, -1))
    places = {int(shifted_together(image.view(1, -1), 1, np.random.default_rng(n)).argmax()) for n in range(60)}
    assert places == {SIDE * row + column for row in (9, 10, 11) for column in (4, 5, 6)}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_loss_is_tempered_cross_entropy_and_labels_count_by_their_weight() -> None:
    student, teacher, answers = torch.tensor([0.5, -2.0]), torch.tensor([3.0, -1.0]), torch.tensor([0.0, 1.0])
    loss = distillation_loss(student, teacher, answers, ColumnSleepConfig(temperature=2.0))
    expected = 4 * binary_cross_entropy_with_logits(student / 2, torch.sigmoid(teacher / 2))
    torch.testing.assert_close(loss.mean(), expected)
    labelled = ColumnSleepConfig(label_weight=0.5, distillation_weight=0.0)
    expected = 0.5 * binary_cross_entropy_with_logits(student, answers)
    torch.testing.assert_close(distillation_loss(student, teacher, answers, labelled).mean(), expected)
    assert distillation_loss(student, teacher, answers, ColumnSleepConfig(temperature=0.0)).isfinite().all()


def test_sleep_teaches_the_parent_what_the_prime_knows_and_moves_nothing_else() -> None:
    brain = newborn(CONFIG)
    before, teacher = brain.frozen(), brain.frozen()
    replayed = {"a": examples(64, 1), "a2": examples(64, 2)}
    steps = consolidate(brain, replayed, ITSELF, parents_of(CONFIG.tasks), CONFIG.sleep, np.random.default_rng(0))
    assert steps == 3 * 8
    novel = brain.controller.bank("a2")
    for name, value in brain.network.named_parameters():
        old = dict(before.network.named_parameters())[name]
        assert torch.equal(value[novel], old[novel])
        assert not torch.equal(value[:2], old[:2])
    assert same(brain.controller, before.controller)
    with torch.no_grad():
        wanted = teacher.logits(replayed["a2"].images, "a2")
        far = (before.logits(replayed["a2"].images, "a") - wanted).abs().mean()
        near = (brain.logits(replayed["a2"].images, "a") - wanted).abs().mean()
    assert near < far


def test_nothing_replayed_changes_nothing() -> None:
    brain = newborn(CONFIG)
    before = brain.frozen()
    assert consolidate(brain, {}, ITSELF, parents_of(CONFIG.tasks), CONFIG.sleep, np.random.default_rng(0)) == 0
    assert same(brain.network, before.network)


def test_a_brain_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "brain.safetensors"
    brain = newborn(CONFIG)
    with torch.no_grad():
        brain.controller.router.logits["a"][0] = 3.0
    again = load_brain(save_brain(brain, path), CONFIG)
    assert same(brain.network, again.network)
    assert torch.equal(brain.controller.mask("a"), again.controller.mask("a"))
    wider = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"hidden_per_column": 9})})
    with pytest.raises(ArtifactError, match="not a network of this configuration"):
        load_brain(path, wider)
