"""The quadratic anchor: its gradients, what it estimates, and what it keeps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pipeline.config.language import LoraConfig
from pipeline.language import curvature
from pipeline.language.adapter import adapted_layers, attach, trainable
from pipeline.language.curvature import CurvatureAnchor, Moments, general_moments
from pipeline.language.encoding import EncodedRows, batches, collate, encode, run_lower, upper_logits
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import memory_prompt
from pipeline.language.rows import TrainingRow
from tests.language.examples import general_rows, question_rows

CONFIG = LoraConfig(first_layer=2, rank=4, alpha=8)


def night(lm: LanguageModel, general: bool = True) -> EncodedRows:
    attach(lm, CONFIG, seed=3)
    encoded = encode(lm, [*question_rows(lm), *(general_rows() if general else [])], CONFIG.first_layer)
    run_lower(lm, encoded)
    return encoded


def moved(lm: LanguageModel, size: float, seed: int) -> None:
    """Give every B random entries."""
    torch.manual_seed(seed)
    for name, parameter in trainable(lm.model).items():
        if "lora_B" in name:
            parameter.data.normal_(0, size)


def forget_gradients(lm: LanguageModel) -> None:
    for parameter in trainable(lm.model).values():
        parameter.grad = None


@pytest.mark.parametrize("widest", [4096, 40])
def test_its_gradients_are_those_of_the_form(
    own_tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch, widest: int
) -> None:
    monkeypatch.setattr(curvature, "WIDEST", widest)  # at 40 the MLP's 64 keep a diagonal
    moments = general_moments(own_tiny, night(own_tiny), 1)
    anchor = CurvatureAnchor(own_tiny, moments)
    moved(own_tiny, 0.1, 5)
    found = trainable(own_tiny.model)
    form = torch.zeros(())
    for name, module in adapted_layers(own_tiny.model).items():
        inputs, outputs = (m if m.dim() == 2 else torch.diag(m) for m in vars(moments[name]).values())
        a, b = (found[f"{name}.lora_{which}.default.weight"] for which in "AB")
        update = module.scaling["default"] * b @ a
        form = form + 0.5 * torch.trace(update.t() @ outputs @ update @ inputs)
    form.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in found.items() if p.grad is not None}
    forget_gradients(own_tiny)
    for weight in (2.0, 1.0):  # gradients add up
        assert anchor.add_gradients(weight) == pytest.approx(float(form.detach()), rel=1e-4)
    assert len(expected) == len(found) == 28
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name].grad, 3 * gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()))
    assert {m.dim() for both in moments.values() for m in (both.inputs, both.outputs)} == (
        {2} if widest == 4096 else {1, 2}
    )


def steep_in_one_direction(size: int, generator: torch.Generator) -> torch.Tensor:
    """(size, size) with one large eigenvalue and, as real inputs have, many that are smaller than its rounding."""
    steep = torch.nn.functional.normalize(torch.randn(size, generator=generator), dim=0)
    return 1000 * torch.outer(steep, steep) + 0.001 * torch.eye(size)


def test_rounding_makes_no_direction_in_which_the_form_falls(own_tiny: LanguageModel) -> None:
    """In bf16, a C aᵀ along flat directions of C can be negative; a long night finds them, and is dragged away."""
    attach(own_tiny, CONFIG, seed=3)
    generator, modules = torch.Generator().manual_seed(1), adapted_layers(own_tiny.model)
    shared: dict[str, torch.Tensor] = {}
    moments, naive = {}, []
    for name, module in modules.items():
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        inputs = shared.setdefault(curvature.input_of(name), steep_in_one_direction(a.shape[1], generator))
        moments[name] = Moments(inputs, steep_in_one_direction(len(b), generator))
        flat = torch.linalg.eigh(inputs).eigenvectors[:, :-1]
        with torch.no_grad():
            a.copy_(torch.randn(len(a), flat.shape[1], generator=generator) @ flat.t())
            naive.append(float(((a.bfloat16() @ inputs.bfloat16()).float() @ a.t()).diag().min()))
    assert min(naive) < 0
    anchor = CurvatureAnchor(replace(own_tiny, dtype=torch.bfloat16), moments)
    for module in modules.values():  # one matrix at a time, so that none hides another
        for other in modules.values():
            torch.nn.init.zeros_(other.lora_B["default"].weight)
        torch.nn.init.ones_(module.lora_B["default"].weight)
        assert anchor.add_gradients(1.0) >= 0


def kl_to_base(lm: LanguageModel, encoded: EncodedRows, base: list[torch.Tensor]) -> float:
    """Mean over the general rows of their positions' mean KL(base || adapted), nats."""
    total, rows = 0.0, 0
    with torch.no_grad():
        for members, logits in zip(general_batches(encoded), base, strict=True):
            batch = collate(encoded, members)
            now, then = (torch.log_softmax(x, -1) for x in (upper_logits(lm, encoded, batch), logits))
            divergence = (then.exp() * (then - now)).sum(1)
            for part in torch.split(divergence, [len(row.targets) for row in batch.rows]):
                total, rows = total + float(part.mean()), rows + 1
    return total / rows


