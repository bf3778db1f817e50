"""What a step trains on: every form in turn, never a probe question, a rate that rises and falls."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.language import LoraConfig
from pipeline.language.curriculum import plan_epoch, schedule
from pipeline.language.encoding import EncodedRow, EncodedRows
from pipeline.language.rows import ANCHORED, CONTRAST, GENERAL, Kind, TrainingRow
from pipeline.suites.types import Split


def encoded(*wanted: tuple[Kind, Split, int, int]) -> EncodedRows:
    """``(kind, split, facts, rows of each)`` parts."""
    rows = [
        TrainingRow(f"{kind}/{split}/{fact}/{i}", kind, "" if kind in GENERAL else f"f{fact}", str(i), split, "p", "t")
        for kind, split, facts, count in wanted
        for fact in range(facts)
        for i in range(count)
    ]
    return EncodedRows([EncodedRow(row, [1], 0, [2], 0) for row in rows], [], 0)


def names(plan: list[list[EncodedRow]]) -> list[list[str]]:
    return [[row.row.row_id for row in step] for step in plan]


@given(
    facts=st.integers(1, 5),
    forms=st.integers(1, 11),
    config=st.builds(LoraConfig, forms_per_epoch=st.integers(1, 12), batch_size=st.integers(1, 20)),
    seed=st.integers(0, 99),
)
def test_forms_rotate_until_all_were_seen(facts: int, forms: int, config: LoraConfig, seed: int) -> None:
    rows = encoded(
        ("question", "train", facts, forms), ("question", "probe", facts, 2), ("statement", "train", facts, 3)
    )
    share = min(forms, config.forms_per_epoch)
    epochs = -(-max(forms, 3 * share) // share)
    seen: Counter[str] = Counter()
    for epoch in range(epochs):
        plan = plan_epoch(rows, config, seed, epoch)
        flat = [name for step in names(plan) for name in step]
        assert len(flat) == len(set(flat)) == facts * (share + 1)
        assert not any("probe" in name for name in flat)
        assert all(len(step) == config.batch_size for step in plan[:-1]) and 1 <= len(plan[-1]) <= config.batch_size
        seen.update(name for name in flat if name.startswith("question"))
        assert names(plan_epoch(rows, config, seed, epoch)) == names(plan)
    assert len(seen) == facts * forms
    assert max(seen.values()) - min(seen.values()) <= 1


@pytest.mark.parametrize(("kinds", "kind"), [(CONTRAST, "namesake"), (GENERAL, "short")])
def test_every_step_gets_its_share_of_rehearsal_in_turn(kinds: tuple[Kind, ...], kind: Kind) -> None:
    config = LoraConfig(batch_size=4, forms_per_epoch=4, contrast_ratio=0.5, general_ratio=0.25)
    rows = encoded(("question", "train", 3, 4), ("namesake", "train", 1, 9), ("short", "train", 1, 5))
    share = {"namesake": 2, "short": 1}[kind]
    pool = {"namesake": 9, "short": 5}[kind]
    plans = [step for epoch in range(6) for step in plan_epoch(rows, config, 7, epoch)]
    counted = [[row.row.row_id for row in step if row.row.kind in kinds] for step in plans]
    assert all(len(step) == share for step in counted)
    seen = Counter(name for step in counted for name in step)
    assert len(seen) == pool and max(seen.values()) - min(seen.values()) <= 1
    assert [row.row.row_id for row in plans[0]] != [row.row.row_id for row in plan_epoch(rows, config, 8, 0)[0]]


def test_without_rehearsal_only_facts_are_learned() -> None:
    rows = encoded(("question", "train", 2, 3))
    assert not any(row.row.kind in ANCHORED for step in plan_epoch(rows, LoraConfig(), 1, 0) for row in step)
    assert plan_epoch(encoded(("short", "train", 1, 3), ("question", "probe", 1, 3)), LoraConfig(), 1, 0) == []


@given(
    steps=st.integers(1, 300),
    config=st.builds(LoraConfig, learning_rate=st.floats(1e-6, 1), warmup=st.floats(0, 1)),
)
def test_the_rate_rises_to_its_peak_and_falls_to_a_tenth(steps: int, config: LoraConfig) -> None:
    rates = [schedule(step, steps, config) for step in range(steps)]
    peak, top = config.learning_rate, rates.index(max(rates))
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in rates)
    assert max(rates) == pytest.approx(peak)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates[top:]) >= 0.1 * peak - 1e-12
    if steps - top > 30:
        assert rates[-1] <= 0.13 * peak
