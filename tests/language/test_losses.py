"""What a step minimises, against brute force."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.language import LoraConfig
from pipeline.language.encoding import EncodedRows, encode, run_lower
from pipeline.language.losses import (
    MICRO_BATCH_TOKENS,
    USE_TOKENS,
    likelihood,
    soft_target_loss,
    unlikelihood,
)
from pipeline.language.models import LanguageModel
from pipeline.language.rows import Kind, TrainingRow
from pipeline.language.steps import accumulate_gradients
from pipeline.language.teacher import top_log_probs
from tests.language.examples import plain_logits, question_rows, tokens_of

CONFIG = LoraConfig(unlikelihood=200.0, anchor_weight=5.0, distil_weight=0.5, use_weight=0.7)


def log_probs(seed: int, rows: int = 5, vocabulary: int = 12, scale: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(scale * torch.randn(rows, vocabulary, generator=generator), dim=-1)


@given(seed=st.integers(0, 10_000))
def test_with_the_whole_vocabulary_it_is_the_divergence(seed: int) -> None:
    teacher, logits = log_probs(seed), 3 * log_probs(seed + 1)
    brute = (teacher.exp() * (teacher - torch.log_softmax(logits, -1))).sum(1)
    top = teacher.topk(12)
    found = soft_target_loss(torch.log_softmax(logits, -1).gather(1, top.indices), top.values)
    torch.testing.assert_close(found, brute, atol=1e-4, rtol=1e-4)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 11))
def test_with_fewer_tokens_the_rest_is_one_bucket(seed: int, k: int) -> None:
    teacher, logits = log_probs(seed), log_probs(seed + 1)
    top = teacher.topk(k)
    found = soft_target_loss(logits.gather(1, top.indices), top.values)
    p = torch.cat([top.values.exp(), 1 - top.values.exp().sum(1, keepdim=True)], 1)
    q = logits.exp().gather(1, top.indices)
    q = torch.cat([q, 1 - q.sum(1, keepdim=True)], 1)
    torch.testing.assert_close(found, (p * (p.log() - q.log())).sum(1), atol=1e-3, rtol=1e-3)
    whole = (teacher.exp() * (teacher - logits)).sum(1)
    assert (found <= whole + 1e-3).all() and (found >= -1e-5).all()


def test_a_student_that_agrees_loses_nothing_and_gets_no_gradient() -> None:
    logits = log_probs(3).requires_grad_(True)
    top = logits.detach().topk(4)
    loss = soft_target_loss(torch.log_softmax(logits, -1).gather(1, top.indices), top.values).sum()
    loss.backward()
    assert abs(float(loss.detach())) < 1e-5 and logits.grad is not None and float(logits.grad.abs().max()) < 1e-5


def test_unlikelihood_is_finite_and_pushes_a_likely_token_down() -> None:
    surprise = torch.tensor([0.0, 0.01, 0.5, 30.0], requires_grad=True)
    loss = unlikelihood(surprise, 0.0)
    expected = [-math.log(1 - math.exp(-s)) for s in (1e-5, 0.01, 0.5)]
    assert loss.tolist() == pytest.approx([*expected, 0.0], abs=1e-4)
    loss.sum().backward()
    assert surprise.grad is not None and surprise.grad[1] < surprise.grad[2] < 0  # less likely is better
    assert abs(float(surprise.grad[3])) < 1e-6  # and a token that is unlikely already is left alone


@given(st.lists(st.floats(-4, 4), min_size=3, max_size=6), st.floats(0, 5))
def test_a_margin_is_a_handicap_of_the_logit(values: list[float], margin: float) -> None:
    logits = torch.tensor(values)
    surprise = -torch.log_softmax(logits, -1)[0]
    lower, higher = logits.clone(), logits.clone()
    lower[0], higher[0] = logits[0] - margin, logits[0] + margin
    wanted = -torch.log_softmax(lower, -1)[0]
    forbidden = torch.logsumexp(higher, -1) - torch.logsumexp(higher[1:], -1)
    assert likelihood(surprise, margin).item() == pytest.approx(wanted.item(), rel=1e-3, abs=1e-4)
    assert unlikelihood(surprise, margin).item() == pytest.approx(forbidden.item(), rel=1e-3, abs=1e-4)


def prepared(lm: LanguageModel) -> tuple[list[TrainingRow], EncodedRows]:
    """Rows of every loss: plain and distilled questions, contrast, general; other text than the teacher's own."""
    questions = [row for row in question_rows(lm, 3) if row.split == "train"]
    kinds: list[Kind] = ["question", "question", "namesake", "short", "long", "text", "memory"]
    rows = [
        replace(row, kind=kind, row_id=f"r{i}") for i, (row, kind) in enumerate(zip(questions, kinds, strict=False))
    ]
    distilled, namesake, *anchored = rows[1:-1]
    rows = [rows[0], *top_log_probs(lm, [distilled], 6), namesake, *top_log_probs(lm, anchored, 6), rows[-1]]
    for target in ("No", "At the harbour the choir sang sad, slow and very long songs."):
        rows.append(replace(questions[7], kind="use", row_id=f"r{len(rows)}", target=f"{target}<|im_end|>"))
    encoded = encode(lm, rows, 2)
    run_lower(lm, encoded)
    with torch.no_grad():  # the student moves away from its teacher
        for layer in lm.model.model.layers[2:]:
            layer.mlp.down_proj.weight.mul_(1.3)
    return rows, encoded


