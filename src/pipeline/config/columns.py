"""Settings of the flow ``columns``: a spiking network that learns tasks in columns and consolidates them in sleep.

Names follow the document of the soft-allocation experiments; see docs/columns.md for what each became.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.schema import FlowConfig, register_flow
from pipeline.config.section import Name, Section

Variant = Literal["task1", "task2", "task3", "task4", "task5"]


class TaskConfig(Section):
    """One binary task: which of two classes an image shows."""

    name: Name = Field(description="the task's name")
    classes: tuple[int, int] = Field(description="labels of the two classes; the second one is the positive answer")
    dataset_name: Literal["mnist", "fashion-mnist"] | None = Field(
        None, description="data set; null is dataset.default_dataset"
    )
    prompt: str | None = Field(None, description="text whose hash is the prompt vector; null is the task's name")
    bank: Literal["base", "novel"] = Field("base", description="columns among which the task finds its own")
    consolidate_into: Name | None = Field(
        None, description="parent whose prompt and mask the task takes over in sleep; null keeps its own"
    )
    column_index: int | None = Field(None, ge=0, description="the task's own column, with hard columns alone")
    residual_from: Name | None = Field(
        None, description="earlier task whose column answers too while this one learns beside it; hard columns alone"
    )


class DatasetConfig(Section):
    """Which images a task is learned from. Its test images are the data set's own and decide nothing."""

    default_dataset: Literal["mnist", "fashion-mnist"] = Field("mnist", description="data set of tasks that name none")
    max_train_samples: int = Field(4000, ge=1, description="images of the pair drawn per task, before holding out")
    held_out_fraction: float = Field(0.2, ge=0, lt=1, description="share of them that is not trained on")
    validation_images: int = Field(
        10_000, ge=1, description="last images of the training set: the validation set, never trained on"
    )


class ColumnModelConfig(Section):
    """The network: columns of LIF neurons that see the image and the prompt."""

    hidden_per_column: int = Field(32, ge=1, description="LIF neurons a column")
    time_steps: int = Field(8, ge=1, description="steps for which an image is shown as a constant current")
    beta: float = Field(
        0.9, gt=0, lt=1, description="share of the membrane potential kept from step to step, 1 - 1/tau"
    )
    surrogate_alpha: float = Field(2.0, gt=0, description="sharpness of the arctangent surrogate gradient")
    neuron: Literal["lif", "relu"] = Field(
        "lif", description="relu is a twin without spikes, for comparison: the current itself, no less than 0"
    )
    lambda_rate: float = Field(
        0.2, ge=0, description="weight of the mean firing rate in every loss, by day and night: fewer spikes"
    )


class SoftColumnsConfig(Section):
    """The banks, and learned masks over the columns of one."""

    total_columns: int = Field(8, ge=1, description="columns in all, with any masks")
    base_columns: int = Field(
        4, ge=1, description="the first columns: the base bank; the rest are novel; with any masks"
    )
    temperature: float = Field(0.3, gt=0, description="of the softmax over a bank's mask logits")
    lambda_entropy: float = Field(0.02, ge=0, description="weight of the mask's entropy (nats): pulls it to one column")
    lambda_balance: float = Field(0.03, ge=0, description="weight of the mean squared distance from the even mask")
    lambda_overlap: float = Field(
        1.0, ge=0, description="weight of the mean product with the masks of the bank's earlier tasks"
    )
    occupied_penalty: float = Field(
        1.0, ge=0, description="how far below 0 a new mask's logit starts where earlier tasks' masks are; 0 is even"
    )
    mask_learning_rate: float = Field(0.05, gt=0, description="SGD step of the mask logits")

    def bank(self, name: Literal["base", "novel"]) -> range:
        """The columns of a bank."""
        return range(self.base_columns) if name == "base" else range(self.base_columns, self.total_columns)


