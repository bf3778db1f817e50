"""Cached lower layers, shared prefixes and answer-only logits change nothing but the time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language.encoding import (
    EncodedRow,
    EncodedRows,
    PrefixGroup,
    batches,
    collate,
    encode,
    run_lower,
    thinned,
    upper_logits,
)
from pipeline.language.models import LanguageModel
from pipeline.language.rows import TrainingRow
from tests.language.examples import mixed_rows, plain_logits, question_rows, text_row, tokens_of


def encoded_rows(lm: LanguageModel, rows: list[TrainingRow], first_layer: int, batch_tokens: int = 90) -> EncodedRows:
    encoded = encode(lm, rows, first_layer)
    run_lower(lm, encoded, batch_tokens)
    return encoded


@pytest.mark.parametrize("first_layer", [0, 2, 4])
@pytest.mark.parametrize("batch_tokens", [1, 70, 4000])
def test_logits_equal_a_plain_forward_pass(tiny: LanguageModel, first_layer: int, batch_tokens: int) -> None:
    rows = mixed_rows(tiny)
    encoded = encoded_rows(tiny, rows, first_layer, batch_tokens)
    assert len(encoded.groups) > 2  # no prefix, the chat's, the worked examples'
    seen = 0
    for members in batches(encoded, encoded.rows, batch_tokens):
        batch = collate(encoded, members)
        parts = upper_logits(tiny, encoded, batch).split([len(m.targets) for m in batch.rows])
        for member, part in zip(batch.rows, parts, strict=True):
            torch.testing.assert_close(part, plain_logits(tiny, member.row), atol=1e-4, rtol=1e-4)
            seen += 1
        assert batch.targets.tolist() == [token for m in batch.rows for token in m.targets]
    assert seen == len(rows)


def test_prompt_and_target_come_back_as_they_were_tokenised(tiny: LanguageModel) -> None:
    rows = mixed_rows(tiny)
    encoded = encode(tiny, rows, 2)
    assert [e.row for e in encoded.rows] == rows
    for e in encoded.rows:
        prompt, target = tokens_of(tiny, e.row.prompt), tokens_of(tiny, e.row.target)
        assert [*encoded.groups[e.group].tokens, *e.tokens] == prompt + target[:-1]
        assert e.targets == target
        assert len(encoded.groups[e.group].tokens) + e.columns[0] == len(prompt) - 1
    assert encoded.tokens == sum(len(tokens_of(tiny, r.prompt)) + len(tokens_of(tiny, r.target)) - 1 for r in rows)


def test_a_shared_prefix_is_computed_once(tiny: LanguageModel) -> None:
    encoded = encoded_rows(tiny, question_rows(tiny), 2)
    assert {row.group for row in encoded.rows} == {1}
    assert encoded.groups[1].lower is not None and len(encoded.groups[1].lower) == len(encoded.groups[1].tokens) > 8
    seldom = encode(tiny, question_rows(tiny)[:1], 2)
    assert seldom.groups[0].tokens == [] and {row.group for row in seldom.rows} == {0}
    alone = encode(tiny, [text_row("a", "Mona went."), TrainingRow("b", "short", "", "", "train", "Go", " on")], 2)
    assert {row.group for row in alone.rows} == {0} and alone.groups[0].tokens == []


def test_gradients_reach_the_shared_prefix(tiny: LanguageModel, own_tiny: LanguageModel) -> None:
    """Trained layers see the prefix through the cache; their gradient is that of the plain computation."""
    lm, first = own_tiny, 2
    rows = question_rows(lm, 2)
    encoded = encoded_rows(lm, rows, first)
    weights = {
        name: p.requires_grad_(True)
        for name, p in lm.model.named_parameters()
        if name.startswith(("model.layers.2.", "model.layers.3."))
    }
    for members in batches(encoded, encoded.rows, 60):
        batch = collate(encoded, members)
        torch.nn.functional.cross_entropy(upper_logits(lm, encoded, batch), batch.targets, reduction="sum").backward()
    shared = {name: p.grad.clone() for name, p in weights.items() if p.grad is not None}
    lm.model.zero_grad()
    for row in rows:
        target = torch.tensor(tokens_of(lm, row.target))
        torch.nn.functional.cross_entropy(plain_logits(lm, row), target, reduction="sum").backward()
    assert shared.keys() == weights.keys()
    for name, p in weights.items():
        scale = float(p.grad.abs().max())
        torch.testing.assert_close(shared[name] / scale, p.grad / scale, atol=2e-4, rtol=1e-3)


def test_progress_counts_every_row(tiny: LanguageModel) -> None:
    told: list[int] = []
    rows = mixed_rows(tiny)
    run_lower(tiny, encode(tiny, rows, 1), 64, told.append)
    assert sum(told) == len(rows)


@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), max_size=30),
    prefixes=st.tuples(st.just(0), st.integers(1, 30), st.integers(1, 30)),
    batch_tokens=st.integers(1, 200),
)
def test_batches_hold_every_row_once_within_the_budget(
    sizes: list[tuple[int, int]], prefixes: tuple[int, ...], batch_tokens: int
) -> None:
    rows = [EncodedRow(text_row(str(i), "x"), [0] * n, [0], [0], group) for i, (group, n) in enumerate(sizes)]
    encoded = EncodedRows(rows, [PrefixGroup([0] * length) for length in prefixes], 0)
    found = batches(encoded, rows, batch_tokens)
    assert sorted(m.row.row_id for b in found for m in b) == sorted(r.row.row_id for r in rows)
    for batch in found:
        tokens = sum(len(m.tokens) for m in batch) + sum(prefixes[group] for group in {m.group for m in batch})
        assert batch and (len(batch) == 1 or tokens <= batch_tokens)


@given(length=st.integers(1, 12), every=st.integers(1, 5))
def test_thinning_visits_every_position_in_turn(length: int, every: int) -> None:
    source = replace(text_row("a", "x"), top_ids=tuple((i,) for i in range(length)), top_log_probs=((0.0,),) * length)
    row = EncodedRow(source, list(range(length + 4)), range(4, 4 + length), list(range(length)), 0)
    seen: list[int] = []
    for turn in range(every):
        part = thinned(row, every, turn)
        assert part.targets == [column - 4 for column in part.columns] == [ids[0] for ids in part.row.top_ids]
        assert len(part.row.top_log_probs) == len(part.targets) >= 1 and part.tokens == row.tokens
        seen += part.targets
    assert set(seen) == set(range(length)) and (len(seen) == length or every > length)