def general_batches(encoded: EncodedRows) -> list[list]:  # type: ignore[type-arg]
    return batches(encoded, [row for row in encoded.rows if row.row.kind == "short"], 4096)


def test_it_estimates_how_far_general_text_moves(own_tiny: LanguageModel) -> None:
    """Against the true KL of small random updates; a Kronecker product is an approximation, so within a factor."""
    encoded = night(own_tiny)
    with torch.no_grad():
        base = [upper_logits(own_tiny, encoded, collate(encoded, members)) for members in general_batches(encoded)]
    forms = [CurvatureAnchor(own_tiny, general_moments(own_tiny, encoded, seed)) for seed in range(20)]  # label draws
    estimated, measured = [], []
    for seed in range(6):
        moved(own_tiny, 0.003 * (1 + seed), seed)
        estimated.append(sum(form.add_gradients(1.0) for form in forms) / len(forms))
        measured.append(kl_to_base(own_tiny, encoded, base))
    ratios = [a / b for a, b in zip(estimated, measured, strict=True)]
    assert all(0.4 < ratio < 2.5 for ratio in ratios), ratios
    assert measured == sorted(measured) and estimated == sorted(estimated)


def test_the_same_seed_gives_the_same_moments_and_leaves_the_model_alone(own_tiny: LanguageModel) -> None:
    encoded = night(own_tiny)
    before = {name: value.detach().clone() for name, value in trainable(own_tiny.model).items()}
    first = general_moments(own_tiny, encoded, 1)
    moved(own_tiny, 0.1, 5)  # a night that goes on from an earlier adapter is held to the base all the same
    again = general_moments(own_tiny, encoded, 1)
    for name, one in first.items():
        assert torch.equal(one.inputs, again[name].inputs) and torch.equal(one.outputs, again[name].outputs)
    after = trainable(own_tiny.model)
    assert all(p.requires_grad and p.grad is None for p in after.values())
    assert all(torch.equal(value, after[name]) for name, value in before.items() if "lora_A" in name)
    other = general_moments(own_tiny, encoded, 2)  # other labels
    assert not any(torch.equal(one.outputs, other[name].outputs) for name, one in first.items())


def test_without_rehearsal_it_holds_nothing(own_tiny: LanguageModel) -> None:
    moments = general_moments(own_tiny, night(own_tiny, general=False), 1)
    anchor = CurvatureAnchor(own_tiny, moments)
    assert moments == {} and anchor.add_gradients(1.0) == 0.0
    assert all(p.grad is None for p in trainable(own_tiny.model).values())


def test_reading_about_strangers_is_held_and_reading_of_facts_is_not(own_tiny: LanguageModel) -> None:
    attach(own_tiny, CONFIG, seed=3)

    def moments(*extra: TrainingRow) -> dict[str, Moments]:
        encoded = encode(own_tiny, [*general_rows(), *extra], CONFIG.first_layer)
        run_lower(own_tiny, encoded)
        return general_moments(own_tiny, encoded, 1)

    read = [
        TrainingRow(f"m{i}", "memory", of, "x", "train", memory_prompt("Who is there?", [f"{i} is there."]), f" {i}\n")
        for i, of in enumerate(("f0", ""))
    ]
    without, fact, stranger = moments(), moments(read[0]), moments(read[1])
    assert all(torch.equal(one.inputs, fact[name].inputs) for name, one in without.items())
    assert not any(torch.equal(one.inputs, stranger[name].inputs) for name, one in without.items())


def test_labels_are_drawn_as_often_as_the_model_expects_them() -> None:
    expected = torch.tensor([0.5, 0.0, 0.3, 0.2])
    generator = torch.Generator().manual_seed(3)
    drawn = curvature._drawn(expected.log().expand(4000, 4), generator)
    assert drawn.shape == (4000, 1)
    found = torch.bincount(drawn[:, 0], minlength=4) / 4000
    assert found[1] == 0
    assert torch.allclose(found, expected, atol=4 * math.sqrt(0.25 / 4000))