class KeyQueryConfig(Section):
    """Masks from keys of the columns and the task's prompt, which is the query."""

    base_temperature: float = Field(0.2, gt=0, description="of the softmax over the base bank's scores")
    novel_temperature: float = Field(0.05, gt=0, description="of the softmax over the novel bank's scores")
    locked_temperature: float = Field(0.05, gt=0, description="of the softmax once the task owns a column")
    occupied_penalty: float = Field(1.0, ge=0, description="taken off the score of a column that another task owns")
    lock_bonus: float = Field(1.0, ge=0, description="added to the score of the column that the task owns")
    assign_at: float = Field(0.75, gt=0, le=1, description="weight from which on a learned task owns its column")
    margin: float = Field(0.2, ge=0, description="by which the best score should exceed the next one")
    lambda_margin: float = Field(1.0, ge=0, description="weight of what is missing of the margin")
    lambda_entropy: float = Field(0.02, ge=0, description="weight of a base mask's entropy (nats)")
    lambda_entropy_novel: float = Field(0.5, ge=0, description="weight of a novel mask's entropy (nats)")
    lambda_cosine: float = Field(0.1, ge=0, description="weight of the cosine to keys that other base tasks own")
    key_learning_rate: float = Field(0.05, gt=0, description="SGD step of the keys; owned ones stay")


class MaskingConfig(Section):
    """How tasks find their columns, and the prompt that tells them apart."""

    mode: Literal["soft_columns", "hard_columns", "key_query"] = Field(
        "soft_columns",
        description="soft_columns: learned masks; hard_columns: column_index of each task; key_query: keys and prompts",
    )
    prompt_vector_dim: int = Field(16, ge=1, description="length of the unit prompt vector beside the image")
    prompt_mode: Literal["hash", "learned_task_id"] = Field(
        "hash", description="hash: drawn from the prompt's SHA-256; learned_task_id: trained with the task"
    )
    prompt_learning_rate: float = Field(0.02, gt=0, description="SGD step of learned prompts")
    soft_columns: SoftColumnsConfig = Field(SoftColumnsConfig(), description="banks and learned masks")
    key_query: KeyQueryConfig = Field(KeyQueryConfig(), description="masks from keys and prompts")


class WakeConfig(Section):
    """Learning by day: one task after the other."""

    epochs: int = Field(25, ge=1, description="passes over a task's images")
    batch_size: int = Field(64, ge=1, description="images a step")
    learning_rate: float = Field(2e-3, gt=0, description="Adam's peak step; what a mask gates is the step itself")
    learning_rate_end: float = Field(0.05, ge=0, le=1, description="share of it that is left at the last step (cosine)")
    shift: int = Field(1, ge=0, description="images are moved by up to so many pixels, a batch alike")


class DynamicReplayConfig(Section):
    """Replay of what is known worst, in place of even epochs."""

    enabled: bool = Field(False, description="whether replay follows the losses")
    prime_warmup_passes: float = Field(0.5, ge=0, description="passes over the primes alone, before anything else")
    warmup_passes: float = Field(0.75, ge=0, description="passes over every task after that")
    top_percent: float = Field(0.4, ge=0, le=1, description="share of a task's samples replayed for their large loss")
    extra_percent: float = Field(0.2, ge=0, le=1, description="share of them drawn from the others")
    min_probability: float = Field(0.1, ge=0, le=1, description="even part of the probability of the others")
    momentum: float = Field(0.85, ge=0, lt=1, description="of each sample's moving average of its loss; 0 is the last")
    initial_loss: float = Field(1.0, gt=0, description="nats, before a sample was replayed")


class ColumnSleepConfig(Section):
    """Consolidation: the network as it fell asleep teaches what it knows under the parents' prompts and masks."""

    epochs: int = Field(30, ge=0, description="passes over the replayed images; 0 is no sleep")
    batch_size: int = Field(64, ge=1, description="images a step")
    learning_rate: float = Field(2e-3, gt=0, description="Adam's peak step")
    learning_rate_end: float = Field(0.05, ge=0, le=1, description="share of it that is left at the last step (cosine)")
    label_weight: float = Field(0.0, ge=0, description="weight of the true labels")
    distillation_weight: float = Field(1.0, ge=0, description="weight of the teacher's answers")
    temperature: float = Field(1.5, ge=0, description="divides logits of teacher and student; below .001 it is .001")
    budget: int | None = Field(
        None, ge=0, description="replayed images a task; null is all that it was trained on, a reference and no memory"
    )
    order: Literal["interleaved", "blocks", "sequence"] = Field(
        "interleaved",
        description="interleaved: batches of all tasks in random order; blocks: in every epoch one task after the "
        "other; sequence: all epochs of one task, then the next one",
    )
    after: tuple[Name, ...] = Field(
        (), description="tasks after which there is a nap: a sleep within the day, which frees the novel columns"
    )
    dynamic: DynamicReplayConfig = Field(DynamicReplayConfig(), description="replay of what is known worst")
    shift: int = Field(1, ge=0, description="replayed images are moved by up to so many pixels, teacher's view alike")

    @model_validator(mode="after")
    def _orders_fit_together(self) -> Self:
        if self.dynamic.enabled and self.order == "sequence":
            raise ValueError("order=sequence replays even epochs, and dynamic.enabled replays by loss: choose one")
        return self