def shifted(logits: torch.Tensor, token: int, by: float) -> torch.Tensor:
    """``by`` at a token of the first position, 0 elsewhere."""
    found = torch.zeros_like(logits)
    found[0, token] = by
    return found


@pytest.mark.parametrize("micro", [1, 50, 4000])
def test_a_step_is_the_weighted_sum_of_its_parts(
    own_tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch, micro: int
) -> None:
    monkeypatch.setitem(MICRO_BATCH_TOKENS, "cpu", micro)
    rows, encoded = prepared(own_tiny)
    weight = own_tiny.model.model.layers[3].mlp.up_proj.weight.requires_grad_(True)
    loss = accumulate_gradients(own_tiny, encoded, encoded.rows, CONFIG)
    parts = [loss.cross_entropy, loss.use, loss.unlikelihood, loss.anchor, loss.distil]
    cross: dict[str, list[torch.Tensor]] = {"learned": [], "use": []}
    shares: dict[str, list[float]] = {"learned": [], "use": []}  # of each token: a told fact counts like a few
    forbidden: list[torch.Tensor] = []
    soft: dict[str, list[torch.Tensor]] = {"general": [], "distil": []}
    for row in rows:
        logits = plain_logits(own_tiny, row)
        if row.kind in ("question", "memory", "use"):
            targets = torch.tensor(tokens_of(own_tiny, row.target))
            own = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
            assert loss.by_row.pop(row.row_id) == pytest.approx(float(own.detach().mean()), rel=1e-3)
            handicapped = logits - shifted(logits, int(targets[0]), CONFIG.margin if row.kind == "question" else 0.0)
            which = "use" if row.kind == "use" else "learned"
            cross[which] += list(torch.nn.functional.cross_entropy(handicapped, targets, reduction="none"))
            most = USE_TOKENS / len(targets) if row.kind == "use" else 1.0
            shares[which] += [min(1.0, most)] * len(targets)
        if row.top_ids:
            name = "distil" if row.kind == "question" else "general"
            ids, values = torch.tensor(row.top_ids), torch.tensor(row.top_log_probs)
            student = torch.log_softmax(logits, -1)
            soft[name].append(soft_target_loss(student.gather(1, ids), values).mean())
        if row.kind == "namesake":
            first = tokens_of(own_tiny, row.target)[0]
            taught = torch.softmax(logits + shifted(logits, first, CONFIG.margin), -1)[0, first]
            forbidden.append(-torch.log(1 - taught))
    assert min(shares["use"]) < 0.7 and min(shares["learned"]) == 1
    weighed = [(torch.tensor(shares[w]) * torch.stack(cross[w])).sum() / sum(shares[w]) for w in cross]
    means = [*weighed, *(torch.stack(some).mean() for some in (forbidden, *soft.values()))]
    assert parts == pytest.approx([float(m.detach()) for m in means], rel=1e-3, abs=1e-4)
    weights = (1.0, CONFIG.use_weight, CONFIG.unlikelihood, CONFIG.anchor_weight, CONFIG.distil_weight)
    assert all(weight * part > 1e-3 for weight, part in zip(weights, parts, strict=True))
    total = torch.stack([weight * mean for weight, mean in zip(weights, means, strict=True)]).sum()
    assert loss.total == pytest.approx(float(total.detach()), rel=1e-3) and not loss.by_row
    found, expected = weight.grad.clone(), torch.autograd.grad(total, weight)[0]
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, atol=1e-3, rtol=1e-2)
