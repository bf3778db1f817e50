"""Masks stay inside their bank and settle on one column; prompts follow from their text alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.columns.controller import Controller, hashed_prompt
from pipeline.config.columns import MaskingConfig, SoftColumnsConfig, TaskConfig

TASKS = (
    TaskConfig(name="task1", classes=(0, 1)),
    TaskConfig(name="task2", classes=(2, 3)),
    TaskConfig(name="task.prime", classes=(4, 5), bank="novel", consolidate_into="task1"),
)


def controller(**masking: object) -> Controller:
    return Controller(TASKS, MaskingConfig.model_validate(masking), seed=3)


def test_a_mask_is_even_at_first_and_zero_outside_of_its_bank() -> None:
    fresh = controller()
    assert fresh.mask("task1").tolist() == [0.25] * 4
    assert fresh.whole_mask("task1").tolist() == [0.25] * 4 + [0.0] * 4
    assert fresh.whole_mask("task.prime").tolist() == [0.0] * 4 + [0.25] * 4
    assert fresh.bank("task.prime").tolist() == [4, 5, 6, 7] and fresh.tasks == ["task1", "task2", "task.prime"]


@given(text=st.text(max_size=20), length=st.integers(1, 40))
def test_a_hashed_prompt_is_a_unit_vector_of_its_text(text: str, length: int) -> None:
    vector = hashed_prompt(text, length)
    assert vector.shape == (length,) and torch.equal(vector, hashed_prompt(text, length))
    torch.testing.assert_close(torch.linalg.vector_norm(vector), torch.tensor(1.0))


def test_different_texts_have_different_prompts_and_a_prompt_may_be_given() -> None:
    fresh = controller()
    assert not torch.allclose(fresh.prompt("task1"), fresh.prompt("task2"))
    named = Controller([TaskConfig(name="a", classes=(0, 1), prompt="task1")], MaskingConfig(), seed=9)
    assert torch.equal(named.prompt("a"), fresh.prompt("task1"))


def test_the_regulariser_alone_settles_on_one_column_away_from_earlier_ones() -> None:
    settled = controller(soft_columns={"lambda_entropy": 0.5, "lambda_overlap": 0.5, "lambda_balance": 0.0})
    with torch.no_grad():
        settled.router.logits["task1"][2] = 5.0
        settled.router.logits["task2"][2], settled.router.logits["task2"][0] = 0.3, 0.2
    for _ in range(300):
        settled.regulariser("task2", ["task1"]).backward()
        settled.step("task2")
    mask = settled.whole_mask("task2")
    assert mask.argmax() == 0 and float(mask.max()) > 0.9


def test_a_new_mask_starts_off_the_columns_that_are_taken() -> None:
    fresh = controller()
    with torch.no_grad():
        fresh.router.logits["task1"][2] = 5.0
    fresh.begin("task1", [])
    assert float(fresh.mask("task1")[2].detach()) > 0.99  # the first task finds nothing taken
    fresh.begin("task2", ["task1"])
    mask = fresh.mask("task2").detach()
    assert mask[2] < 0.02 and torch.allclose(mask[[0, 1, 3]], mask[0].expand(3))
    fresh.begin("task.prime", ["task1", "task2"])
    assert fresh.mask("task.prime").tolist() == [0.25] * 4  # those are in another bank
    even = controller(soft_columns={"occupied_penalty": 0.0})
    even.begin("task2", ["task1"])
    assert even.mask("task2").tolist() == [0.25] * 4


def test_earlier_tasks_of_another_bank_do_not_count() -> None:
    fresh = controller()
    alone = fresh.regulariser("task.prime", [])
    assert torch.equal(alone, fresh.regulariser("task.prime", ["task1", "task2"]))
    assert fresh.regulariser("task2", ["task1"]) > fresh.regulariser("task2", [])


def test_balance_pulls_towards_the_even_mask() -> None:
    even = controller(soft_columns={"lambda_entropy": 0.0, "lambda_balance": 5.0})
    with torch.no_grad():
        even.router.logits["task1"][0] = 0.5
    before = float(even.whole_mask("task1").max())
    for _ in range(50):
        even.regulariser("task1", []).backward()
        even.step("task1")
    assert float(even.whole_mask("task1").max()) < before


@pytest.mark.parametrize("mode", ["hash", "learned_task_id"])
def test_only_learned_prompts_move(mode: str) -> None:
    prompted = controller(prompt_mode=mode)
    before = prompted.prompt("task1").detach().clone()
    if mode == "hash":
        assert not prompted.prompt("task1").requires_grad
    else:
        prompted.prompt("task1")[0].backward()
    prompted.step("task1")
    assert torch.allclose(before, prompted.prompt("task1")) == (mode == "hash")
    torch.testing.assert_close(torch.linalg.vector_norm(prompted.prompt("task1")), torch.tensor(1.0))
    assert all(p.grad is None for p in prompted.parameters())


def test_the_banks_follow_from_the_settings() -> None:
    soft = SoftColumnsConfig(total_columns=5, base_columns=2)
    fresh = Controller(TASKS, MaskingConfig(soft_columns=soft), seed=0)
    assert fresh.bank("task1").tolist() == [0, 1] and fresh.bank("task.prime").tolist() == [2, 3, 4]
