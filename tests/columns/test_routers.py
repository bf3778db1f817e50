"""Hard columns answer beside their parent's; keys settle, are owned, and are free again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.columns.brain import Brain, newborn
from pipeline.columns.controller import Controller
from pipeline.columns.routers.key_query import KeyQuery
from pipeline.columns.tasks import Examples
from pipeline.columns.wake import learn
from pipeline.config.columns import ColumnsConfig, MaskingConfig, TaskConfig, WakeConfig

HARD = {
    "tasks": [
        {"name": "a", "classes": [0, 1], "column_index": 1},
        {"name": "a2", "classes": [2, 3], "bank": "novel", "column_index": 3, "residual_from": "a"},
    ],
    "model": {"hidden_per_column": 8},
    "masking": {"mode": "hard_columns", "soft_columns": {"total_columns": 4, "base_columns": 2}},
}
KEYED = (
    TaskConfig(name="a", classes=(0, 1)),
    TaskConfig(name="b", classes=(2, 3)),
    TaskConfig(name="c", classes=(4, 5), bank="novel"),
)


def config(**changed: object) -> ColumnsConfig:
    return ColumnsConfig.model_validate_json(json.dumps(HARD | changed))


def examples(count: int = 64) -> Examples:
    images = torch.rand(count, 784, generator=torch.Generator().manual_seed(5))
    return Examples(images, (images[:, 0] > 0.5).float(), np.arange(count))


def taught(brain: Brain, task: str, earlier: list[str]) -> Brain:
    """The brain after a task; the one that was given stays."""
    awake = brain.awake()
    learn(awake.network, awake.controller, task, earlier, examples(), WakeConfig(epochs=3), np.random.default_rng(0))
    return awake


def test_a_residual_task_is_answered_by_both_columns_and_moves_its_own_alone() -> None:
    before = newborn(config())
    after = taught(before, "a2", ["a"])
    assert after.controller.bank("a2").tolist() == [1, 3]
    assert after.controller.whole_mask("a2").tolist() == [0, 1, 0, 1]
    for (name, new), (_, old) in zip(after.network.named_parameters(), before.network.named_parameters(), strict=True):
        moved = [not torch.equal(new[column], old[column]) for column in range(4)]
        assert moved == [False, False, False, True], name
    image = examples().images[:1]
    alone = before.awake()
    with torch.no_grad():
        alone.network.readout[3].zero_()
        alone.network.bias[3].zero_()
        torch.testing.assert_close(alone.logits(image, "a2"), _asked_like(alone, image, "a", prompt_of="a2"))


def _asked_like(brain: Brain, image: torch.Tensor, task: str, prompt_of: str) -> torch.Tensor:
    controller = brain.controller
    logits: torch.Tensor = brain.network(
        image, controller.prompt(prompt_of), controller.mask(task), controller.bank(task)
    )
    return logits[:, 0]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([{"name": "a", "classes": [0, 1]}], "a needs a column_index"),
        ([{"name": "a", "classes": [0, 1], "column_index": 2}], "column_index 2, outside of bank base"),
        (
            [{"name": "a", "classes": [0, 1], "column_index": 0, "residual_from": "b"}],
            "residual from 'b', which is no earlier task",
        ),
    ],
)
def test_hard_columns_that_do_not_fit_are_refused(tasks: list[dict[str, object]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(tasks=tasks)


def test_soft_columns_refuse_a_column_index() -> None:
    with pytest.raises(ValidationError, match="only hard columns have one"):
        config(masking={})


def keyed() -> tuple[Controller, KeyQuery]:
    controller = Controller(KEYED, MaskingConfig(mode="key_query"), seed=3)
    router = controller.router
    assert isinstance(router, KeyQuery)
    return controller, router


def settle(controller: Controller, task: str, steps: int = 200) -> int:
    """Learn the mask alone; the column that the task prefers then."""
    for _ in range(steps):
        controller.regulariser(task, []).backward()  # type: ignore[no-untyped-call]
        controller.step(task)
    controller.finish(task)
    return int(controller.whole_mask(task).argmax())


def test_a_task_owns_the_column_that_it_settles_on_and_others_stay_away() -> None:
    controller, router = keyed()
    first = settle(controller, "a")
    assert router.owners.tolist() == [0 if column == first else -1 for column in range(8)]
    mask, owned = controller.whole_mask("a"), router.keys[first].detach().clone()
    assert float(mask[first]) > 0.99 and float(mask[4:].sum()) == 0
    second = settle(controller, "b")
    assert second != first and torch.equal(router.keys[first].detach(), owned)
    assert float(controller.whole_mask("a")[first]) > 0.99
    assert settle(controller, "c") >= 4
    controller.release("a")
    assert first not in [column for column, owner in enumerate(router.owners.tolist()) if owner != -1]


def test_an_undecided_task_owns_nothing() -> None:
    controller, router = keyed()
    with torch.no_grad():
        router.keys.zero_()
    controller.finish("a")
    assert set(router.owners.tolist()) == {-1}


def test_a_base_task_is_pushed_off_the_direction_of_owned_keys() -> None:
    controller, _ = keyed()
    settle(controller, "a")
    free = controller.regulariser("b", ["a"])
    controller.release("a")
    assert free != controller.regulariser("b", ["a"])
    assert torch.equal(controller.regulariser("c", ["a"]), controller.regulariser("c", []))