class ColumnEvaluationConfig(Section):
    """What is measured beside the tasks themselves."""

    controls: Literal["none", "default", "full"] = Field(
        "default", description="default: what sleep is compared with; full: every control; none: a quick run"
    )


class ColumnGuardsConfig(Section):
    """What a night must reach on validation images before its network becomes champion."""

    accuracy_min: float = Field(0.95, ge=0, le=1, description="smallest accuracy of a task after sleep")
    sleep_drop_max: float = Field(0.03, ge=0, le=1, description="largest mean loss of accuracy through sleep")
    wake_drop_max: float = Field(0.01, ge=0, le=1, description="largest loss of a task while later ones are learned")


@register_flow("columns")
class ColumnsConfig(FlowConfig):
    """One day and one night: learn the tasks, keep a replay buffer, consolidate, compare with controls, report."""

    flow: Name = Field("columns", description="the flow's name, the first half of FLOW/DEPLOYMENT")
    deployment: Name = Field("soft-sleep", description="the deployment's name, the second half")
    tasks: tuple[TaskConfig, ...] = Field(min_length=1, description="the tasks in the order in which they are learned")
    dataset: DatasetConfig = Field(DatasetConfig(), description="the images")
    model: ColumnModelConfig = Field(ColumnModelConfig(), description="the network")
    masking: MaskingConfig = Field(MaskingConfig(), description="prompts and masks")
    training: WakeConfig = Field(WakeConfig(), description="learning by day")
    sleep: ColumnSleepConfig = Field(ColumnSleepConfig(), description="consolidation by night")
    evaluation: ColumnEvaluationConfig = Field(ColumnEvaluationConfig(), description="controls")
    guards: ColumnGuardsConfig = Field(ColumnGuardsConfig(), description="what a night must reach to be promoted")

    @model_validator(mode="after")
    def _tasks_fit_together(self) -> Self:
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError(f"tasks: names must differ, found {', '.join(names)}")
        for number, task in enumerate(self.tasks):
            if task.consolidate_into is not None and task.consolidate_into not in names[:number]:
                raise ValueError(
                    f"tasks: {task.name} consolidates into {task.consolidate_into!r}, which is no earlier task"
                )
            if task.residual_from is not None and task.residual_from not in names[:number]:
                raise ValueError(
                    f"tasks: {task.name} is residual from {task.residual_from!r}, which is no earlier task"
                )
        if strangers := [name for name in self.sleep.after if name not in names]:
            raise ValueError(f"sleep.after: {', '.join(strangers)} is no task")
        if taken := [f"nap_{name}" for name in self.sleep.after if f"nap_{name}" in names]:
            raise ValueError(f"tasks: {', '.join(taken)} is what a nap is called; choose another name")
        self._check_columns()
        return self

    def _check_columns(self) -> None:
        soft, hard = self.masking.soft_columns, self.masking.mode == "hard_columns"
        if soft.base_columns > soft.total_columns:
            raise ValueError(f"base_columns {soft.base_columns} exceed total_columns {soft.total_columns}")
        if any(task.bank == "novel" for task in self.tasks) and soft.base_columns == soft.total_columns:
            raise ValueError("there are novel tasks and no novel columns: raise masking.soft_columns.total_columns")
        for task in self.tasks:
            if hard != (task.column_index is not None):
                wanted = "a column_index" if hard else "no column_index: only hard columns have one"
                raise ValueError(f"tasks: with masking.mode={self.masking.mode} {task.name} needs {wanted}")
            if task.residual_from is not None and not hard:
                raise ValueError(f"tasks: {task.name} is residual, which only hard columns can be")
            if task.column_index is not None and task.column_index not in soft.bank(task.bank):
                raise ValueError(
                    f"tasks: {task.name} has column_index {task.column_index}, outside of bank {task.bank}"
                )
